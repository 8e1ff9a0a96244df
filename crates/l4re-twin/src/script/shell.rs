//! iPXE's command language, as `core/exec.c` and `image/script.c` have it: words between
//! white space, `||`, `&&`, `;`, `#`, `${…}` expanded word by word when a command runs,
//! labels, and lines that go on behind a backslash. There is no quoting.

/// The most that an expansion may do: iPXE has no limit, and may go on for ever.
const MAX_EXPANSIONS: usize = 256;
const MAX_LENGTH: usize = 64 * 1024;

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Always,
    /// After success, `&&`.
    Success,
    /// After failure, `||`.
    Failure,
}

/// The commands of a line, each with the words that are still to be expanded.
pub(super) fn commands(line: &str) -> Vec<(Join, Vec<&str>)> {
    let mut commands = vec![(Join::Always, Vec::new())];
    for word in line.split_ascii_whitespace() {
        let join = match word {
            "#" => break,
            "||" => Join::Failure,
            "&&" => Join::Success,
            ";" => Join::Always,
            _ => {
                if let Some((_, words)) = commands.last_mut() {
                    words.push(word);
                }
                continue;
            }
        };
        commands.push((join, Vec::new()));
    }
    commands
}

/// The lines of a script, those that go on behind a backslash joined.
pub(super) fn lines(script: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in script.lines() {
        let (text, more) = match line.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if goes_on => last.push_str(text),
            _ => lines.push(text.to_owned()),
        }
        goes_on = more;
    }
    lines
}

/// The line behind a label.
pub(super) fn find_label(lines: &[String], label: &str) -> Option<usize> {
    lines.iter().position(|line| line.trim_end().strip_prefix(':') == Some(label)).map(|at| at + 1)
}

/// Replaces `${name}` by its value, the innermost first; unknown ones by nothing.
pub(super) fn expand(word: &str, value: impl Fn(&str) -> String) -> String {
    let mut text = word.to_owned();
    for _ in 0..MAX_EXPANSIONS {
        let inner = text.find("${").and_then(|first| {
            let end = first + text[first..].find('}')?;
            let start = text[..end].rfind("${")?;
            Some((start, end))
        });
        let Some((start, end)) = inner else { break };
        let value = value(&text[start + 2..end]);
        text.replace_range(start..=end, &value);
        if text.len() > MAX_LENGTH {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_at_operators_and_comments() {
        assert_eq!(
            commands("iseq ${a} b && goto x || echo no ; echo yes # not this"),
            [
                (Join::Always, vec!["iseq", "${a}", "b"]),
                (Join::Success, vec!["goto", "x"]),
                (Join::Failure, vec!["echo", "no"]),
                (Join::Always, vec!["echo", "yes"]),
            ]
        );
        assert_eq!(commands("# all of it"), [(Join::Always, vec![])]);
        // An operator without space around it is part of a word, as in iPXE.
        assert_eq!(commands("echo a||b"), [(Join::Always, vec!["echo", "a||b"])]);
    }

    #[test]
    fn continued_lines_are_one() {
        assert_eq!(lines("echo a \\\nb\nc\n"), ["echo a b", "c"]);
        assert_eq!(lines("x\\"), ["x"]);
    }

    #[test]
    fn labels_are_whole_lines() {
        let lines = lines("#!ipxe\n:retry_2\n:retry\necho\n");
        assert_eq!(find_label(&lines, "retry"), Some(3));
        assert_eq!(find_label(&lines, "ret"), None);
    }

    #[test]
    fn expansions_nest_and_end() {
        let value = |name: &str| match name {
            "a" => "b".to_owned(),
            "xb" => "deep".to_owned(),
            "loop" => "${loop}".to_owned(),
            "grow" => "${grow}${grow}".to_owned(),
            _ => String::new(),
        };
        assert_eq!(expand("<${x${a}}|${none}>", value), "<deep|>");
        assert_eq!(expand("${open", value), "${open");
        assert_eq!(expand("}${a}", value), "}b");
        assert_eq!(expand("${loop}", value), "${loop}");
        assert!(expand("${grow}", value).len() < 2 * MAX_LENGTH);
    }
}
