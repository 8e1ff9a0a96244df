//! Options of iPXE's commands: before all other words, `--name V`, `--name=V`, `-n V`, and
//! short flags together as in `-ar`.

use crate::script::failure::Failure;

/// An option that a command knows: long name, short name, whether a value follows.
pub(super) type Known = &'static [(&'static str, char, bool)];

/// The options of a command and the words behind them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    given: Vec<(&'static str, String)>,
    pub(super) words: Vec<String>,
}

impl Options {
    /// Reads the words behind a command's name.
    pub(super) fn read(words: &[String], known: Known) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.as_slice().first() {
            if word == "--" {
                words.next();
                break;
            }
            if !word.starts_with('-') || word == "-" {
                break;
            }
            words.next();
            match word.strip_prefix("--") {
                Some(long) => options.long(long, known, &mut words)?,
                None => options.short(&word[1..], known, &mut words)?,
            }
        }
        options.words = words.cloned().collect();
        Ok(options)
    }

    /// Whether a flag is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of an option, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    fn long<'a>(
        &mut self,
        text: &str,
        known: Known,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Failure> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let (name, _, takes_value) =
            known.iter().find(|(long, ..)| *long == name).ok_or(Failure::INVALID)?;
        let value = match (takes_value, value) {
            (true, Some(value)) => value,
            (true, None) => words.next().cloned().ok_or(Failure::INVALID)?,
            (false, None) => String::new(),
            (false, Some(_)) => return Err(Failure::INVALID),
        };
        self.given.push((*name, value));
        Ok(())
    }

    fn short<'a>(
        &mut self,
        letters: &str,
        known: Known,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Failure> {
        for (at, letter) in letters.char_indices() {
            let (name, _, takes_value) =
                known.iter().find(|(_, short, _)| *short == letter).ok_or(Failure::INVALID)?;
            if *takes_value {
                let rest = &letters[at + letter.len_utf8()..];
                let value = if rest.is_empty() {
                    words.next().cloned().ok_or(Failure::INVALID)?
                } else {
                    rest.to_owned()
                };
                self.given.push((*name, value));
                return Ok(());
            }
            self.given.push((*name, String::new()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = &[("name", 'n', true), ("autofree", 'a', false), ("replace", 'r', false)];

    fn read(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Options::read(&words, KNOWN)
    }

    #[test]
    fn options_end_where_the_first_other_word_begins() {
        let options = read("-ar --name img http://x --serial -n").unwrap();
        assert!(options.has("autofree") && options.has("replace"));
        assert_eq!(options.get("name"), Some("img"));
        assert_eq!(options.words, ["http://x", "--serial", "-n"]);
        assert_eq!(read("--name=a -nb u").unwrap().get("name"), Some("b"));
    }

    #[test]
    fn unknown_options_and_missing_values_are_refused() {
        for bad in ["--other", "-x", "--name", "-n", "--replace=1"] {
            assert_eq!(read(bad), Err(Failure::INVALID), "{bad}");
        }
    }
}
