//! A person at a terminal: an interactive shell on a pseudo-terminal, keys typed into it, and
//! what the screen shows. `script` (util-linux) holds the terminal; the shell does what only
//! a shell can, job control.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

/// What the shell says when it takes a line.
const PROMPT: &str = "at your service: ";

/// A shell on a terminal of its own. Killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    handle: Arc<duct::Handle>,
    keys: UnixStream,
    screen: Utf8PathBuf,
    /// How much of the screen was waited for already.
    seen: usize,
}

impl Terminal {
    /// Starts bash in `call`'s surroundings; `screen` is the file that takes what it shows.
    pub(crate) fn start(
        surroundings: impl FnOnce(duct::Expression) -> duct::Expression,
        screen: Utf8PathBuf,
    ) -> Self {
        let (keys, typed) = UnixStream::pair().unwrap();
        // Set here: a shell in between that is not interactive drops it.
        let shell = format!("exec env 'PS1={PROMPT}' bash --norc --noprofile -i");
        let call = duct::cmd!("script", "--quiet", "--flush", "--command", shell, "/dev/null");
        let call = surroundings(call)
            .env("TERM", "vt100")
            .stdin_file(OwnedFd::from(typed))
            .stdout_path(&screen)
            .stderr_to_stdout()
            .unchecked();
        let handle = Arc::new(call.start().unwrap());
        Self { handle, keys, screen, seen: 0 }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows the text, after what was waited for before.
    ///
    /// # Panics
    /// When it does not by the limit.
    #[track_caller]
    pub fn shows(&mut self, text: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let screen = fs_err::read(&self.screen).unwrap();
            let new = String::from_utf8_lossy(&screen[self.seen..]).into_owned();
            if let Some(at) = new.find(text) {
                self.seen += new[..at + text.len()].len();
                return;
            }
            assert!(Instant::now() < deadline, "no `{text}` on the terminal in {limit:?}:\n{new}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the shell takes a line: what is typed before that a program may still read
    /// that is about to end.
    ///
    /// # Panics
    /// When it does not by the limit.
    #[track_caller]
    pub fn prompts(&mut self, limit: Duration) {
        self.shows(PROMPT, limit);
    }

    /// All that it has shown.
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&fs_err::read(&self.screen).unwrap()).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.handle.kill();
    }
}
