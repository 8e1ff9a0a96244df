//! What the user wants to run: an entry of a build tree, an image file, or a URL.
//!
//! A word with `://` is a URL; one with a `/` or an image's extension is an image; anything
//! else is an entry, also where a file has that name. `VAR=value` words go to make.

use camino::{Utf8Path, Utf8PathBuf};

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An entry of modules.list; without a name, the only one there is.
    Entry(Option<String>),
    /// An image file.
    Image(Utf8PathBuf),
    /// An image on a server.
    Url(String),
}

/// The words of a command line that name a target and make variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The target.
    pub target: Target,
    /// Variables for make, in order.
    pub variables: Vec<(String, String)>,
}

/// A second word that is no variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{second}` after `{first}`: one entry, image or URL at a time; make variables are VAR=value"
)]
pub struct TooMany {
    first: String,
    second: String,
}

impl Words {
    /// Sorts the words of a command that takes `[ENTRY|IMAGE|URL] [VAR=value]…`.
    pub fn parse(words: &[String], folder: &Utf8Path) -> Result<Self, TooMany> {
        let mut variables = Vec::new();
        let mut target: Option<&String> = None;
        for word in words {
            match (variable(word), target) {
                (Some(variable), _) => variables.push(variable),
                (None, None) => target = Some(word),
                (None, Some(first)) => {
                    let [first, second] = [first, word].map(|word| masked(word).to_owned());
                    return Err(TooMany { first, second });
                }
            }
        }
        let target = match target {
            None => Target::Entry(None),
            Some(word) => Target::parse(word, folder),
        };
        Ok(Self { target, variables })
    }
}

/// Takes the words of a command apart that takes several targets: for each of them the words
/// of a command that takes one, with all the variables.
pub fn for_each(words: &[String]) -> Vec<Vec<String>> {
    let (variables, targets): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| variable(word).is_some());
    let one = |target: &String| {
        std::iter::once(target).chain(variables.iter().copied()).cloned().collect()
    };
    targets.into_iter().map(one).collect()
}

impl Target {
    /// Tells what a word names.
    pub fn parse(word: &str, folder: &Utf8Path) -> Self {
        let path = folder.join(word);
        let image = matches!(path.extension(), Some("efi" | "elf" | "EFI" | "ELF"));
        if word.contains("://") {
            Self::Url(word.to_owned())
        } else if word.contains('/') || image {
            Self::Image(path)
        } else {
            Self::Entry(Some(word.to_owned()))
        }
    }
}

/// A URL without its query, which may hold a signature.
pub fn masked(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// A make variable: a name, `=`, anything.
fn variable(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let first = name.chars().next()?;
    let fits = (first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fits.then(|| (name.to_owned(), value.to_owned()))
}

/// The default name of an instance: the entry's, or the image's without what every image's
/// name has.
pub fn default_name(stem: &str) -> String {
    let stem = stem.strip_prefix("bootstrap_").unwrap_or(stem);
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "l4re".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Words, TooMany> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Words::parse(&words, Utf8Path::new("/w"))
    }

    #[test]
    fn entries_images_urls() {
        assert_eq!(parse(&[]).unwrap().target, Target::Entry(None));
        assert_eq!(parse(&["hello"]).unwrap().target, Target::Entry(Some("hello".into())));
        assert_eq!(parse(&["a.efi"]).unwrap().target, Target::Image("/w/a.efi".into()));
        assert_eq!(parse(&["out/a"]).unwrap().target, Target::Image("/w/out/a".into()));
        let url = "http://host/a.efi?X=1";
        assert_eq!(parse(&[url]).unwrap().target, Target::Url(url.into()));
    }

    #[test]
    fn variables_go_to_make() {
        let words = parse(&["V=1", "hello", "CFLAGS=-O1 -g=x"]).unwrap();
        assert_eq!(words.target, Target::Entry(Some("hello".into())));
        let expected = [("V".to_owned(), "1".to_owned()), ("CFLAGS".into(), "-O1 -g=x".into())];
        assert_eq!(words.variables, expected);
        assert!(parse(&["a", "b"]).unwrap_err().to_string().contains("`b` after `a`"));
    }

    #[test]
    fn several_targets_share_the_variables() {
        let words = ["a", "V=1", "b"].map(str::to_owned);
        assert_eq!(for_each(&words), [["a", "V=1"], ["b", "V=1"]]);
        assert!(for_each(&words[1..2]).is_empty());
    }

    #[test]
    fn names() {
        assert_eq!(default_name("bootstrap_hello"), "hello");
        assert_eq!(default_name("L4Re VM_multi"), "l4re-vm-multi");
        assert_eq!(default_name("___"), "l4re");
    }
}
