//! A desk: a home, state, cache and twin that no other test shares.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::{Utf8TempDir, tempdir};

use crate::command::{Output, Running, wait_for_text};
use crate::{Terminal, given};

/// Limit for a call that boots nothing.
const CALL_LIMIT: Duration = Duration::from_secs(180);

/// A desk. Its twin is stopped and its files are removed when it is dropped.
#[derive(Debug)]
pub struct Desk {
    dir: Utf8TempDir,
    variables: Vec<(String, String)>,
}

impl Desk {
    /// A new desk; nothing runs yet.
    pub fn new() -> Self {
        Self { dir: tempdir().unwrap(), variables: Vec::new() }
    }

    /// The working folder of its calls.
    pub fn dir(&self) -> &Utf8Path {
        self.dir.path()
    }

    /// The same with a variable set for all calls.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The same with credentials that any emulator takes, in its region.
    #[must_use]
    pub fn with_keys(self) -> Self {
        self.with("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .with("AWS_SECRET_ACCESS_KEY", "secret")
            .with("AWS_REGION", "us-east-1")
            .with("AWS_DEFAULT_REGION", "us-east-1")
    }

    /// A desk in the same surroundings, with a home of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { dir: tempdir().unwrap(), variables: self.variables.clone() }
    }

    /// Writes a file in the working folder and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Utf8PathBuf {
        let path = self.dir().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// An amd64 build tree of its own, for a test that breaks it: laid out, not built.
    pub fn laid_out_tree(&self) -> Utf8PathBuf {
        let tree = self.dir().join("tree");
        let source = given("L4RE_TEST_TREE_AMD64").join("source").canonicalize_utf8().unwrap();
        let call = duct::cmd!("make", "-s", "-C", &source, format!("B={tree}"), "T=amd64");
        call.stdout_null().stderr_null().run().unwrap();
        tree
    }

    /// The same, built.
    pub fn built_tree(&self) -> Utf8PathBuf {
        let tree = self.laid_out_tree();
        duct::cmd!("make", "-s", "-C", &tree).stdout_null().stderr_null().run().unwrap();
        tree
    }

    /// A build tree of its own, built, with sources of its own in `sources`.
    pub fn tree_with_sources(&self) -> Utf8PathBuf {
        let (tree, sources) = (self.dir().join("tree"), self.dir().join("sources"));
        let shared = given("L4RE_TEST_TREE_AMD64").join("source").canonicalize_utf8().unwrap();
        duct::cmd!("cp", "-r", shared, &sources).run().unwrap();
        let lay_out = duct::cmd!("make", "-s", "-C", &sources, format!("B={tree}"), "T=amd64");
        for make in [lay_out, duct::cmd!("make", "-s", "-C", &tree)] {
            make.stdout_null().stderr_null().run().unwrap();
        }
        tree
    }

    /// The image of `hello` from `tree` with a bit of its first module flipped.
    pub fn image_with_a_wrong_sum(&self, tree: &str) -> Utf8PathBuf {
        let path = self.l4re(&["efiimage", "hello", "--tree", tree]).code(0).stdout;
        let mut bytes = fs_err::read(path.trim()).unwrap();
        let words = ["inspect", path.trim(), "--message-format", "json"];
        let inspection = self.l4re(&words).code(0).message("inspection");
        let at = inspection["modules"][0]["file_offset"].as_u64().unwrap();
        bytes[usize::try_from(at).unwrap() + 100] ^= 1;
        self.write("bad.efi", bytes)
    }

    /// An arm64 EFI image of its own, which no other test builds anew.
    pub fn image(&self) -> Utf8PathBuf {
        let tree = given("L4RE_TEST_TREE_ARM64").to_string();
        let built = self.l4re(&["efiimage", "hello", "--tree", &tree]).code(0).stdout;
        self.write("hello.efi", fs_err::read(built.trim()).unwrap())
    }

    /// Calls `cargo l4re` and waits for its end, no longer than a call without a boot takes.
    #[track_caller]
    pub fn l4re(&self, words: &[&str]) -> Output {
        self.start(words).wait(CALL_LIMIT)
    }

