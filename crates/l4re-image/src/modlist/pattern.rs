//! File patterns as Perl's `glob` (`File::Glob`, `csh_glob`) expands them: words, braces, `*`,
//! `?` and classes, sorted without regard to case. Quotes, tildes and backslashes are L4Re's
//! tools' to expand.

use camino::Utf8Path;

/// More words than any list's braces make.
const MOST: usize = 4096;

/// The paths that match, as written in the pattern; a word without anything to match in it is
/// a path itself. `None` when only Perl can tell.
pub(super) fn expand(pattern: &str, folder: &Utf8Path) -> Option<Vec<String>> {
    let special = |c: char| "~\\\"'`$".contains(c) || !(c.is_ascii_graphic() || c == ' ');
    if pattern.trim().is_empty() || pattern.contains(special) || pattern.contains("//") {
        return None;
    }
    let mut words = Vec::new();
    for word in pattern.split(' ').filter(|word| !word.is_empty()) {
        alternatives(word, &mut words)?;
    }
    let mut paths = Vec::new();
    for word in words {
        match word.contains(['*', '?', '[']) {
            true => paths.extend(matched(&word, folder)?),
            false => paths.push(word),
        }
    }
    Some(paths)
}

/// Adds a word for each alternative in braces, from left to right.
fn alternatives(word: &str, words: &mut Vec<String>) -> Option<()> {
    let Some(open) = word.find(['{', '}']) else {
        words.push(word.to_owned());
        return (words.len() <= MOST).then_some(());
    };
    // Classes may hold braces that count for nothing.
    if word.contains('[') || !word[open..].starts_with('{') {
        return None;
    }
    let (mut depth, mut from, mut parts, mut close) = (0, open + 1, Vec::new(), None);
    for (at, byte) in word.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 1 => {
                parts.push(&word[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(&word[from..at]);
            close = Some(at);
            break;
        }
    }
    let close = close.filter(|close| *close > open + 1)?;
    for part in parts {
        alternatives(&format!("{}{part}{}", &word[..open], &word[close + 1..]), words)?;
    }
    Some(())
}

/// The paths that match a word, sorted.
fn matched(pattern: &str, folder: &Utf8Path) -> Option<Vec<String>> {
    let mut paths = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
    let parts: Vec<_> = pattern.trim_start_matches('/').split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let mut found = Vec::new();
        for path in &paths {
            matching(path, part, folder, &mut found)?;
        }
        if !last {
            found.retain(|path| folder.join(path).is_dir());
            found.iter_mut().for_each(|path| path.push('/'));
        }
        paths = found;
    }
    paths.sort_by_cached_key(|path| (path.to_ascii_lowercase(), path.clone()));
    Some(paths)
}

/// Adds what matches `part` in a folder to `found`.
fn matching(path: &str, part: &str, folder: &Utf8Path, found: &mut Vec<String>) -> Option<()> {
    if !part.contains(['*', '?', '[']) {
        if folder.join(path).join(part).symlink_metadata().is_ok() {
            found.push(format!("{path}{part}"));
        }
        return Some(());
    }
    let tokens = tokens(part)?;
    let Ok(entries) = folder.join(path).read_dir_utf8() else { return Some(()) };
    for entry in entries {
        // A name that is not UTF-8 or has spaces: rare, and Perl's to split.
        let entry = entry.ok()?;
        let name = entry.file_name();
        let hidden = name.starts_with('.') && !part.starts_with('.');
        if !hidden && matches(name.as_bytes(), &tokens) {
            if name.contains(char::is_whitespace) || !name.is_ascii() {
                return None;
            }
            found.push(format!("{path}{name}"));
        }
    }
    Some(())
}

/// What a part of a pattern asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// `*`: any bytes.
    Any,
    /// A byte in one of the ranges, or in none of them.
    One { ranges: Vec<(u8, u8)>, not: bool },
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Any => false,
            Self::One { ranges, not } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *not
            }
        }
    }
}

