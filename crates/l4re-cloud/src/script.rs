//! The iPXE script that is a machine's user data: fetch, verify, boot, retry, report.
//!
//! Invariant: pure, at most 16 KiB, and each stage is marked on the console by a line
//! `l4re: <stage> <key=value …>`; stages are start, fetch, verify, boot, retry, failed. The
//! sum that the image shall have is a line without a stage: `l4re: image=<64 digits>`.
//! The console never sees the URL's query, which is a secret. Only commands that Debian's
//! 2019 iPXE has are relied on; what newer ones add is caught with `||` where it lacks.

use std::fmt::Write;

use l4re_image::{Arch, Kind};

use crate::error::CloudError;

/// What EC2 takes as user data, in bytes before base64.
pub const USER_DATA_LIMIT: usize = 16 * 1024;

/// The pauses double, so more attempts than this would wait for hours.
const MOST_ATTEMPTS: u32 = 12;

/// Milliseconds without a byte after which iPXE gives a download up.
const FETCH_TIMEOUT_MS: u32 = 60_000;

/// What the machine does when all retries failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterFailure {
    /// Reboot after a minute, which reads the user data anew.
    #[default]
    Reboot,
    /// Wait for ever, so that the console can be read.
    Wait,
}

/// What goes into a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOptions {
    /// The image's URL.
    pub url: String,
    /// The name that iPXE gives to the image: see [`file_name`].
    pub name: String,
    /// SHA-256 of the image in lower-case hexadecimal, if known.
    pub sha256: Option<String>,
    /// Bytes of the image, if known; only printed.
    pub size: Option<u64>,
    /// A word that marks this boot on the console, so that it is told from an earlier one.
    pub mark: Option<String>,
    /// The image's command line; iPXE expands `${…}` in it.
    pub command_line: Option<String>,
    /// Attempts at the download, 1 to 12; the pauses between them double from 1 s.
    pub attempts: u32,
    /// What to do when all failed.
    pub after_failure: AfterFailure,
}

impl ScriptOptions {
    /// Eight attempts within about four minutes, then a reboot.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            sha256: None,
            size: None,
            mark: None,
            command_line: None,
            attempts: 8,
            after_failure: AfterFailure::Reboot,
        }
    }
}

/// The standard file name of an image: what firmware looks for, or `bootstrap.elf`.
pub fn file_name(arch: Arch, kind: Kind) -> &'static str {
    match kind {
        Kind::Elf => "bootstrap.elf",
        Kind::Efi => arch.efi_name().unwrap_or("bootstrap.efi"),
    }
}

/// The script, or why there can be none.
pub fn script(options: &ScriptOptions) -> Result<String, CloudError> {
    check(options)?;
    let mut text = String::with_capacity(2048 + options.url.len());
    start(&mut text, options);
    fetch(&mut text, options);
    verify(&mut text, options);
    boot(&mut text, options);
    retry(&mut text, options);
    failed(&mut text, options);
    if text.len() > USER_DATA_LIMIT {
        return Err(CloudError::UserDataTooLarge { size: text.len(), limit: USER_DATA_LIMIT });
    }
    Ok(text)
}

/// Appends one line; writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

/// What the console shows when the script with this mark begins.
pub(crate) fn start_mark(mark: &str) -> String {
    format!("l4re: start deploy={mark}")
}

/// Each mark fits into 80 columns, at which SeaBIOS breaks lines: so the machine has a line
/// of its own, and so has the sum, for which only a line without a stage has room.
fn start(text: &mut String, options: &ScriptOptions) {
    let sum = options.sha256.as_deref().unwrap_or("unknown");
    let size = options.size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
    line!(text, "#!ipxe");
    if let Some(mark) = &options.mark {
        line!(text, "echo {}", start_mark(mark));
    }
    line!(text, "echo l4re: start ipxe=${{version}}");
    line!(text, "echo l4re: start machine=${{product}} platform=${{platform}} arch=${{buildarch}}");
    line!(text, "echo l4re: start size={size}");
    line!(text, "echo l4re: image={sum}");
    line!(text, "set try:int32 1");
    line!(text, "set pause:int32 1");
}

