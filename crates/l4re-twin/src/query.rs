//! Parameters of the AWS query protocol: a form whose names are paths such as
//! `TagSpecification.1.Tag.2.Key`.
//!
//! Invariant: indices need not start at 1 or be dense, as with EC2 itself; what is not
//! UTF-8 or too much is refused before anything is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::fault::Fault;

/// More parameters than any real call has.
const MAX_PARAMETERS: usize = 10_000;

/// The decoded parameters of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads `application/x-www-form-urlencoded` bytes.
    pub(crate) fn parse(form: &[u8]) -> Result<Self, Fault> {
        let mut map = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            if map.len() == MAX_PARAMETERS {
                return Err(Fault::client("MalformedQueryString", "too many parameters"));
            }
            map.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(map))
    }

    /// All of them, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The part of the tree that hangs below no name: the whole.
    pub(crate) fn root(&self) -> Scope<'_> {
        Scope { params: self, prefix: String::new() }
    }
}

/// The parameters below one name of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    params: &'a Params,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// A value, if it is given.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.params.0.get(&self.path(name)).map(String::as_str)
    }

    /// A value that must be given.
    pub(crate) fn require(&self, name: &str) -> Result<&'a str, Fault> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            let message = format!("The request must contain the parameter {}", self.path(name));
            Fault::client("MissingParameter", message)
        })
    }

    /// `true` or `false`, and `false` if it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.maybe_flag(name)?.unwrap_or(false))
    }

    /// `true` or `false`, if it is given.
    pub(crate) fn maybe_flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(self.bad(name, other, "a boolean")),
        }
    }

    /// A number, if it is given.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| self.bad(name, text, "an integer")))
            .transpose()
    }

    /// The structure below a name.
    pub(crate) fn below(&self, name: &str) -> Scope<'a> {
        Scope { params: self.params, prefix: self.path(name) }
    }

    /// All parameters of the call, sorted by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.params.iter()
    }

    /// Whether anything is given below this name.
    pub(crate) fn is_given(&self) -> bool {
        self.names().next().is_some()
    }

    /// The values of `name.1`, `name.2`, …
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        let list = self.below(name);
        list.indices().into_iter().filter_map(|index| list.get(&index.to_string())).collect()
    }

    /// The structures `name.1`, `name.2`, …
    pub(crate) fn items(&self, name: &str) -> Vec<Scope<'a>> {
        let list = self.below(name);
        list.indices().into_iter().map(|index| list.below(&index.to_string())).collect()
    }

    fn indices(&self) -> BTreeSet<u32> {
        self.names().filter_map(|name| name.split('.').next()?.parse().ok()).collect()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("{}.", self.prefix) };
        self.params
            .0
            .range(prefix.clone()..)
            .map_while(move |(name, _)| name.strip_prefix(prefix.as_str()))
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn bad(&self, name: &str, value: &str, expected: &str) -> Fault {
        Fault::invalid(format!(
            "Invalid value '{value}' for {}. It must be {expected}.",
            self.path(name)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_keep_their_numeric_order() {
        let params = Params::parse(
            b"Action=RunInstances&Tag.10.Key=j&Tag.2.Key=b&Tag.2.Value=x+y%26&Id.1=one&Id.3=three",
        )
        .unwrap();
        let root = params.root();
        assert_eq!(root.list("Id"), ["one", "three"]);
        let keys: Vec<_> = root.items("Tag").iter().map(|tag| tag.get("Key").unwrap()).collect();
        assert_eq!(keys, ["b", "j"]);
        assert_eq!(root.items("Tag")[0].get("Value"), Some("x y&"));
        assert!(root.below("Tag").is_given() && !root.below("Ta").is_given());
    }

    #[test]
    fn values_of_the_wrong_kind_name_their_whole_path() {
        let params = Params::parse(b"MetadataOptions.Hops=x&DryRun=yes&Empty=").unwrap();
        let root = params.root();
        let fault = root.below("MetadataOptions").number::<u32>("Hops").unwrap_err();
        assert!(fault.message.contains("MetadataOptions.Hops"), "{fault:?}");
        assert_eq!(root.flag("DryRun").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(root.require("Empty").unwrap_err().code, "MissingParameter");
        assert!(!root.flag("Absent").unwrap());
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        let form: String = (0..=MAX_PARAMETERS).map(|n| format!("P.{n}=1&")).collect();
        assert_eq!(Params::parse(form.as_bytes()).unwrap_err().code, "MalformedQueryString");
    }
}
