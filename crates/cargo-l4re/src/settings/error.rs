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
        let message = message(error);
        Self::Content { message, place, text: text.to_owned(), span: error.span() }
    }
}

/// What the TOML reader says, with the nearest known word added where one is unknown.
pub fn message(error: &toml::de::Error) -> String {
    let message = error.message().trim();
    if let Some(near) = nearest_expected(message) {
        return format!("{message}; did you mean `{near}`?");
    }
    // As in a manifest, where the keys stand below these.
    match OUTER.iter().any(|table| message.starts_with(&format!("unknown field `{table}`"))) {
        true => format!(
            "{message}; tables such as `[workspace.metadata.l4re]` are Cargo.toml's, here their \
             keys stand at the top"
        ),
        false => message.to_owned(),
    }
}

/// The tables around our keys in a manifest.
const OUTER: [&str; 4] = ["workspace", "package", "metadata", "l4re"];

/// The word nearest to the unknown one, out of serde's "unknown field `x`, expected one of …"
/// and its like.
fn nearest_expected(message: &str) -> Option<String> {
    const BEGINNINGS: [&str; 3] = ["unknown field ", "unknown variant ", "unknown architecture "];
    let rest = BEGINNINGS.iter().find_map(|begin| message.strip_prefix(begin))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let listed = rest.split_once(": known are ").map(|(_, known)| known.split(", "));
    let known: Vec<&str> = quoted.chain(listed.into_iter().flatten()).collect();
    l4re_image::nearest(given, known).first().map(|&near| near.to_owned())
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

    #[test]
    fn the_tables_of_a_manifest_are_told_as_such() {
        for table in ["workspace.metadata.l4re", "package.metadata.l4re", "l4re"] {
            let error = toml::from_str::<Layer>(&format!("[{table}]\nttl = \"1h\"\n")).unwrap_err();
            let said = message(&error);
            assert!(said.ends_with("keys stand at the top"), "{said}");
        }
    }

    #[test]
    fn an_unknown_value_names_the_nearest() {
        let said = |text| message(&toml::from_str::<Layer>(text).unwrap_err());
        assert!(said("twin.accel = \"kwm\"").ends_with("did you mean `kvm`?"));
        assert!(said("arch = \"amd46\"").ends_with("did you mean `amd64`?"));
        assert!(said("tree.arm46.build = \"x\"").ends_with("did you mean `arm64`?"));
        assert!(!said("ttl = 5").contains("did you mean"));
    }
}