/// iPXE prints the URL itself, without the query.
fn fetch(text: &mut String, options: &ScriptOptions) {
    let (name, url) = (&options.name, &options.url);
    let arguments = options.command_line.as_deref().map(str::trim).unwrap_or_default();
    let space = if arguments.is_empty() { "" } else { " " };
    line!(text, ":fetch");
    line!(text, "echo l4re: fetch try=${{try}} of={}", options.attempts);
    line!(
        text,
        "kernel --name {name} --timeout {FETCH_TIMEOUT_MS} {url}{space}{arguments} || goto fetch-failed"
    );
}

/// A build without `sha256sum --set` boots unverified and says so.
fn verify(text: &mut String, options: &ScriptOptions) {
    let Some(sum) = &options.sha256 else {
        line!(text, "echo l4re: verify sum=unknown");
        return;
    };
    line!(text, "sha256sum --set sum {} || goto unverified", options.name);
    line!(text, "iseq ${{sum}} {sum} || goto wrong-sum");
    line!(text, "echo l4re: verify sum=ok");
    line!(text, "goto boot");
    line!(text, ":unverified");
    line!(text, "echo l4re: verify sum=unchecked");
}

/// `boot` returns when the image could not be started, or came back.
fn boot(text: &mut String, options: &ScriptOptions) {
    line!(text, ":boot");
    line!(text, "echo l4re: boot image={}", options.name);
    line!(text, "boot {} || goto boot-failed", options.name);
    line!(text, "set why returned");
    line!(text, "goto no-error");
    // The error number is that of the last command that failed, so it is kept at once.
    line!(text, ":boot-failed");
    line!(text, "set error ${{errno}} ||");
    line!(text, "set why boot");
    line!(text, "goto retry");
    line!(text, ":fetch-failed");
    line!(text, "set error ${{errno}} ||");
    line!(text, "set why fetch");
    line!(text, "goto retry");
    if options.sha256.is_some() {
        line!(text, ":wrong-sum");
        line!(text, "echo l4re: verify sum=wrong");
        line!(text, "set why wrong-sum");
    }
    line!(text, ":no-error");
    line!(text, "set error none");
}

/// A name that is loaded is not fetched again: the image goes before the retry.
fn retry(text: &mut String, options: &ScriptOptions) {
    line!(text, ":retry");
    line!(text, "iseq ${{try}} {} && goto failed ||", options.attempts);
    line!(text, "echo l4re: retry why=${{why}} try=${{try}} pause=${{pause}}s error=${{error}}");
    line!(text, "imgfree {} ||", options.name);
    line!(text, "sleep ${{pause}} ||");
    line!(text, "inc try");
    line!(text, "inc pause ${{pause}}");
    line!(text, "goto fetch");
}

fn failed(text: &mut String, options: &ScriptOptions) {
    let then = match options.after_failure {
        AfterFailure::Reboot => "reboot",
        AfterFailure::Wait => "wait",
    };
    line!(text, ":failed");
    line!(text, "echo l4re: failed why=${{why}} tries=${{try}} error=${{error}} then={then}");
    match options.after_failure {
        AfterFailure::Reboot => {
            line!(text, "sleep 60 ||");
            line!(text, "reboot ||");
            line!(text, "exit 1");
        }
        AfterFailure::Wait => {
            line!(text, ":wait");
            line!(text, "sleep 3600 ||");
            line!(text, "goto wait");
        }
    }
}

pub(crate) fn check_url(url: &str) -> Result<(), CloudError> {
    let refuse = |reason: &str| {
        Err(CloudError::Script { field: "the image's URL", reason: reason.to_owned() })
    };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return refuse("it is neither http nor https");
    }
    if !url.bytes().all(|b| b.is_ascii_graphic()) || url.contains("${") {
        return refuse("it has white space, `${` or characters beyond ASCII");
    }
    let authority = url.split("//").nth(1).and_then(|rest| rest.split('/').next());
    if authority.is_some_and(|a| a.contains('@')) {
        return refuse("it holds a user name, which the console would show");
    }
    Ok(())
}

