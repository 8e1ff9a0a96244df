//! What can be wrong with settings, with the place where it stands.

use std::ops::Range;

use camino::Utf8PathBuf;

/// A settings error.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file, a `--config` word or a variable does not say what the schema wants.
    #[error("{message}")]
    Content {
        /// What is wrong, with the nearest known key where one is near.
        message: String,
        /// The file's path, or the name of the variable or flag.
        place: String,
        /// The whole text that was read.
        text: String,
        /// Bytes of `text` that are wrong.
        span: Option<Range<usize>>,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A variable with our prefix that names no setting.
    #[error("{name} names no setting{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Variable {
        /// The variable.
        name: String,
        /// The nearest one that exists.
        nearest: Option<String>,
    },
    /// `--config` with neither `KEY=VALUE` nor the name of a file.
    #[error("--config {word}: neither KEY=VALUE nor a file that exists")]
    Config {
        /// The word given.
        word: String,
    },
    /// Cargo could not describe the package.
    #[error("cargo metadata failed")]
    Metadata(#[source] cargo_metadata::Error),
    /// The package named is not in the workspace.
    #[error("no package `{name}` in the workspace of {manifest}{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Package {
        /// The name given.
        name: String,
        /// The workspace's manifest.
        manifest: Utf8PathBuf,
        /// The nearest package that exists.
        nearest: Option<String>,
    },
}

impl SettingsError {
    /// An error of the TOML reader, with the nearest key added when one is unknown.
    pub fn toml(error: &toml::de::Error, place: String, text: &str) -> Self {
        let mut message = error.message().trim().to_owned();
        if let Some(near) = nearest_expected(&message) {
            message.push_str(&format!("; did you mean `{near}`?"));
        }
        Self::Content { message, place, text: text.to_owned(), span: error.span() }
    }
}

/// The key nearest to the unknown one, out of serde's "unknown field `x`, expected one of …".
fn nearest_expected(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    l4re_image::nearest(given, quoted).first().map(|&near| near.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let text = "ttl = \"1h\"\nbuckett = \"b\"\n";
        let error = toml::from_str::<Layer>(text).unwrap_err();
        let SettingsError::Content { message, span, .. } =
            SettingsError::toml(&error, "l4re.toml".into(), text)
        else {
            panic!("not a content error")
        };
        assert!(message.ends_with("did you mean `bucket`?"), "{message}");
        assert_eq!(&text[span.unwrap()], "buckett");
    }
}
