//! Errors in the shape of rustc's, which editors' `$rustc` matchers read.
//!
//! An error with a place shows the line it stands on; one without is a headline with its
//! causes. Either way notes and what to type follow as `= note:` and `= help:`.

use std::error::Error;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use camino::Utf8Path;
use serde::Serialize;

use super::harmless::harmless;

/// An error as it is shown.
#[derive(Debug, Default, Serialize)]
pub struct Diagnostic {
    /// What went wrong, in one line.
    pub message: String,
    /// Why, from near to far.
    pub causes: Vec<String>,
    /// Where, if it stands in a text.
    #[serde(skip)]
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Vec<String>,
    /// Exit code of the process.
    pub code: u8,
}

/// A place, as exactly as it is known.
#[derive(Debug)]
pub enum Place {
    /// Part of a text.
    Text {
        /// Path of the file, or the flag.
        name: String,
        /// The text.
        text: String,
        /// Bytes of it that are meant.
        span: Range<usize>,
    },
    /// A place in a file that is not shown.
    File {
        /// Path of the file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A flag or variable.
    Named(String),
}

impl Place {
    /// A file that has no lines, or none that is meant: editors are led to its beginning.
    pub fn whole(path: &Utf8Path) -> Self {
        Self::File { name: path.to_string(), line: 1, column: 1 }
    }
}

impl Diagnostic {
    /// The diagnostic of an error with its chain of sources.
    ///
    /// A source that only repeats what its parent says (a transparent wrapper) is left out.
    pub fn of(error: &dyn Error) -> Self {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !message.contains(&text) && !causes.contains(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        Self { message, causes, ..Self::default() }
    }

    /// The text, with styles that the stream strips where they do not belong.
    pub fn render(&self) -> String {
        let title = Level::ERROR.primary_title(harmless(&self.message));
        let mut group = match &self.place {
            Some(Place::Text { name, text, span }) => {
                let span = clamp(span, text);
                let snippet =
                    Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(span));
                title.element(snippet)
            }
            Some(Place::File { name, line, column }) => {
                title.element(Origin::path(name.as_str()).line(*line).char_column(*column))
            }
            Some(Place::Named(name)) => {
                Group::with_title(title).element(Level::NOTE.message(format!("in {name}")))
            }
            None => Group::with_title(title),
        };
        for cause in &self.causes {
            group = group.element(Level::NOTE.message(harmless(cause)));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(harmless(help)));
        }
        Renderer::styled().render(&[group])
    }
}

/// A span that lies within the text, on character borders.
fn clamp(span: &Range<usize>, text: &str) -> Range<usize> {
    let border = |at: usize| {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    border(span.start)..border(span.end.max(span.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(diagnostic: &Diagnostic) -> String {
        anstream::adapter::strip_str(&diagnostic.render()).to_string()
    }

    #[test]
    fn what_a_console_said_harms_no_terminal() {
        let message = "`x` was seen: \x1b]0;t\x07 \u{9b}6n".to_owned();
        let causes = vec!["around it:\na\n\u{9d}0;t\x05\u{9c}".to_owned()];
        let text = plain(&Diagnostic { message, causes, ..Diagnostic::default() });
        let harms = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(harms) && text.contains("\\x9b6n"), "{text:?}");
    }

    #[test]
    fn a_place_is_clickable() {
        let place = Place::Text {
            name: "l4re.toml".into(),
            text: "ttl = \"1h\"\nbuckett = 1\n".into(),
            span: 11..18,
        };
        let diagnostic =
            Diagnostic { message: "unknown".into(), place: Some(place), ..Diagnostic::default() };
        assert!(plain(&diagnostic).contains("--> l4re.toml:2:1"), "{}", plain(&diagnostic));
    }

    #[test]
    fn a_file_without_lines_is_clickable_too() {
        let place = Some(Place::whole("/x/a.efi".into()));
        let diagnostic = Diagnostic { message: "cut".into(), place, ..Diagnostic::default() };
        let text = plain(&diagnostic);
        assert!(text.lines().any(|line| line.trim() == "--> /x/a.efi:1:1"), "{text}");
    }

    #[test]
    fn spans_beyond_the_text_are_cut() {
        assert_eq!(clamp(&(1..99), "äb"), 0..3);
    }
}
