//! What make says while it makes an image: passed on by whole lines, so that a live line below
//! cuts none, and told on that line in short.

use indicatif::ProgressBar;

use crate::shell::Shell;

/// Takes make's output and passes it on.
pub struct MakeOutput<'a> {
    shell: &'a Shell,
    bar: ProgressBar,
    partial: Vec<u8>,
    what: String,
}

impl<'a> MakeOutput<'a> {
    /// Output of a make that is to make `what`.
    pub fn new(shell: &'a Shell, what: &str) -> Self {
        let bar = shell.progress().waiting("Making", what.to_owned());
        Self { shell, bar, partial: Vec::new(), what: what.to_owned() }
    }

    /// Takes what make has written.
    pub fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.partial.split_off(end + 1);
        let lines = std::mem::replace(&mut self.partial, rest);
        let text = String::from_utf8_lossy(&lines);
        if let Some(step) = text.lines().rev().find_map(step) {
            self.bar.set_message(format!("{}: {step}", self.what));
        }
        self.shell.passthrough(&lines);
    }
}

impl Drop for MakeOutput<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.shell.passthrough(&self.partial);
        }
    }
}

/// What a line says that make does: the module that is put into the image, or what is built
/// before that.
fn step(line: &str) -> Option<String> {
    let plain = anstream::adapter::strip_str(line).to_string();
    let plain = plain.trim();
    if let Some((number, file)) = plain.strip_prefix("mod").and_then(|rest| rest.split_once(": ")) {
        let number: usize = number.parse().ok()?;
        let path = file.rsplit_once(" [").map_or(file, |(path, _)| path);
        let name = path.rsplit('/').next().unwrap_or(path);
        return Some(format!("module {}, {name}", number + 1));
    }
    // `[bootstrap] ... Compiling startup.o`, `[bootstrap] ==> Linking bootstrap.elf`.
    let (package, doing) = plain.strip_prefix('[')?.split_once("] ")?;
    let doing = doing.strip_prefix("... ").or(doing.strip_prefix("==> "))?;
    let package = package.split(" - ").next().unwrap_or(package);
    Some(format!("{package}, {}", doing.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_l4re_say_what_is_done() {
        for (line, said) in [
            ("mod00: /b/fiasco-amd64/fiasco [710 KiB]", "module 1, fiasco"),
            ("mod12: /b/bin/amd64_gen/l4f/hello [135 KiB]", "module 13, hello"),
            ("  [bootstrap - nofpu] ... Compiling startup.o", "bootstrap, Compiling startup.o"),
            ("\u{1b}[34;1m  [hello] ==> hello built\u{1b}[0m", "hello, hello built"),
        ] {
            assert_eq!(step(line).as_deref(), Some(said));
        }
        for line in ["make[1]: Entering directory '/b'", "modules: none", "[x", ""] {
            assert_eq!(step(line), None, "{line}");
        }
    }
}
