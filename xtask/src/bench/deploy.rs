//! From a finished image to an accepted launch, on the twin with 50 ms added to each call:
//! how many round trips follow each other, and how long it takes against the same steps by
//! the aws command line; uploads against its own.
//!
//! Round trips are counted by what a longer delay adds: time that grows with the delay is
//! time spent waiting for one answer after another. Requests are counted by a plan of faults
//! that refuses one after another.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::figure::{Figure, Unit};
use super::outcome::Outcome;
use super::sample::{Goal, alternate};
use super::{Bench, ami};
use crate::build;
use crate::call::Call;
use crate::shell;

const ACCEPTED: Goal = Goal {
    name: "deploy",
    tree: None,
    ours: "cargo l4re deploy",
    theirs: "aws, seven calls",
    target: 0.125,
};
const TRIPS: Goal = Goal {
    name: "deploy-trips",
    ours: "round trips in sequence",
    theirs: "",
    target: 3.0,
    ..ACCEPTED
};
const UNCHANGED: Goal = Goal {
    name: "upload-unchanged",
    ours: "requests for an unchanged image",
    theirs: "",
    target: 1.0,
    ..ACCEPTED
};
const UPLOAD: Goal = Goal {
    name: "upload-64-mib",
    ours: "cargo l4re upload",
    theirs: "aws s3 cp",
    target: 1.0,
    ..ACCEPTED
};

const ROUNDS: u32 = 5;
const DELAY: u64 = 50;
/// So much longer that what a busy machine adds by itself does not count as a trip.
const LONG_DELAY: u64 = 550;
const LARGE: u64 = 64 << 20;
const BUCKET: &str = "l4re-bench";

/// Measures all of it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let desk = Desk::set(bench)?;
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    desk.delay(DELAY)?;
    let deploy = alternate(
        ACCEPTED,
        rounds,
        || Ok(desk.deploy()?.whole),
        || desk.by_aws(&desk.fresh_image(0)?),
    )?;
    let trips = desk.trips(rounds)?;
    desk.delay(DELAY)?;
    let upload = alternate(
        UPLOAD,
        rounds,
        || {
            desk.timed(&[
                "upload",
                desk.fresh_image(LARGE)?.as_str(),
                "--local",
                "--bucket",
                BUCKET,
            ])
        },
        || desk.aws_upload(&desk.fresh_image(LARGE)?),
    )?;
    let ami = ami::measure(bench, &desk)?;
    let unchanged = desk.requests_when_unchanged()?;
    let outcomes = vec![
        count(TRIPS, trips),
        Outcome::Ratio(deploy),
        count(UNCHANGED, unchanged),
        Outcome::Ratio(upload),
    ];
    Ok(outcomes.into_iter().chain(ami).collect())
}

fn count(goal: Goal, ours: f64) -> Outcome {
    Outcome::Figure(Figure { goal, unit: Unit::Number, ours, theirs: None, rounds: 1 })
}

/// A twin of its own, and the clients that talk to it. Gone when dropped.
pub(super) struct Desk {
    folder: Utf8PathBuf,
    binary: Utf8PathBuf,
    aws: Utf8PathBuf,
    /// What points other people's clients at the twin.
    variables: Vec<(String, String)>,
    image: Utf8PathBuf,
    number: std::cell::Cell<u32>,
}

/// How long a deployment took.
struct Deployed {
    /// Until the command's end.
    whole: Duration,
    /// Until the launch was accepted.
    accepted: Duration,
}

impl Desk {
    fn set(bench: &Bench<'_>) -> Result<Self> {
        let folder = bench.project.target.join("bench/deploy");
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        fs_err::create_dir_all(&folder)?;
        let mut desk = Self {
            image: folder.join("image.efi"),
            folder,
            binary: bench.binary.clone(),
            aws: bench.project.venv().join("bin/aws"),
            variables: Vec::new(),
            number: std::cell::Cell::new(0),
        };
        let tree = build::demo_tree(bench.project, "arm64")?;
        let built = desk.l4re(&["efiimage", "hello", "--tree", tree.as_str()]).read()?;
        fs_err::copy(built.trim(), &desk.image)?;
        let set = desk.l4re(&["twin", "env"]).read()?;
        desk.variables = set.lines().filter_map(variable).collect();
        ensure!(!desk.variables.is_empty(), "the twin says nothing about itself: {set}");
        let image = desk.fresh_image(0)?;
        desk.l4re(&["upload", image.as_str(), "--local", "--bucket", BUCKET]).read()?;
        Ok(desk)
    }

    pub(super) fn l4re(&self, words: &[&str]) -> Call {
        let words = [&[self.binary.as_str(), "l4re"], words].concat();
        let home = |name: &str| self.folder.join(name).to_string();
        Call::new(words)
            .env("HOME", home("home"))
            .env("XDG_STATE_HOME", home("state"))
            .env("XDG_CACHE_HOME", home("cache"))
    }

    fn aws(&self, words: &[&str]) -> Call {
        self.client(&[&[self.aws.as_str()], words].concat())
    }

