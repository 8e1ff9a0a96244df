//! Kconfig's result files (`.kconfig`, `.config.all`, `globalconfig.out`): `CONFIG_X=value`
//! lines. Anything else in them is comment.

use std::collections::BTreeMap;

use camino::Utf8Path;

/// Options by name, without `CONFIG_` and without quotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kconfig(BTreeMap<String, String>);

impl Kconfig {
    /// Reads a file; bytes that are not UTF-8 are replaced.
    pub(crate) fn read(path: &Utf8Path) -> std::io::Result<Self> {
        Ok(Self::parse(&String::from_utf8_lossy(&fs_err::read(path)?)))
    }

    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(assignment).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("y")
    }
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().strip_prefix("CONFIG_")?.split_once('=')?;
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::Kconfig;

    #[test]
    fn quoted_and_unset() {
        let config =
            Kconfig::parse("# CONFIG_A is not set\nCONFIG_B=\"pc\"\nCONFIG_C=y\nCONFIG_D=\n");
        assert_eq!(config.get("A"), None);
        assert_eq!(config.get("B"), Some("pc"));
        assert!(config.is_set("C"));
        assert_eq!(config.get("D"), None);
    }
}
