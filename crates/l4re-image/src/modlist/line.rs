//! The grammar of one line of a module list, exactly as L4Re's `tool/lib/L4/ModList.pm` reads
//! it: `command[option,key=value] rest`, with `#` starting a comment.
//!
//! Its regular expressions are followed to the letter, oddities included: the options end at
//! the *last* `]`, and a key ends at the last `=` of its word.

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
    text.trim()
        .split(',')
        .map(str::trim)
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
        if let Some(value) = option[at..].trim_start().strip_prefix('=').map(str::trim)
            && !value.is_empty()
        {
            return Some((word, value));
        }
        // From the last `=` to the first, the first that leaves a key and a value.
        let inside = word.rmatch_indices('=').find_map(|(equals, _)| {
            let value = option[start + equals + 1..].trim();
            (equals > 0 && !value.is_empty()).then_some((&word[..equals], value))
        });
        if inside.is_some() {
            return inside;
        }
    }
    None
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

        let line = Line::parse("module[ attr:nodes = 0-3 , uncompress ] vmlinuz").unwrap();
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
    }
}
