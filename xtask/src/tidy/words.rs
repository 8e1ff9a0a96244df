//! One word for each thing, nothing left for later, no registry's host name.
//!
//! The rules hold for every text of the project. A rule's own words are written here in
//! pieces, so that this file keeps the rules as well.

use camino::Utf8Path;

use super::Finding;

/// What is wrong with a word, or the word to use instead.
struct Word {
    pieces: [&'static str; 2],
    message: &'static str,
    whole: bool,
}

const fn whole(pieces: [&'static str; 2], message: &'static str) -> Word {
    Word { pieces, message, whole: true }
}

const fn part(pieces: [&'static str; 2], message: &'static str) -> Word {
    Word { pieces, message, whole: false }
}

const LATER: &str = "finish it, or file an issue";
const HOST: &str = "a registry's host name; its client knows where it is";

const WORDS: [Word; 14] = [
    whole(["FIX", "ME"], LATER),
    whole(["XX", "X"], LATER),
    // Without the colon it is a directive of TAP.
    part(["TO", "DO:"], LATER),
    part(["TO", "DO("], LATER),
    part(["crates", ".io"], HOST),
    part(["pypi", ".org"], HOST),
    part(["pythonhosted", ".org"], HOST),
    part(["npmjs", ".org"], HOST),
    part(["deb.debian", ".org"], HOST),
    part(["proxy.golang", ".org"], HOST),
    whole(["user", "data"], "say user data, or `user_data`"),
    whole(["build", "tree"], "say build tree, or `build_tree`"),
    whole(["boot", "mode"], "say boot mode, or `boot_mode`"),
    whole(["build", "-tree"], "say build tree"),
];

/// All findings in the text of `path`.
pub(super) fn check(path: &Utf8Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let broken = WORDS.iter().filter(|word| !excused(path, word) && word.is_in(line));
        findings.extend(broken.map(|word| {
            let message = format!("`{}`: {}", word.pieces.concat(), word.message);
            Finding::new(path, index + 1, message)
        }));
    }
    findings
}

/// A fixture speaks as the system does that it stands for.
fn excused(path: &Utf8Path, word: &Word) -> bool {
    path.starts_with("tests/fixtures") && word.message != HOST
}

impl Word {
    fn is_in(&self, line: &str) -> bool {
        let word = self.pieces.concat();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        line.match_indices(&word).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + word.len()..].chars().next();
            !self.whole || !(before.is_some_and(is_name) || after.is_some_and(is_name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(Utf8Path::new(path), text).len()
    }

    #[test]
    fn every_word_is_found_where_it_stands_alone() {
        for word in &WORDS {
            let text = format!("first\nbefore {} after", word.pieces.concat());
            let findings = check(Utf8Path::new("docs/a.md"), &text);
            assert_eq!(findings.len(), 1, "{text}");
            assert_eq!(findings[0].line, 2);
        }
    }

    #[test]
    fn a_part_of_another_word_is_not_the_word() {
        assert_eq!(count("a.rs", concat!("TO", "DOs are XX", "XL")), 0);
        assert_eq!(count("a.rs", "user_data, user-data, build_tree"), 0);
        assert_eq!(count("a.rs", concat!("https://static.crates", ".io/x")), 1);
    }

    #[test]
    fn the_words_of_tap_are_taps() {
        assert_eq!(count("crates/l4re-console/src/tap.rs", concat!("not ok 1 # TO", "DO")), 0);
        assert_eq!(count("tests/fixtures/mini-l4re/mk/a.mk", concat!("build", "-tree")), 0);
    }
}
