//! The grammar of one line of a module list, exactly as L4Re's `tool/lib/L4/ModList.pm` reads
//! it: `command[option,key=value] rest`, with `#` starting a comment.
//!
//! Its regular expressions are followed to the letter, oddities included: the options end at
//! the *last* `]`, a key ends at the last `=` of its word, and white space in front of that `]`
//! belongs to the last option, which is thus another one than it seems: `[nostrip ]` says nothing.

/// A line that holds a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The command, as written.
    pub(crate) command: &'a str,
    /// The options; a missing value is `None`.
    pub(crate) options: Vec<(&'a str, Option<&'a str>)>,
    /// What follows, without white space around it.
    pub(crate) rest: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` for blank lines, comments, and lines without a command.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.split_once('#').map_or(text, |(before, _)| before).trim_start();
        let end = text.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(text.len());
        let (command, after) = text.split_at(end);
        if command.is_empty() {
            return None;
        }
        let bracketed = after.strip_prefix('[').and_then(|after| after.rsplit_once(']'));
        let (options, rest) = match bracketed {
            Some((options, rest)) => (parse_options(options), rest),
            None => (Vec::new(), after),
        };
        // What is glued to a bracket is dropped there too.
        let rest = if rest.starts_with(char::is_whitespace) { rest.trim() } else { "" };
        Some(Self { command, options, rest })
    }

    /// Whether an option is given, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(key, _)| *key == name)
    }

    /// The value of an option; the last one counts.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.options.iter().rev().find(|(key, _)| *key == name).and_then(|(_, value)| *value)
    }

    /// Whether it is for a machine, by its conditions.
    pub(crate) fn is_for(&self, arch: &str, bits: &str) -> bool {
        let fits = |name, own| self.alternatives(name).is_none_or(|words| words.contains(&own));
        fits("arch", arch) && fits("bits", bits)
    }

    /// The alternatives of `arch=` or `bits=`.
    pub(crate) fn alternatives(&self, name: &str) -> Option<Vec<&'a str>> {
        self.has(name).then(|| {
            let value = self.value(name).unwrap_or_default();
            value.split('|').filter(|word| !word.is_empty()).collect()
        })
    }
}

fn parse_options(text: &str) -> Vec<(&str, Option<&str>)> {
    let last = text.rfind(',').map_or(0, |comma| comma + 1);
    let (front, last) = text.split_at(last);
    front
        .split_terminator(',')
        .map(str::trim)
        .chain([last.trim_start()])
        .map(|option| key_and_value(option).map_or((option, None), |(k, v)| (k, Some(v))))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

/// `(\S+)\s*=\s*(.+)`: the leftmost word that is followed by `=`, or else holds one.
fn key_and_value(option: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for word in option.split_whitespace() {
        let start = at + option[at..].find(word)?;
        at = start + word.len();
        let after = option[at..].trim_start().strip_prefix('=');
        if let Some(value) = after.and_then(value) {
            return Some((word, value));
        }
        // From the last `=` to the first, the first that leaves a key and a value.
        let inside = word.rmatch_indices('=').find_map(|(equals, _)| {
            let value = value(&option[start + equals + 1..])?;
            (equals > 0).then_some((&word[..equals], value))
        });
        if inside.is_some() {
            return inside;
        }
    }
    None
}

/// `\s*(.+)`: without the white space in front, but for its last one if there is nothing else.
fn value(text: &str) -> Option<&str> {
    match text.trim_start() {
        "" => text.char_indices().next_back().map(|(at, _)| &text[at..]),
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_real_list() {
        let line = Line::parse("entry[arch=x86|amd64] framebuffer-example # a comment").unwrap();
        assert_eq!((line.command, line.rest), ("entry", "framebuffer-example"));
        assert_eq!(line.alternatives("arch").unwrap(), ["x86", "amd64"]);

        let line = Line::parse("  module[arch=arm,  fname=virt-pci.dtb]     dtb/x.dtb").unwrap();
        assert_eq!(line.value("fname"), Some("virt-pci.dtb"));
        assert_eq!(line.rest, "dtb/x.dtb");

        let line = Line::parse("module[perl] \"ramdisk-$ENV{ARCH}.rd\"").unwrap();
        assert!(line.has("perl") && line.value("perl").is_none());

        let line = Line::parse("module[ attr:nodes = 0-3 , uncompress] vmlinuz").unwrap();
        assert_eq!(line.value("attr:nodes"), Some("0-3"));
        assert!(line.has("uncompress"));
    }

    #[test]
    fn oddities() {
        assert_eq!(Line::parse("# only a comment"), None);
        assert_eq!(Line::parse("[arch=arm] x"), None);
        let line = Line::parse("module[a] b[c] d").unwrap();
        assert_eq!((line.rest, line.options[0].0), ("d", "a] b[c"));
        assert_eq!(Line::parse("entry[a]glued").unwrap().rest, "");
        assert_eq!(Line::parse("module[attr:k=a=b] x").unwrap().value("attr:k=a"), Some("b"));
        assert_eq!(Line::parse("moe").unwrap().rest, "");
        let of = |options: &'static str| parse_options(options);
        assert_eq!(of("a , b "), [("a", None), ("b ", None)]);
        assert_eq!(of(" arch=x86 , arch=arm "), [("arch", Some("x86")), ("arch", Some("arm "))]);
        assert_eq!(of("k=  "), [("k", Some(" "))]);
        assert_eq!(of("k= , l"), [("k=", None), ("l", None)]);
        assert_eq!(of(" ,, "), []);
    }
}
