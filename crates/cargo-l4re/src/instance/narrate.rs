//! What the cloud crate tells while it works, as status lines, bars and JSON.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use l4re_cloud::{Event, Events, InstanceState};
use serde_json::json;

use crate::shell::Shell;

/// A receiver of events that writes to the shell.
pub fn events(shell: Arc<Shell>) -> Events {
    let narrator = Narrator {
        shell,
        upload: Mutex::new(None),
        uploading: Mutex::new(None),
        told: AtomicU64::new(0),
        waiting: Mutex::new(None),
    };
    Arc::new(move |event| narrator.tell(event))
}

struct Narrator {
    shell: Arc<Shell>,
    upload: Mutex<Option<ProgressBar>>,
    /// The line that tells an upload, until it shows that there is a bucket to upload to.
    uploading: Mutex<Option<String>>,
    /// The last second of an upload that has a line.
    told: AtomicU64,
    waiting: Mutex<Option<ProgressBar>>,
}

impl Narrator {
    fn tell(&self, event: Event) {
        let shell = &self.shell;
        match event {
            Event::UploadStarted { bucket, key, size, .. } => {
                let bar = shell.progress().bytes("Uploading", size);
                put(&self.upload, Some(bar));
                let line = upload_line(&bucket, &key, size);
                *self.uploading.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
            Event::UploadProgress { sent, size, elapsed, still } => {
                self.tell_upload();
                self.sent(sent, size, elapsed, still);
            }
            Event::StoreAwaited { key, elapsed } => {
                let waited = elapsed.as_secs();
                shell
                    .status("Waiting", format_args!("for the store, {waited} s ({})", short(&key)));
            }
            Event::Uploaded { key, size, elapsed } => {
                self.tell_upload();
                put(&self.upload, None);
                self.json("upload", json!({
                    "key": key, "size": size, "elapsed_s": elapsed.as_secs_f64(), "reused": false,
                }));
            }
            Event::UploadSkipped { key } => {
                shell.status("Unchanged", format_args!("{} is there already", short(&key)));
                self.json("upload", json!({ "key": key, "reused": true }));
            }
            Event::Launching { instance_type, zone, spot } => {
                let place = place(zone, spot);
                shell.status("Launching", format_args!("{instance_type}{place}"));
            }
            Event::Launched { id, instance_type, zone, spot, adopted } => {
                let verb = if adopted { "Found" } else { "Launched" };
                let place = place(zone.clone(), spot);
                shell.status(verb, format_args!("{id} ({instance_type}{place})"));
                self.json(
                    "instance",
                    json!({
                        "id": id, "type": instance_type, "zone": zone, "spot": spot,
                        "adopted": adopted,
                    }),
                );
            }
            Event::EndScheduled { id, expires } => {
                let expires = expires.strftime("%Y-%m-%d %H:%M:%S UTC");
                shell.status("Scheduled", format_args!("AWS terminates {id} at {expires}"));
            }
            Event::StateChanged { id, state, elapsed } => self.state(&id, state, elapsed),
            Event::Waiting { id, state, .. } => {
                if let Ok(mut slot) = self.waiting.lock() {
                    slot.get_or_insert_with(|| {
                        shell.progress().waiting("Waiting", format!("{id} is {state}"))
                    });
                }
            }
            Event::Warning { text } => shell.warn(text),
            other => self.ami(other),
        }
    }

    /// What is told while an AMI is made.
    fn ami(&self, event: Event) {
        match event {
            Event::SnapshotProgress { id, put, blocks, block_size } => {
                self.snapshot(&id, [put, blocks].map(|count| (count * block_size) as u64));
            }
            Event::Sealing { id, .. } => {
                put(&self.upload, None);
                if let Ok(mut slot) = self.waiting.lock() {
                    slot.get_or_insert_with(|| self.shell.progress().waiting("Sealing", id));
                }
            }
            Event::AmiMade { id, name } => {
                put(&self.waiting, None);
                put(&self.upload, None);
                self.shell.status("Made", format_args!("{id} ({name})"));
            }
            Event::BucketMade { bucket } => {
                self.shell.status("Made", format_args!("bucket {bucket}"));
            }
            Event::NoCapacity { instance_type, zone, spot, code } => {
                let place = place(zone, spot);
                self.shell.warn(format_args!("{instance_type}{place}: {code}; trying the next"));
            }
            Event::Unknown { call, effect } => {
                self.shell
                    .detail("Unknown", format_args!("{call} is not supported here: {effect}"));
            }
            _ => {}
        }
    }

    fn tell_upload(&self) {
        let mut slot = self.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = slot.take() {
            self.shell.status("Uploading", line);
        }
    }

    /// How far an upload is: on the bar, and where none is drawn in a line each second.
    fn sent(&self, sent: u64, size: u64, elapsed: Duration, still: Duration) {
        let waits = waits(sent, size, still);
        let slot = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = slot.as_ref() {
            bar.set_position(sent);
            self.shell.progress().standing(bar, waits.clone());
        }
        if self.shell.progress().draws() || !self.is_time(elapsed) {
            return;
        }
        let [sent, size] = [sent, size].map(|bytes| bytesize::ByteSize::b(bytes).display().iec());
        let waits = waits.map(|waits| format!(", {waits}")).unwrap_or_default();
        let text = format!("{sent} of {size}, {} s{waits}", elapsed.as_secs());
        self.shell.status("Uploading", text);
    }

    /// Whether a second has begun that has no line yet.
    fn is_time(&self, elapsed: Duration) -> bool {
        let second = elapsed.as_secs();
        self.told.swap(second, Ordering::Relaxed) != second && second > 0
    }

    /// Blocks of a snapshot, as bytes: how many were put, and of how many.
    fn snapshot(&self, id: &str, [put_bytes, size]: [u64; 2]) {
        let new = || {
            let shown = bytesize::ByteSize::b(size).display().iec();
            self.shell.status("Writing", format_args!("{shown} to {id}"));
            self.shell.progress().bytes("Writing", size)
        };
        let mut slot = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(new).set_position(put_bytes);
    }

    fn state(&self, id: &str, state: InstanceState, elapsed: Duration) {
        put(&self.waiting, None);
        self.shell.detail("State", format_args!("{id} is {state}"));
        self.json(
            "state",
            json!({
                "id": id, "state": state.ec2(), "elapsed_s": elapsed.as_secs_f64(),
            }),
        );
    }

    /// A JSON line; a closed pipe ends the command at its next result.
    fn json(&self, reason: &str, value: serde_json::Value) {
        let _ = self.shell.json(reason, &value);
    }
}

/// What is waited for in an upload, if that takes longer than a breath.
fn waits(sent: u64, size: u64, still: Duration) -> Option<String> {
    let still = still.as_secs();
    match sent < size {
        _ if still < 2 => None,
        true => Some(format!("nothing taken for {still} s")),
        false => Some(format!("no answer for {still} s")),
    }
}

/// A key as people read it: the image's sum by its first digits.
fn short(key: &str) -> String {
    const SUM: usize = 64;
    const ENOUGH: usize = 12;
    let is_sum = |part: &str| part.len() == SUM && part.bytes().all(|b| b.is_ascii_hexdigit());
    let part = |part: &str| match is_sum(part) {
        true => format!("{}…", &part[..ENOUGH]),
        false => part.to_owned(),
    };
    key.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// An upload on one line: of an image's key the sum is enough.
fn upload_line(bucket: &str, key: &str, size: u64) -> String {
    let size = bytesize::ByteSize::b(size).display().iec();
    let short = short(key);
    match short.split('/').find(|part| part.ends_with('…')) {
        Some(sum) => format!("{size} to s3://{bucket} ({sum})"),
        None => format!("{size} to s3://{bucket}/{short}"),
    }
}

/// Where a launch is tried.
fn place(zone: Option<String>, spot: bool) -> String {
    let zone = zone.map(|zone| format!(" in {zone}")).unwrap_or_default();
    format!("{zone}{}", if spot { ", spot" } else { "" })
}

/// Puts a bar into its slot; the one that was there is taken off the screen and given back.
fn put(slot: &Mutex<Option<ProgressBar>>, bar: Option<ProgressBar>) -> Option<ProgressBar> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *slot, bar);
    if let Some(old) = &old {
        old.finish_and_clear();
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_is_said_and_what_is_waited_for() {
        let of = |sent, seconds| waits(sent, 10, Duration::from_secs(seconds));
        assert_eq!(of(3, 1), None);
        assert_eq!(of(3, 5).as_deref(), Some("nothing taken for 5 s"));
        assert_eq!(of(10, 5).as_deref(), Some("no answer for 5 s"));
    }

    #[test]
    fn a_sum_is_told_by_its_first_digits() {
        let key = format!("l4re/{}/hello.efi", "0123456789abcdef".repeat(4));
        assert_eq!(short(&key), "l4re/0123456789ab…/hello.efi");
        assert_eq!(short("l4re/hello.efi"), "l4re/hello.efi");
    }
}