    /// Calls `cargo l4re` again and again until its stderr has the text.
    ///
    /// # Panics
    /// When it has not by the limit for a call.
    #[track_caller]
    pub fn until(&self, text: &str, words: &[&str]) {
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            let output = self.l4re(words);
            if output.stderr.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no `{text}` in {CALL_LIMIT:?}: {output:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts `cargo l4re`.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut argv = vec!["l4re"];
        argv.extend(words);
        self.start_program(&given("L4RE_TEST_BINARY"), &argv)
    }

    /// Starts any program with this desk's surroundings and no others.
    pub fn start_program(&self, program: &Utf8Path, words: &[&str]) -> Running {
        self.start_with(&[], program, words)
    }

    /// The same with further variables.
    pub fn start_with(
        &self,
        variables: &[(&str, &str)],
        program: &Utf8Path,
        words: &[&str],
    ) -> Running {
        let call = self.surround(duct::cmd(program.as_str(), words), variables);
        Running::start(call, format!("{program} {}", words.join(" ")))
    }

    /// A shell on a terminal; `$L4RE` is the binary.
    pub fn terminal(&self) -> Terminal {
        let binary = given("L4RE_TEST_BINARY");
        let surroundings = |call| self.surround(call, &[("L4RE", binary.as_str())]);
        Terminal::start(surroundings, self.dir().join("screen"))
    }

    fn surround(&self, call: duct::Expression, variables: &[(&str, &str)]) -> duct::Expression {
        let home = self.dir().join("home");
        fs_err::create_dir_all(&home).unwrap();
        let mut call = call.dir(self.dir());
        // The first word on a variable counts in duct: what is set, then what is not.
        let own = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables.iter().copied().chain(own).collect();
        for (name, value) in &variables {
            call = call.env(name, value);
        }
        call = call
            .env("HOME", &home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("USER", "tester");
        for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "CI", "NO_COLOR", "V"] {
            if !variables.iter().any(|(set, _)| *set == name) {
                call = call.env_remove(name);
            }
        }
        call
    }

    /// A folder or file below the twin's state.
    pub fn twin_file(&self, name: &str) -> Utf8PathBuf {
        self.dir().join("home/state/cargo-l4re/twin").join(name)
    }

    /// Another desk, at which this desk's twin is AWS.
    pub fn as_aws(&self) -> Self {
        let environment = self.l4re(&["twin", "env"]).code(0).stdout;
        let mut desk = self.another();
        for line in environment.lines() {
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|rest| rest.split_once('='))
            {
                desk = desk.with(name, value.trim_matches('\''));
            }
        }
        desk
    }

    /// The value of a variable that was set for all calls.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut set = self.variables.iter().filter(|(set, _)| set == name);
        set.next().map(|(_, value)| value.as_str())
    }

    /// Calls a client that others wrote from the tests' virtual environment, pointed at this
    /// desk's twin.
    #[track_caller]
    pub fn aws(&self, words: &[&str]) -> Output {
        let desk = self.as_aws();
        let aws = given("L4RE_TEST_VENV").join("bin/aws");
        desk.start_program(&aws, words).wait(CALL_LIMIT)
    }

    /// Kills this desk's daemon, as `kill -9` does, and waits until it is gone.
    pub fn kill_twin(&self) {
        let status = self.l4re(&["twin", "status", "--message-format", "json"]).code(0);
        let pid = status.message("twin")["pid"].as_i64().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let deadline = Instant::now() + CALL_LIMIT;
        while self.l4re(&["twin", "status"]).stdout.contains("twin at") {
            assert!(Instant::now() < deadline, "the daemon lives after SIGKILL");
        }
    }

    /// Waits until the console log of a run has the text, and gives what it has then.
    #[track_caller]
    pub fn wait_for_log(&self, name: &str, text: &str, limit: Duration) -> String {
        wait_for_text(&self.dir().join(name), text, limit)
    }

    /// Processes of QEMU that belong to this desk, by their command lines.
    pub fn machines(&self) -> Vec<String> {
        let ours =
            |line: &String| line.contains("qemu-system") && line.contains(self.dir().as_str());
        let processes = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(ours)
            .collect()
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A desk on which no twin was started has none to stop, and that is no error.
        if self.dir().join("home/state").exists() && !std::thread::panicking() {
            self.l4re(&["twin", "stop"]);
            let left = self.machines();
            assert!(left.is_empty(), "QEMU outlived its twin: {left:?}");
        } else if std::thread::panicking() {
            let mut call = duct::cmd(given("L4RE_TEST_BINARY").as_str(), ["l4re", "twin", "stop"]);
            call = call.env("XDG_STATE_HOME", self.dir().join("home/state"));
            let _ = call.dir(self.dir()).stdout_null().stderr_null().unchecked().run();
        }
    }
}
