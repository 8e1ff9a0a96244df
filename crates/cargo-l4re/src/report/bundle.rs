//! The text of a report: sections, each masked as it is added.

use super::mask::Mask;

/// What every report begins with.
const INTRODUCTION: &str = "\
This is one text for a bug report of cargo l4re. URLs are without their queries, and what looks
like a key, a token or a password is a `…`. Read it all the same before you send it.
";

/// A report in the making.
#[derive(Debug)]
pub struct Bundle {
    mask: Mask,
    text: String,
    titles: Vec<String>,
}

impl Bundle {
    /// A report without sections.
    pub fn new(mask: Mask) -> Self {
        Self { mask, text: INTRODUCTION.to_owned(), titles: Vec::new() }
    }

    /// Adds a section; nothing in it is shown as it is.
    pub fn add(&mut self, title: &str, content: &str) {
        let plain = anstream::adapter::strip_str(content).to_string();
        let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        let plain: String = plain.chars().filter(shown).collect();
        let content = self.mask.apply(plain.trim_end());
        let title = self.mask.apply(title);
        self.text.push_str(&format!("\n== {title}\n{content}\n"));
        self.titles.push(title);
    }

    /// The sections' titles.
    pub fn titles(&self) -> &[String] {
        &self.titles
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::environment::Environment;

    #[test]
    fn sections_are_plain_and_masked() {
        let environment = Environment::of(Utf8Path::new("/w"), &[]);
        let mut bundle = Bundle::new(Mask::new(&environment).unwrap());
        bundle.add("log", "\u{1b}[31mred\u{1b}[0m http://h/x?sig=1\r\nb\u{7}\n\n");
        assert!(bundle.text().ends_with("\n== log\nred http://h/x?…\nb\n"), "{}", bundle.text());
        assert_eq!(bundle.titles(), ["log"]);
    }
}
