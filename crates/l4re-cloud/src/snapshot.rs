//! Snapshots written from a disk's file by EBS direct, and found again by what is on them.
//!
//! Invariants: a snapshot carries the digest of its content as a tag from its creation on,
//! so that a command that was killed goes on with it instead of making a second one; how far
//! it came is a tag, too. See "EBS direct APIs" in the EBS user guide.

use std::time::{Duration, Instant};

use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::{Snapshot, SnapshotState};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};

use crate::ami::filter;
use crate::blocks::{BLOCK_SIZE, Block, DiskBlocks};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::progress::{Progress, unlimited};
use crate::tags;
use crate::token::digest;

/// Blocks under way at a time: 16 MiB.
const PARALLEL: usize = 32;
/// How often the progress is noted in a tag: less than this is lost to a kill.
const NOTED: Duration = Duration::from_secs(2);
/// How long EBS may take to seal a snapshot.
const SEALING: Duration = Duration::from_secs(30 * 60);
/// How long a snapshot may stay invisible after it was made.
const BECOMES_VISIBLE: Duration = Duration::from_secs(15);
/// A token is used up by each snapshot of the same content that was removed within a day.
const MOST_GENERATIONS: u32 = 64;
/// EBS gives a snapshot up into which nothing was written for so long.
const ABANDONED_MINUTES: i32 = 60;

/// A snapshot of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnSnapshot {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) started: Option<jiff::Timestamp>,
    pub(crate) tags: Vec<(String, String)>,
}

impl OwnSnapshot {
    fn from_ec2(found: Snapshot) -> Option<Self> {
        let state = found.state.unwrap_or(SnapshotState::Pending);
        Some(Self {
            tags: tags::of(found.tags.as_deref().unwrap_or_default()),
            id: found.snapshot_id?,
            state: state.as_str().to_owned(),
            started: found.start_time.and_then(|time| jiff::Timestamp::new(time.secs(), 0).ok()),
        })
    }

    fn is(&self, state: &SnapshotState) -> bool {
        self.state == state.as_str()
    }

