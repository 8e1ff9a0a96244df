//! Where in a file a failure stands, for editors that lead there.

use camino::Utf8Path;
use l4re_image::{AssembleError, ImageError, MakeError};

use super::Failure;
use crate::editor::EditError;
use crate::settings::{self, SettingsError};
use crate::shell::Place;

/// The place of a failure that has one.
pub(super) fn of(failure: &Failure) -> Option<Place> {
    match failure {
        Failure::Settings(SettingsError::Content { place, text, span, .. }) => Some(match span {
            Some(span) => text_of(place, text, span.clone()),
            None => Place::Named(place.clone()),
        }),
        Failure::Entry { place: Some(place), .. } => Some(of_setting(place)),
        Failure::Edit { path, source } => Some(match source {
            EditError::Json { text, span, .. } | EditError::Toml { text, span: Some(span), .. } => {
                text_of(path.as_str(), text, span.clone())
            }
            _ => Place::whole(path),
        }),
        Failure::Image(error)
        | Failure::Make(MakeError::Image(error))
        | Failure::Assemble(AssembleError::Image(error)) => content(error).map(Place::whole),
        Failure::ImageChecks { path, .. } => Some(Place::whole(path)),
        _ => None,
    }
}

fn of_setting(place: &settings::Place) -> Place {
    match place {
        settings::Place::File { path, line, column } => {
            Place::File { name: path.to_string(), line: *line, column: *column }
        }
        named => Place::Named(named.to_string()),
    }
}

fn text_of(name: &str, text: &str, span: std::ops::Range<usize>) -> Place {
    Place::Text { name: name.to_owned(), text: text.to_owned(), span }
}

/// The image whose content is wrong.
fn content(error: &ImageError) -> Option<&Utf8Path> {
    match error {
        ImageError::NotAnImage { path, .. }
        | ImageError::Truncated { path, .. }
        | ImageError::BadField { path, .. }
        | ImageError::UnsupportedMachine { path, .. } => Some(path),
        _ => None,
    }
}
