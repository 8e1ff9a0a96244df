//! An AMI of a 1 GiB disk with 2 MiB of content on the twin, against coldsnap's upload of the
//! same kind of disk. Ours does more: it makes the disk, and registers the AMI.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::Bench;
use super::deploy::Desk;
use super::outcome::Outcome;
use super::sample::{Goal, alternate};
use crate::call::Call;
use crate::shell;

const AMI: Goal = Goal {
    name: "ami-build",
    tree: None,
    ours: "cargo l4re ami build",
    theirs: "coldsnap upload --omit-zero-blocks --wait",
    target: 1.0,
};

const ROUNDS: u32 = 5;
const CONTENT: u64 = 2 << 20;

/// Measures it, if coldsnap is there.
pub(super) fn measure(bench: &Bench<'_>, desk: &Desk) -> Result<Option<Outcome>> {
    let coldsnap = bench.coldsnap.clone().unwrap_or_else(|| Utf8PathBuf::from("coldsnap"));
    if !Call::new([coldsnap.as_str(), "--help"]).succeeds() {
        let text = format!("{}: coldsnap is not installed (`cargo install coldsnap`)", AMI.name);
        shell::status("Left out", &text);
        return Ok(None);
    }
    let ours = || desk.timed(&["ami", "build", desk.fresh_image(CONTENT)?.as_str(), "--local"]);
    let theirs = || upload(desk, &coldsnap);
    Ok(Some(Outcome::Ratio(alternate(AMI, bench.rounds.unwrap_or(ROUNDS), ours, theirs)?)))
}

/// Uploads a disk that coldsnap has not seen; making it takes none of its time.
fn upload(desk: &Desk, coldsnap: &Utf8PathBuf) -> Result<Duration> {
    let image = desk.fresh_image(CONTENT)?;
    let disk = image.with_extension("img");
    desk.l4re(&["disk", image.as_str(), "--output", disk.as_str()]).read()?;
    let words = ["upload", disk.as_str(), "--omit-zero-blocks", "--wait", "--no-progress"];
    let took = desk.client(&[&[coldsnap.as_str()], &words[..]].concat()).time()?;
    fs_err::remove_file(disk)?;
    Ok(took)
}
