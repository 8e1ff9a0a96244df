//! Watches make's output as it streams by, and says at the end why make failed and where the
//! image went. Keeps a bounded number of lines of bounded length, whatever make prints.

use std::collections::VecDeque;

use super::cause::{self, Cause};

/// Lines kept for a report.
const KEPT_LINES: usize = 40;
/// Bytes of one line that are looked at.
const LINE_BYTES: usize = 16 * 1024;

/// A reader of make's output.
#[derive(Debug, Default)]
pub(super) struct Watch {
    partial: Vec<u8>,
    tail: VecDeque<String>,
    finding: Option<(Cause, Vec<String>)>,
    generated: Option<String>,
}

impl Watch {
    /// Takes the next bytes of output.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.partial);
            self.line(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
        }
        self.extend(bytes);
    }

    /// The path in the last `Generated image: …` of L4Re's image builder.
    pub(super) fn generated(&self) -> Option<&str> {
        self.generated.as_deref()
    }

    /// The cause of a failure and the lines that say so.
    pub(super) fn finish(mut self) -> (Cause, Vec<String>) {
        if !self.partial.is_empty() {
            self.feed(b"\n");
        }
        match self.finding {
            Some(finding) => finding,
            None => (last_error(&self.tail), self.tail.into()),
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, line: String) {
        let plain = without_colour(&line);
        if let Some(path) = plain.strip_prefix("Generated image: ") {
            self.generated = Some(path.trim_end().to_owned());
        }
        match &mut self.finding {
            Some((cause, lines)) => {
                if cause::complete(cause, &plain) && lines.len() < KEPT_LINES {
                    lines.push(line.clone());
                }
            }
            none => *none = cause::of_line(&plain).map(|cause| (cause, vec![line.clone()])),
        }
        if self.tail.len() == KEPT_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

/// The last line that starts with `Error`, else the last that speaks of one, else the last at
/// all; make's own lines, which only say that something failed, come after all others.
fn last_error(tail: &VecDeque<String>) -> Cause {
    let lines = || tail.iter().rev().map(|line| line.trim()).filter(|line| !line.is_empty());
    let others = || lines().filter(|line| !is_of_make(line));
    let starts = |line: &&str| line.to_lowercase().starts_with("error");
    let speaks = |line: &&str| {
        let line = line.to_lowercase();
        ["error", "cannot", "could not", "invalid", "fail"].iter().any(|word| line.contains(word))
    };
    let message = others()
        .find(starts)
        .or_else(|| others().find(speaks))
        .or_else(|| lines().find(|line| line.contains("*** ") && !line.contains("] Error ")))
        .or_else(|| others().next())
        .or_else(|| lines().next())
        .unwrap_or("it printed nothing");
    Cause::Other { message: message.to_owned() }
}

/// Whether make itself printed the line: `make[1]: …`.
fn is_of_make(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("make") else { return false };
    let level = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    level.map_or(rest, |(_, rest)| rest).starts_with(": ")
}

/// The line without the SGR sequences that compilers and L4Re colour it with.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(output: &str) -> (Cause, Vec<String>) {
        let mut watch = Watch::default();
        // Byte by byte, since pipes cut lines anywhere.
        output.bytes().for_each(|byte| watch.feed(&[byte]));
        watch.finish()
    }

    #[test]
    fn unknown_entry() {
        let (cause, lines) = cause(
            "/l4/conf/modules.list: Unknown entry \"helo\"!\nAvailable entries: hello ipcbench\n\
             make[1]: *** [Makefile:737: efiimage] Error 1\n",
        );
        let known = vec!["hello".to_owned(), "ipcbench".to_owned()];
        assert_eq!(cause, Cause::UnknownEntry { name: "helo".to_owned(), known });
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn missing_module() {
        let (cause, lines) = cause(
            "Merging images:\nCould not find\n  'cons'\n\nwithin paths\n  /b/assets\n  /b/bin/amd64_gen/l4f\nmake: *** [x] Error 1\n",
        );
        let searched = vec!["/b/assets".to_owned(), "/b/bin/amd64_gen/l4f".to_owned()];
        assert_eq!(cause, Cause::MissingModule { file: "cons".to_owned(), searched });
        assert_eq!(lines[1], "  'cons'");
    }

    #[test]
    fn platforms() {
        let (unknown, _) = cause(
            "ERROR: Platform \"pcc\" not known.\nAvailable platforms:\n   pc -- x86 PC based systems\nmake: *** [a] Error 1\n",
        );
        let available = vec!["pc".to_owned()];
        assert_eq!(unknown, Cause::UnknownPlatform { name: "pcc".to_owned(), available });
        let (other, _) = cause("Platform \"arm_sbsa\" not available for amd64.\n");
        let (name, arch) = ("arm_sbsa".to_owned(), "amd64".to_owned());
        assert_eq!(other, Cause::PlatformArch { name, arch });
    }

    #[test]
    fn compiler_errors_are_counted_and_colours_ignored() {
        let (cause, lines) = cause(
            "\x1b[01m/s/main.cc:7:3:\x1b[m \x1b[01;31merror: \x1b[m'x' was not declared\n\
             note\n/s/main.cc:9:1: error: expected ';'\nmake: *** [a.o] Error 1\n",
        );
        assert_eq!(
            cause.to_string(),
            "/s/main.cc:7:3: 'x' was not declared (the first of 2 errors)"
        );
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("\x1b[01m"), "kept unaltered");
    }

    #[test]
    fn tools_rules_and_others() {
        let tool = Cause::MissingTool { name: "aarch64-linux-gnu-gcc".to_owned() };
        assert_eq!(cause("bash: line 1: aarch64-linux-gnu-gcc: command not found\n").0, tool);
        assert_eq!(cause("make[2]: aarch64-linux-gnu-gcc: No such file or directory\n").0, tool);
        let rule = Cause::NoRule { goal: "efiimage".to_owned() };
        assert_eq!(cause("make: *** No rule to make target 'efiimage'.  Stop.\n").0, rule);
        let no_elf = cause(
            "Makefile:100: *** ERROR: Architecture 'arm64' is not supported for target elfimage.  Stop.\n",
        );
        assert_eq!(no_elf.0.to_string(), "there is no elfimage for arm64");
        let other = cause("boom: failed here\n\nmake: *** [Makefile:3: all] Error 2").0;
        assert_eq!(other.to_string(), "boom: failed here");
        assert_eq!(cause("").0.to_string(), "it printed nothing");
        let grammar = cause(
            "make[1]: Entering directory '/l4'\n/tmp/a.list:2: Invalid type \"bogus\"\n\
             make[1]: *** [Makefile:767: efiimage] Error 1\nmake[1]: Leaving directory '/l4'\n",
        );
        assert_eq!(grammar.0.to_string(), "/tmp/a.list:2: Invalid type \"bogus\"");
        let unwritable = cause(
            "Error: Could not open '/x.tmp': No such file or directory\nCall trace:\n\
             EFI.pm:414 (L4::Image::Utils::error)\nmake: *** [Makefile:6: a] Error 2\n",
        );
        assert!(unwritable.0.to_string().starts_with("Error: Could not open"));
    }

    #[test]
    fn endless_lines_do_not_grow_it() {
        let mut watch = Watch::default();
        (0..100).for_each(|_| watch.feed(&[b'x'; 10_000]));
        assert!(watch.partial.len() <= LINE_BYTES);
        watch.feed(b"\nGenerated image: /b/images/bootstrap_hello.efi\n");
        assert_eq!(watch.generated(), Some("/b/images/bootstrap_hello.efi"));
    }
}
