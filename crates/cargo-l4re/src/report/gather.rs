//! What is to be known about a machine and a project.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::{BuildTree, KernelTree};

use crate::commands::Context;

/// Time that a program has to say its version.
const LIMIT: Duration = Duration::from_secs(5);
/// How much of a log's end is taken.
const TAIL: usize = 16 * 1024;
/// Programs that take part, and the words on which they say their version.
const PROGRAMS: [&[&str]; 6] = [
    &["cargo", "--version"],
    &["rustc", "--version"],
    &["make", "--version"],
    &["gcc", "--version"],
    &["qemu-system-x86_64", "--version"],
    &["qemu-system-aarch64", "--version"],
];
/// Variables that count; of others not even the names are anybody's business.
const VARIABLES: [&str; 12] = [
    "CARGO_",
    "XDG_",
    "AWS_",
    "L4RE_",
    "CI",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "LANG",
    "LC_ALL",
    "MODULE_SEARCH_PATH",
    "MAKEFLAGS",
];
/// Variables of AWS whose values help and are no secret.
const AWS_SHOWN: [&str; 5] =
    ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"];

/// This program, the others that take part, and the machine.
pub fn versions(context: &Context) -> String {
    let features = if cfg!(feature = "cloud") { "cloud" } else { "none" };
    let mut lines =
        vec![format!("cargo-l4re {} (features: {features})", env!("CARGO_PKG_VERSION"))];
    for argv in PROGRAMS {
        let said = first_line(argv).unwrap_or_else(|| "not found".to_owned());
        lines.push(format!("{}: {said}", argv[0]));
    }
    let uname = rustix::system::uname();
    let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let kernel = [uname.sysname(), uname.release(), uname.machine()].map(part).join(" ");
    lines.push(format!("kernel: {kernel}"));
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    lines.push(format!("system: {}", name.unwrap_or("unknown").trim_matches('"')));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kvm = Utf8Path::new("/dev/kvm").exists();
    lines.push(format!("cores: {cores}, KVM: {}", if kvm { "there" } else { "not there" }));
    lines.push(format!("folder: {}", context.environment.folder()));
    lines.join("\n")
}

/// The first line that a program says, if it says one in time.
fn first_line(argv: &[&str]) -> Option<String> {
    let call =
        duct::cmd(argv[0], &argv[1..]).stdin_null().stderr_null().stdout_capture().unchecked();
    let handle = call.start().ok()?;
    let Ok(Some(output)) = handle.wait_timeout(LIMIT) else {
        // One that hangs is ended; that it may have ended just now is no failure.
        let _ = handle.kill();
        return None;
    };
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// The build trees that hold, and whether they can be used.
pub fn trees(context: &Context) -> String {
    let mut lines = Vec::new();
    let global = &context.global;
    let folder = context.environment.folder();
    let mut builds: Vec<Utf8PathBuf> = global.tree.iter().map(|dir| folder.join(dir)).collect();
    let mut kernels: Vec<Utf8PathBuf> = global.kernel.iter().map(|dir| folder.join(dir)).collect();
    for (_, tree) in context.settings.trees() {
        builds.extend(tree.build);
        kernels.extend(tree.kernel);
    }
    for dir in builds {
        lines.push(match BuildTree::open(&dir) {
            Ok(tree) => {
                let platform = tree.platform().unwrap_or("no platform");
                format!(
                    "{dir}: {}, {}, {platform}, made from {}",
                    tree.arch(),
                    tree.cpu(),
                    tree.source()
                )
            }
            Err(error) => format!("{dir}: {error}"),
        });
    }
    for dir in kernels {
        lines.push(match KernelTree::open(&dir) {
            Ok(tree) => format!(
                "{dir}: {}, {}, virtualization {}, {} processors",
                tree.arch,
                tree.platform.as_deref().unwrap_or("no platform"),
                tree.virtualization,
                tree.max_cpus
            ),
            Err(error) => format!("{dir}: {error}"),
        });
    }
    if lines.is_empty() { "none is set".to_owned() } else { lines.join("\n") }
}

/// Every setting that holds, with its origin.
pub fn settings(context: &Context) -> String {
    let values = context.settings.values(&context.environment);
    let lines = values.iter().map(|(key, held)| crate::commands::settings::line(key, held));
    lines.collect::<Vec<_>>().join("\n")
}

/// The variables that count.
pub fn environment(context: &Context) -> String {
    let all = context.environment.all();
    let named = all.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let counts = |name: &str| {
        VARIABLES.iter().any(|known| match known.ends_with('_') {
            true => name.starts_with(known),
            false => name == *known,
        })
    };
    let mut lines: Vec<String> = named
        .filter(|(name, _)| counts(name))
        .map(|(name, value)| {
            let hidden = super::mask::is_secret(name)
                || (name.starts_with("AWS_") && !AWS_SHOWN.contains(&name));
            if hidden { format!("{name} is set") } else { format!("{name}={value}") }
        })
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The last logs of consoles and the twin's, as titles and ends of texts, the newest first.
pub fn logs(context: &Context, count: usize) -> Vec<(String, String)> {
    let Some(state) = context.environment.state_dir() else { return Vec::new() };
    let entries = state.join("logs").read_dir_utf8().into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.into_path()).collect();
    // Their names begin with the time.
    paths.sort_unstable();
    let newest = paths.into_iter().rev().take(count);
    let twin = context.settings.find(|layer| layer.twin.dir.clone());
    let twin = twin.unwrap_or_else(|| state.join("twin")).join("daemon.log");
    let all = newest.chain(std::iter::once(twin));
    all.filter_map(|path| Some((format!("log {path}"), tail(&fs_err::read(&path).ok()?)))).collect()
}

/// The end of a text, from the beginning of a line.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let Some(start) = text.len().checked_sub(TAIL) else { return text.into_owned() };
    // A line that is cut could hold the end of something that is masked by its beginning.
    match text.as_bytes()[start..].iter().position(|&byte| byte == b'\n') {
        Some(newline) => format!("(the last {TAIL} bytes)\n{}", &text[start + newline + 1..]),
        None => "(one line that is too long)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_begins_with_a_line() {
        let text = format!("{}\n{}", "a".repeat(TAIL), "end\n");
        assert_eq!(tail(text.as_bytes()), format!("(the last {TAIL} bytes)\nend\n"));
        assert_eq!(tail(b"short"), "short");
        assert!(!tail("ä".repeat(TAIL).as_bytes()).contains('ä'));
    }

    #[test]
    fn programs_that_are_not_there_are_none() {
        assert_eq!(first_line(&["/no/such/program"]), None);
        assert_eq!(first_line(&["echo", "a\nb"]).as_deref(), Some("a"));
    }
}
