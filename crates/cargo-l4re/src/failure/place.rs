//! Where in a file a failure stands, for editors that lead there.

use camino::Utf8Path;
use l4re_image::{AssembleError, ImageError, MakeError};

use super::Failure;
use crate::editor::EditError;
use crate::settings::SettingsError;
use crate::shell::Place;

/// The place of a failure that has one.
pub(super) fn of(failure: &Failure) -> Option<Place> {
    match failure {
        Failure::Settings(SettingsError::Content { place, text, span, .. }) => Some(match span {
            Some(span) => text_of(place, text, span.clone()),
            None => Place::Named(place.clone()),
        }),
        Failure::Edit { path, source } => Some(match source {
            EditError::Json { text, span, .. } | EditError::Toml { text, span: Some(span), .. } => {
                text_of(path.as_str(), text, span.clone())
            }
            _ => Place::File(path.to_string()),
        }),
        Failure::Image(error)
        | Failure::Make(MakeError::Image(error))
        | Failure::Assemble(AssembleError::Image(error)) => {
            content(error).map(|path| Place::File(path.to_string()))
        }
        Failure::ImageChecks { path, .. } => Some(Place::File(path.to_string())),
        _ => None,
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