    /// Somebody else's client, pointed at the twin.
    pub(super) fn client(&self, words: &[&str]) -> Call {
        let call = Call::new(words.iter().copied());
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    pub(super) fn timed(&self, words: &[&str]) -> Result<Duration> {
        self.l4re(words).time()
    }

    /// The image with other bytes behind it, at least `size`: one that nobody has seen.
    pub(super) fn fresh_image(&self, size: u64) -> Result<Utf8PathBuf> {
        let number = self.number.get() + 1;
        self.number.set(number);
        let path = self.folder.join(format!("fresh-{}.efi", number % 4));
        let mut bytes = fs_err::read(&self.image)?;
        let length = bytes.len().max(usize::try_from(size)?);
        bytes.resize(length, 0xa5);
        bytes.extend_from_slice(&u64::from(number).to_le_bytes());
        fs_err::write(&path, bytes)?;
        Ok(path)
    }

    fn faults(&self, rules: &str) -> Result<()> {
        let path = self.folder.join("state/cargo-l4re/twin/faults.json");
        let beside = path.with_extension("new");
        fs_err::write(&beside, format!("{{\"rules\": [{rules}]}}"))?;
        Ok(fs_err::rename(beside, path)?)
    }

    /// Adds a delay to each call of a client.
    fn delay(&self, milliseconds: u64) -> Result<()> {
        let rule = |on: &str| {
            format!(
                r#"{{"on": "{on}", "effect": {{"delay": {{"milliseconds": {milliseconds}}}}}}}"#
            )
        };
        self.faults(&["ec2:*", "s3:*", "sts:*", "ebs:*"].map(rule).join(", "))
    }

    /// Deploys an image that is new to the store, and removes the instance again.
    fn deploy(&self) -> Result<Deployed> {
        let image = self.fresh_image(0)?;
        let words = ["deploy", image.as_str(), "--local", "--detach", "--name", "bench"];
        let more = ["--type", "t4g.nano", "--bucket", BUCKET, "--message-format", "json"];
        let (start, mut accepted) = (Instant::now(), None);
        self.l4re(&[&words[..], &more[..]].concat()).env("CARGO_TERM_QUIET", "true").each_line(
            |line| {
                if line.contains(r#""reason":"instance""#) {
                    accepted.get_or_insert_with(|| start.elapsed());
                }
            },
        )?;
        let whole = start.elapsed();
        let accepted = accepted.context("no launch was accepted")?;
        self.l4re(&["rm", "bench", "--local"]).read()?;
        Ok(Deployed { whole, accepted })
    }

    /// Trips in sequence from the finished image to the accepted launch.
    fn trips(&self, rounds: u32) -> Result<f64> {
        shell::status("Measuring", &format!("{}: {rounds} rounds", TRIPS.name));
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..rounds.max(1) {
            for (delay, fastest) in [DELAY, LONG_DELAY].into_iter().zip(&mut fastest) {
                self.delay(delay)?;
                *fastest = self.deploy()?.accepted.min(*fastest);
            }
        }
        let [short, long] = fastest.map(|time| time.as_secs_f64());
        Ok(((long - short) * 1000.0 / (LONG_DELAY - DELAY) as f64).round())
    }

    /// The same steps by the aws command line; the instance is not left behind.
    fn by_aws(&self, image: &Utf8Path) -> Result<Duration> {
        let start = Instant::now();
        let [key, source] = [format!("s3://{BUCKET}/by-aws.efi"), image.to_string()];
        self.aws(&["sts", "get-caller-identity"]).read()?;
        let ami = self.aws(&[
            "ec2",
            "describe-images",
            "--filters",
            "Name=architecture,Values=arm64",
            "--query",
            "Images[0].ImageId",
            "--output",
            "text",
        ]);
        let ami = ami.read()?;
        self.aws(&["ec2", "describe-instance-types", "--instance-types", "t4g.nano"]).read()?;
        self.aws(&["ec2", "describe-subnets"]).read()?;
        self.aws(&["s3", "cp", &source, &key]).read()?;
        let url = self.aws(&["s3", "presign", &key]).read()?;
        let script = format!("#!ipxe\nkernel {}\nboot\n", url.trim());
        let launched = self.aws(&[
            "ec2",
            "run-instances",
            "--instance-type",
            "t4g.nano",
            "--image-id",
            ami.trim(),
            "--user-data",
            &script,
            "--query",
            "Instances[0].InstanceId",
            "--output",
            "text",
        ]);
        let id = launched.read()?;
        let took = start.elapsed();
        self.aws(&["ec2", "terminate-instances", "--instance-ids", id.trim()]).read()?;
        Ok(took)
    }

    fn aws_upload(&self, image: &Utf8Path) -> Result<Duration> {
        self.aws(&["s3", "cp", image.as_str(), &format!("s3://{BUCKET}/by-aws-large.efi")]).time()
    }

    /// How many requests an upload takes of an image that is there: as many as are let
    /// through before it succeeds.
    fn requests_when_unchanged(&self) -> Result<f64> {
        let image = self.fresh_image(0)?;
        let upload = self.l4re(&["upload", image.as_str(), "--local", "--bucket", BUCKET]);
        self.faults("")?;
        upload.read()?;
        for allowed in 1..=8_u32 {
            let refused = r#""effect": {"error": {"code": "AccessDenied", "status": 403}}"#;
            self.faults(&format!(r#"{{"on": "*", "at_call": {}, {refused}}}"#, allowed + 1))?;
            // Met only if there is a request beyond those allowed: so try until none is.
            if upload.succeeds() && self.is_pending()? {
                return Ok(f64::from(allowed));
            }
        }
        bail!("an unchanged image takes more than eight requests")
    }

    /// Whether the refusal has not been met yet: the next request meets it.
    fn is_pending(&self) -> Result<bool> {
        Ok(!self.aws(&["sts", "get-caller-identity"]).succeeds())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Nothing can be done about a twin that will not stop; it ends by itself when idle.
        let _ = self.l4re(&["twin", "stop"]).succeeds();
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}

/// `NAME` and `VALUE` of `export NAME='VALUE'`.
fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
    Some((name.to_owned(), value.trim_matches('\'').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_lose_their_quotes() {
        let pair = variable("export AWS_REGION='eu-central-1'").unwrap();
        assert_eq!(pair, ("AWS_REGION".to_owned(), "eu-central-1".to_owned()));
        assert_eq!(variable("unset AWS_PROFILE"), None);
    }
}