fn check(options: &ScriptOptions) -> Result<(), CloudError> {
    let refuse = |field, reason: &str| Err(CloudError::Script { field, reason: reason.to_owned() });
    check_url(&options.url)?;
    if !options.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        || options.name.is_empty()
        || options.name.starts_with('-')
    {
        return refuse("the image's name", "only letters, digits, `.`, `_` and `-` may be in it");
    }
    if options.mark.as_ref().is_some_and(|m| m.bytes().any(|b| !b.is_ascii_alphanumeric())) {
        return refuse("the mark", "only letters and digits may be in it");
    }
    if let Some(sum) = &options.sha256
        && (sum.len() != 64 || !sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    {
        return refuse("the image's SHA-256", "it is not 64 lower-case hexadecimal digits");
    }
    if !(1..=MOST_ATTEMPTS).contains(&options.attempts) {
        return refuse("the number of attempts", "it is not between 1 and 12");
    }
    check_command_line(options.command_line.as_deref().unwrap_or_default())
}

/// iPXE splits at white space and knows no quotes, so what it would take for its own
/// operators or for a comment cannot be passed.
fn check_command_line(text: &str) -> Result<(), CloudError> {
    let refuse = |reason: &str| {
        Err(CloudError::Script { field: "the command line", reason: reason.to_owned() })
    };
    if text.chars().any(|c| c.is_control()) {
        return refuse("it has control characters");
    }
    if text.trim_end().ends_with('\\') {
        return refuse("it ends in a backslash, which continues the line");
    }
    match text.split_whitespace().find(|w| matches!(*w, "||" | "&&") || w.starts_with('#')) {
        Some(word) => refuse(&format!("iPXE would take `{word}` for its own")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options() -> ScriptOptions {
        ScriptOptions {
            sha256: Some("ab".repeat(32)),
            size: Some(1_572_864),
            ..ScriptOptions::new(
                "http://b.s3.eu-central-1.amazonaws.com/l4re/x/bootaa64.efi?X-Amz-Signature=5ec2e7",
                "bootaa64.efi",
            )
        }
    }

    #[test]
    fn script_with_sum() {
        insta::assert_snapshot!(script(&options()).unwrap());
    }

    #[test]
    fn script_without_sum_that_waits() {
        let options = ScriptOptions {
            sha256: None,
            size: None,
            command_line: Some("-serial_esc foo=${net0/ip}".into()),
            after_failure: AfterFailure::Wait,
            attempts: 3,
            ..options()
        };
        insta::assert_snapshot!(script(&options).unwrap());
    }

    #[test]
    fn marks_are_short_and_never_show_the_url() {
        let text = script(&options()).unwrap();
        for mark in text.lines().filter_map(|line| line.strip_prefix("echo ")) {
            assert!(!mark.contains("http") && mark.len() < 80, "{mark}");
        }
    }

    #[test]
    fn too_large_is_told_with_both_numbers() {
        let url = format!("http://host/{}", "a".repeat(USER_DATA_LIMIT));
        let error = script(&ScriptOptions { url, ..options() }).unwrap_err();
        let CloudError::UserDataTooLarge { size, limit } = error else { panic!("{error}") };
        assert!(size > limit && limit == 16384);
    }

    #[test]
    fn what_a_script_cannot_hold_is_refused() {
        let refused = |change: fn(&mut ScriptOptions)| {
            let mut options = options();
            change(&mut options);
            script(&options).unwrap_err().to_string()
        };
        assert!(refused(|o| o.url = "ftp://x/y".into()).contains("neither http"));
        assert!(refused(|o| o.url = "http://x/y z".into()).contains("white space"));
        assert!(refused(|o| o.url = "http://x/${y}".into()).contains("white space"));
        assert!(refused(|o| o.url = "http://me:pw@x/y".into()).contains("user name"));
        assert!(refused(|o| o.name = "a b".into()).contains("name"));
        assert!(refused(|o| o.sha256 = Some("AB".repeat(32))).contains("lower-case"));
        assert!(refused(|o| o.attempts = 0).contains("attempts"));
        assert!(refused(|o| o.command_line = Some("a || reboot".into())).contains("||"));
        assert!(refused(|o| o.command_line = Some("a\nreboot".into())).contains("control"));
        assert!(refused(|o| o.command_line = Some("a #b".into())).contains("#b"));
        assert!(refused(|o| o.command_line = Some("a \\".into())).contains("backslash"));
    }

    proptest! {
        /// Whatever the command line holds, it adds no line and never changes the script's
        /// own commands.
        #[test]
        fn a_command_line_adds_no_command(text in ".{0,80}") {
            let plain = script(&options()).unwrap();
            if let Ok(with) = script(&ScriptOptions { command_line: Some(text), ..options() }) {
                prop_assert_eq!(with.lines().count(), plain.lines().count());
                let differing = with.lines().zip(plain.lines()).filter(|(a, b)| a != b).count();
                prop_assert!(differing <= 1);
            }
        }
    }
}
