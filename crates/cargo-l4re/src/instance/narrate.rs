//! What the cloud crate tells while it works, as status lines, bars and JSON.

use std::sync::{Arc, Mutex, PoisonError};

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
        waiting: Mutex::new(None),
    };
    Arc::new(move |event| narrator.tell(event))
}

struct Narrator {
    shell: Arc<Shell>,
    upload: Mutex<Option<ProgressBar>>,
    /// The line that tells an upload, until it shows that there is a bucket to upload to.
    uploading: Mutex<Option<String>>,
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
            Event::UploadProgress { sent, .. } => {
                self.tell_upload();
                self.sent(sent);
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
            Event::Launched { id, instance_type, zone, adopted } => {
                let verb = if adopted { "Found" } else { "Launched" };
                shell.status(verb, format_args!("{id} ({instance_type})"));
                self.json(
                    "instance",
                    json!({
                        "id": id, "type": instance_type, "zone": zone, "adopted": adopted,
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
            Event::NoCapacity { instance_type, zone, code } => {
                let place = place(zone, false);
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

    fn sent(&self, bytes: u64) {
        let slot = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = slot.as_ref() {
            bar.set_position(bytes);
        }
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

    fn state(&self, id: &str, state: InstanceState, elapsed: std::time::Duration) {
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
    fn a_sum_is_told_by_its_first_digits() {
        let key = format!("l4re/{}/hello.efi", "0123456789abcdef".repeat(4));
        assert_eq!(short(&key), "l4re/0123456789ab…/hello.efi");
        assert_eq!(short("l4re/hello.efi"), "l4re/hello.efi");
    }
}