    /// Blocks that were put and noted.
    fn progress(&self) -> usize {
        tags::value(&self.tags, tags::PROGRESS).and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

impl Cloud {
    /// Our snapshots by one filter, newest first.
    pub(crate) async fn snapshots(
        &self,
        wanted: aws_sdk_ec2::types::Filter,
    ) -> Result<Vec<OwnSnapshot>, CloudError> {
        let pages = self
            .ec2()
            .describe_snapshots()
            .owner_ids("self")
            .filters(wanted)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let found = self.call("ec2:DescribeSnapshots", pages).await?;
        let mut found: Vec<_> = found.into_iter().filter_map(OwnSnapshot::from_ec2).collect();
        found.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// The complete snapshot of a disk: one that is there, one that was begun and is brought
    /// to its end, or a new one. `known` are those with the same content.
    pub(crate) async fn snapshot(
        &self,
        disk: &DiskBlocks,
        known: Vec<OwnSnapshot>,
        tags: &[(String, String)],
    ) -> Result<String, CloudError> {
        if let Some(done) = known.iter().find(|known| known.is(&SnapshotState::Completed)) {
            return Ok(done.id.clone());
        }
        // What EBS gave up cannot be written any more.
        for failed in known.iter().filter(|known| known.is(&SnapshotState::Error)) {
            self.delete_snapshot(&failed.id).await?;
        }
        let begun = known.into_iter().find(|known| known.is(&SnapshotState::Pending));
        let id = match begun {
            Some(begun) => self.go_on(disk, &begun).await?,
            None => {
                let begun = self.start_snapshot(disk, tags).await?;
                let from = begun.progress();
                self.fill(disk, &begun.id, from).await?;
                begun.id
            }
        };
        self.sealed(&id).await?;
        Ok(id)
    }

    /// Brings a snapshot to its end that another command began. If that one was killed after
    /// its last call, the snapshot takes no more blocks and needs none.
    async fn go_on(&self, disk: &DiskBlocks, begun: &OwnSnapshot) -> Result<String, CloudError> {
        match self.fill(disk, &begun.id, begun.progress()).await {
            Err(CloudError::Service { code, .. }) if code == "ValidationException" => {}
            other => other?,
        }
        Ok(begun.id.clone())
    }

    /// Begins a snapshot; each content has its own token.
    async fn start_snapshot(
        &self,
        disk: &DiskBlocks,
        tags: &[(String, String)],
    ) -> Result<OwnSnapshot, CloudError> {
        const CALL: &str = "ebs:StartSnapshot";
        let pair = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
        let tags: Vec<Tag> = tags.iter().map(pair).collect();
        for generation in 0..MOST_GENERATIONS {
            let token = digest("l4re-snapshot-1", &[&disk.digest, &generation.to_string()]);
            let request = self
                .ebs()
                .start_snapshot()
                .volume_size(i64::from(disk.size_gib))
                .client_token(token)
                .timeout(ABANDONED_MINUTES)
                .description(format!("cargo l4re: {}", disk.digest))
                .set_tags(Some(tags.clone()));
            let answer = match self.call(CALL, request.send()).await {
                // The token was used with other tags: by a command that was killed just now,
                // or for a snapshot that is gone.
                Err(CloudError::Service { code, .. }) if code == "ConflictException" => {
                    match self.becomes_visible(&disk.digest).await? {
                        Some(found) => return Ok(found),
                        None => continue,
                    }
                }
                other => other?,
            };
            let lacks = || CloudError::BadAnswer { call: CALL, cause: "no id in it".to_owned() };
            return Ok(OwnSnapshot {
                id: answer.snapshot_id.ok_or_else(lacks)?,
                state: SnapshotState::Pending.as_str().to_owned(),
                started: None,
                tags: Vec::new(),
            });
        }
        let cause = format!("{MOST_GENERATIONS} client tokens are used up");
        Err(CloudError::BadAnswer { call: CALL, cause })
    }

    async fn becomes_visible(&self, disk: &str) -> Result<Option<OwnSnapshot>, CloudError> {
        let start = Instant::now();
        loop {
            let found = self.snapshots(filter(&format!("tag:{}", tags::DISK), disk)).await?;
            let found = found.into_iter().find(|found| !found.is(&SnapshotState::Error));
            if found.is_some() || start.elapsed() >= BECOMES_VISIBLE {
                return Ok(found);
            }
            tokio::time::sleep(self.poll()).await;
        }
    }

    /// Puts the blocks that are missing, and says that these were all.
    async fn fill(&self, disk: &DiskBlocks, id: &str, from: usize) -> Result<(), CloudError> {
        const CALL: &str = "ebs:CompleteSnapshot";
        let from = from.min(disk.list.len());
        let progress = |put| Event::SnapshotProgress {
            id: id.to_owned(),
            put,
            blocks: disk.list.len(),
            block_size: BLOCK_SIZE,
        };
        self.tell(progress(from));
        let (mut put, mut noted) = (from, Instant::now());
        let carried = Progress::new((disk.list.len() * BLOCK_SIZE) as u64);
        let mut blocks = stream::iter(&disk.list[from..])
            .map(|block| self.put_block(disk, id, *block, &carried))
            .buffered(PARALLEL);
        while blocks.try_next().await?.is_some() {
            put += 1;
            self.tell(progress(put));
            if noted.elapsed() >= NOTED && put < disk.list.len() {
                self.note_progress(id, put).await;
                noted = Instant::now();
            }
        }
        let count = i32::try_from(disk.list.len()).unwrap_or(i32::MAX);
        let request = self
            .ebs()
            .complete_snapshot()
            .snapshot_id(id)
            .changed_blocks_count(count)
            .checksum(STANDARD.encode(disk.linear))
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
        self.call(CALL, request.send()).await.map(drop)
    }

    async fn put_block(
        &self,
        disk: &DiskBlocks,
        id: &str,
        block: Block,
        progress: &Progress,
    ) -> Result<(), CloudError> {
        let bytes = disk.read(block).await?;
        let request = || {
            self.ebs()
                .put_snapshot_block()
                .snapshot_id(id)
                .block_index(i32::try_from(block.index).unwrap_or(i32::MAX))
                .data_length(i32::try_from(BLOCK_SIZE).unwrap_or(i32::MAX))
                .checksum(STANDARD.encode(block.sum))
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
        };
        let limits = unlimited(self.timeouts().connect);
        let send = |body: ByteStream| {
            let limits = aws_sdk_ebs::config::Builder::new().timeout_config(limits.clone());
            request().block_data(body).customize().config_override(limits).send()
        };
        let what = format!("block {} of {id}", block.index);
        let answer = progress.carry(&what, &bytes, self.timeouts().stall, send).await?;
        self.call("ebs:PutSnapshotBlock", std::future::ready(answer)).await.map(drop)
    }

    /// An aid only: without it a repeated command puts more blocks than it must.
    async fn note_progress(&self, id: &str, put: usize) {
        let tag = aws_sdk_ec2::types::Tag::builder().key(tags::PROGRESS).value(put.to_string());
        let request = self.ec2().create_tags().resources(id).tags(tag.build());
        if let Err(error) = self.call("ec2:CreateTags", request.send()).await {
            tracing::debug!("progress of {id} not noted: {error}");
        }
    }

    /// Waits until EBS has sealed a snapshot.
    async fn sealed(&self, id: &str) -> Result<(), CloudError> {
        let start = Instant::now();
        let wanted = SnapshotState::Completed.as_str().to_owned();
        loop {
            let found = self.snapshots(filter("snapshot-id", id)).await?;
            let state = found.first().map_or("unknown", |found| found.state.as_str()).to_owned();
            if state == wanted {
                return Ok(());
            }
            if state == SnapshotState::Error.as_str() {
                return Err(CloudError::Ended { id: id.to_owned(), state, wanted, reason: None });
            }
            if start.elapsed() >= SEALING {
                let id = id.to_owned();
                return Err(CloudError::WaitTimedOut { id, state, wanted, after: SEALING });
            }
            self.tell(Event::Sealing { id: id.to_owned(), elapsed: start.elapsed() });
            tokio::time::sleep(self.poll()).await;
        }
    }

    /// Deletes a snapshot. It is no error if it is gone.
    pub(crate) async fn delete_snapshot(&self, id: &str) -> Result<(), CloudError> {
        let request = self.ec2().delete_snapshot().snapshot_id(id);
        match self.call("ec2:DeleteSnapshot", request.send()).await {
            Err(CloudError::Service { code, .. }) if code == "InvalidSnapshot.NotFound" => Ok(()),
            other => other.map(drop),
        }
    }
}
