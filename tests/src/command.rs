//! A call of a program with a deadline, and what it said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::Value;

use crate::messages;

/// What a call printed, and its exit code.
#[derive(Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; -1 when it was killed.
    pub code: i32,
}

impl Output {
    /// The same, or a panic that shows all of it.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, if stderr has the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in stderr:\n{}", self.stderr);
        self
    }

    /// The same, if stdout has the text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "no `{text}` in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The JSON lines of stdout.
    #[track_caller]
    pub fn messages(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(read).collect()
    }

    /// The first JSON line with this reason.
    #[track_caller]
    pub fn message(&self, reason: &str) -> Value {
        let mut messages = self.messages().into_iter();
        messages
            .find(|message| message["reason"] == reason)
            .unwrap_or_else(|| panic!("no `{reason}` in:\n{}", self.stdout))
    }
}

/// A call that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    handle: Arc<duct::Handle>,
    line: String,
}

impl Running {
    /// Starts a call, in a process group of its own, its output kept.
    pub fn start(call: duct::Expression, line: String) -> Self {
        use std::os::unix::process::CommandExt;
        let call = call.stdin_null().stdout_capture().stderr_capture().unchecked().before_spawn(
            |command| {
                command.process_group(0);
                Ok(())
            },
        );
        let handle = Arc::new(call.start().unwrap_or_else(|error| panic!("{line}: {error}")));
        Self { handle, line }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.handle.pids()[0]
    }

    /// Sends it SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT).unwrap();
    }

    /// Kills it without a warning.
    ///
    /// # Panics
    /// When that is not permitted.
    pub fn kill(self) {
        self.handle.kill().unwrap();
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When that cannot be told.
    pub fn is_over(&self) -> bool {
        self.handle.try_wait().unwrap().is_some()
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it has not ended by the limit, or wrote messages that the schema does not know.
    #[track_caller]
    pub fn wait(self, limit: Duration) -> Output {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(output) = self.handle.try_wait().unwrap() {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                messages::check(&text(&output.stdout));
                return Output {
                    stdout: text(&output.stdout),
                    stderr: text(&output.stderr),
                    code: output.status.code().unwrap_or(-1),
                };
            }
            assert!(Instant::now() < deadline, "{} did not end in {limit:?}", self.line);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.handle.kill();
    }
}

/// Waits until a file has the text, and gives what it has then.
///
/// # Panics
/// When it has not by the limit.
#[track_caller]
pub(crate) fn wait_for_text(path: &Utf8Path, text: &str, limit: Duration) -> String {
    let deadline = Instant::now() + limit;
    loop {
        let bytes = fs_err::read(path).unwrap_or_default();
        let said = String::from_utf8_lossy(&bytes);
        if said.contains(text) {
            return said.into_owned();
        }
        assert!(Instant::now() < deadline, "no `{text}` in {path} in {limit:?}:\n{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
