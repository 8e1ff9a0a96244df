//! The files that a console is kept in.

use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_console::log::RawLog;

use super::Attachment;
use crate::commands::Context;
use crate::failure::Failure;

/// Logs kept of earlier runs.
const LOGS_KEPT: usize = 50;

/// Makes sure that a log can be written, before a machine is launched whose console would be
/// lost.
pub fn check_log(context: &Context, path: Option<&Utf8Path>) -> Result<(), Failure> {
    match path {
        Some(path) => RawLog::check(&context.environment.folder().join(path))?,
        None => {
            let probe = folder(context)?.join(format!(".{}", std::process::id()));
            RawLog::check(&probe)?;
            fs_err::remove_file(probe)?;
        }
    }
    Ok(())
}

/// Refuses two places that are one file, of which the second would spoil what the first has.
/// What is written to a device is not kept, and may go to the same one.
pub(super) fn are_apart(
    context: &Context,
    [(one, first), (other, second)]: [(&str, Option<&Utf8Path>); 2],
) -> Result<(), Failure> {
    let (Some(first), Some(second)) = (first, second) else { return Ok(()) };
    let [a, b] = [first, second].map(|path| context.environment.folder().join(path));
    let same = match [&a, &b].map(|path| fs_err::metadata(path).ok()) {
        [Some(a), Some(b)] => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => a == b,
    };
    match same {
        true => Err(Failure::Usage(format!("`{one}` and `{other}` are the same file, {second}"))),
        false => Ok(()),
    }
}

/// The folder of logs that nobody gave a place.
fn folder(context: &Context) -> Result<Utf8PathBuf, Failure> {
    let dir = context.environment.state_dir().ok_or(Failure::NoHome)?.join("logs");
    fs_err::create_dir_all(&dir)?;
    Ok(dir)
}

/// The raw log: where the user wants it, or a file of its own in the state folder, of which
/// the newest are kept.
pub(super) fn open(
    context: &Context,
    name: &str,
    attachment: &Attachment,
) -> Result<RawLog, Failure> {
    let path = match &attachment.log {
        Some(path) => context.environment.folder().join(path),
        None => {
            let dir = folder(context)?;
            prune(&dir)?;
            let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
            dir.join(format!("{now}-{name}.log"))
        }
    };
    Ok(RawLog::create(&path)?)
}

/// Removes all but the newest logs; their names begin with the time.
fn prune(dir: &Utf8Path) -> Result<(), Failure> {
    let mut logs: Vec<_> = dir
        .read_dir_utf8()?
        .filter_map(Result::ok)
        .map(|entry| entry.into_path())
        .filter(|path| path.extension() == Some("log"))
        .collect();
    logs.sort_unstable();
    for old in logs.iter().rev().skip(LOGS_KEPT - 1) {
        // Another run may have removed it at the same moment.
        let _ = fs_err::remove_file(old);
    }
    Ok(())
}