/// Takes a part of a pattern apart; `None` for a class without end.
fn tokens(part: &str) -> Option<Vec<Token>> {
    let mut rest = part.as_bytes();
    let mut tokens = Vec::new();
    while let [first, after @ ..] = rest {
        rest = after;
        tokens.push(match first {
            b'*' => Token::Any,
            b'?' => Token::One { ranges: Vec::new(), not: true },
            b'[' => {
                let not = rest.first() == Some(&b'!');
                rest = &rest[usize::from(not)..];
                // The first one may be the bracket itself.
                let end = 1 + rest.get(1..)?.iter().position(|&byte| byte == b']')?;
                let ranges = ranges(&rest[..end]);
                rest = &rest[end + 1..];
                Token::One { ranges, not }
            }
            &byte => Token::One { ranges: vec![(byte, byte)], not: false },
        });
    }
    Some(tokens)
}

/// The ranges of a class.
fn ranges(mut class: &[u8]) -> Vec<(u8, u8)> {
    let mut ranges = Vec::new();
    while let [low, after @ ..] = class {
        (class, _) = match after {
            [b'-', high, rest @ ..] => (rest, ranges.push((*low, *high))),
            _ => (after, ranges.push((*low, *low))),
        };
    }
    ranges
}

/// Whether a name matches a pattern; in the time of their product at most.
fn matches(name: &[u8], pattern: &[Token]) -> bool {
    let (mut at, mut with) = (0, 0);
    let mut star = None;
    while at < name.len() {
        match pattern.get(with) {
            Some(Token::Any) => {
                star = Some((at, with));
                with += 1;
            }
            Some(token) if token.takes(name[at]) => {
                at += 1;
                with += 1;
            }
            _ => {
                let Some((from, of)) = star else { return false };
                // Let the last star take one byte more.
                star = Some((from + 1, of));
                (at, with) = (from + 1, of + 1);
            }
        }
    }
    pattern[with..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        for (name, pattern, wanted) in [
            ("a.cfg", "*.cfg", true),
            ("a.cfgs", "*.cfg", false),
            ("abcabd", "a*b?", true),
            ("", "*", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a*a*a*a*a*a*a*c", false),
        ] {
            assert_eq!(
                matches(name.as_bytes(), &tokens(pattern).unwrap()),
                wanted,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn the_same_as_perl() {
        let dir = camino_tempfile::tempdir().unwrap();
        for name in ["b.cfg", "A.cfg", "a.cfg", ".h.cfg", "B2.cfg", "sub/x.cfg", "sub2/x.cfg"] {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        let absolute = format!("{}/?.cfg", dir.path());
        let braces = format!("{}/{{b,no,A,a}}.cfg", dir.path());
        for pattern in [
            "*.cfg",
            "sub*/*.cfg",
            "?.cfg",
            ".*.cfg",
            "*.none",
            "sub/x.c?g",
            &absolute,
            &braces,
            "{a,b}.cfg",
            "{b,a}*.cfg sub/x.cfg",
            "  {sub{2,},no}/{*,x}.cfg   plain ",
            "{*.none,no}",
            "{no,*.none,a.*}",
            "{,a}b.cfg",
            "{a}.cfg",
            "[ab].cfg",
            "[!ab].cfg",
            "[a-zA-Z]2.cfg B[]12].cfg",
            "*.[a-d][!-]g",
            "[z-a].cfg",
            "[a-].cfg",
        ] {
            let perl = duct::cmd!("perl", "-e", "print map { \"$_\\n\" } glob $ARGV[0]", pattern)
                .dir(dir.path())
                .read()
                .unwrap();
            let ours = expand(pattern, dir.path()).unwrap();
            assert_eq!(ours, perl.lines().collect::<Vec<_>>(), "{pattern}");
        }
        assert_eq!(expand("plain", dir.path()).unwrap(), ["plain"]);
        for pattern in ["a{b", "a}b", "{}", "{a,[b]}*", "~/x", "'a b'", "a\\*", "[a", "ä*"] {
            assert_eq!(expand(pattern, dir.path()), None, "{pattern}");
        }
        let many = "{a,b}".repeat(13);
        assert_eq!(expand(&many, dir.path()), None);
    }
}
