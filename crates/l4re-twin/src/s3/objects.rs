//! Buckets and objects on disk.
//!
//! Invariant: an object is its record `buckets/<bucket>/objects/<sha256 of key>.json`,
//! which names its bytes in `buckets/<bucket>/data/`; moving the record into place is what
//! makes the object exist, whole and with sums that were found right. Bytes that no record
//! names are what a killed daemon left: they go when the store is opened.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TwinError;
use crate::s3::{Sums, Uploads};
use crate::state::{files, random_hex};

/// What a client said of an object beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// As HTTP writes it.
    #[serde(default)]
    pub(crate) expires: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The record of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) e_tag: String,
    pub(crate) sums: Sums,
    pub(crate) modified: std::time::SystemTime,
    pub(crate) header: Header,
    /// The name of its bytes in the bucket's `data`.
    pub(crate) data: String,
}

/// What must hold of the object that is there, for a new one to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    Absent,
    Present,
    ETag(String),
}

/// The store.
#[derive(Debug)]
pub(crate) struct Objects {
    root: Utf8PathBuf,
    /// Held while a record is looked at and replaced, so that conditions mean something.
    commit: Mutex<()>,
}

impl Objects {
    /// Opens the store below a directory and clears what a killed daemon left.
    pub(crate) fn open(root: &Utf8Path) -> Result<Self, TwinError> {
        let objects = Self { root: root.to_owned(), commit: Mutex::new(()) };
        let buckets = objects.buckets_dir();
        fs::create_dir_all(&buckets).map_err(TwinError::file(&buckets))?;
        for bucket in objects.buckets().map_err(TwinError::file(&buckets))? {
            objects.clear_orphans(&bucket).map_err(TwinError::file(&buckets))?;
        }
        objects.clear_beside().map_err(TwinError::file(&objects.root))?;
        let uploads = Uploads(&objects);
        uploads.clear_ended().map_err(TwinError::file(&objects.root))?;
        uploads.clear_abandoned().map_err(TwinError::file(&objects.root))?;
        Ok(objects)
    }

    /// Buckets that were never finished, or were being deleted.
    fn clear_beside(&self) -> io::Result<()> {
        for entry in self.root.read_dir_utf8()? {
            let entry = entry?;
            if entry.file_name().starts_with(".bucket-") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// The store's directory.
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The names of all buckets, sorted.
    pub(crate) fn buckets(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.buckets_dir().read_dir_utf8()? {
            names.push(entry?.file_name().to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// When a bucket was made, or S3's NoSuchBucket.
    pub(crate) fn bucket_created(&self, bucket: &str) -> S3Result<std::time::SystemTime> {
        let metadata = std::fs::metadata(self.bucket_dir(bucket))
            .map_err(|_| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        metadata.created().or_else(|_| metadata.modified()).map_err(S3Error::internal_error)
    }

    /// Makes a bucket. s3s has seen to the form of its name.
    pub(crate) fn create_bucket(&self, bucket: &str) -> S3Result<()> {
        let starts = ["sthree-", "amzn-s3-demo-"].iter().any(|start| bucket.starts_with(start));
        let ends = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
        if starts || ends.iter().any(|end| bucket.ends_with(end)) {
            return Err(s3_error!(InvalidBucketName));
        }
        let dir = self.bucket_dir(bucket);
        if dir.exists() {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
        // Made whole beside the buckets, then moved among them.
        let beside = self.beside();
        fs::create_dir_all(beside.join("objects")).map_err(S3Error::internal_error)?;
        fs::create_dir_all(beside.join("data")).map_err(S3Error::internal_error)?;
        fs::rename(&beside, dir).map_err(S3Error::internal_error)
    }

    /// Removes an empty bucket.
    pub(crate) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        self.bucket_created(bucket)?;
        let _held = self.hold();
        if !self.objects(bucket)?.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        // No longer a bucket at once, however long its files take to remove.
        let beside = self.beside();
        fs::rename(self.bucket_dir(bucket), &beside).map_err(S3Error::internal_error)?;
        fs::remove_dir_all(beside).map_err(S3Error::internal_error)
    }

    /// The records of a bucket, sorted by key.
    pub(crate) fn objects(&self, bucket: &str) -> S3Result<Vec<Object>> {
        self.bucket_created(bucket)?;
        let dir = self.bucket_dir(bucket).join("objects");
        let mut objects = Vec::new();
        for entry in dir.read_dir_utf8().map_err(S3Error::internal_error)? {
            let entry = entry.map_err(S3Error::internal_error)?;
            if entry.path().extension() == Some("json")
                && let Some(object) = read(entry.path())?
            {
                objects.push(object);
            }
        }
        objects.sort_unstable_by(|a: &Object, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// An object's record, or S3's NoSuchKey.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.bucket_created(bucket)?;
        read(&self.record(bucket, key))?
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Where an object's bytes are.
    pub(crate) fn data(&self, bucket: &str, data: &str) -> Utf8PathBuf {
        self.bucket_dir(bucket).join("data").join(data)
    }

    /// A new name for bytes.
    pub(crate) fn new_data() -> String {
        random_hex(32)
    }

    /// Puts an object in its place, if the condition holds there, and drops the old bytes.
    /// The new bytes are dropped if it does not.
    pub(crate) fn commit(
        &self,
        bucket: &str,
        object: &Object,
        condition: &Condition,
    ) -> S3Result<()> {
        let result = self.commit_record(bucket, object, condition);
        if result.is_err() {
            let _ = fs::remove_file(self.data(bucket, &object.data));
        }
        result
    }

    fn commit_record(&self, bucket: &str, object: &Object, condition: &Condition) -> S3Result<()> {
        let _held = self.hold();
        self.bucket_created(bucket)?;
        let record = self.record(bucket, &object.key);
        let old: Option<Object> = read(&record)?;
        check(condition, old.as_ref())?;
        let bytes = serde_json::to_vec(object).map_err(S3Error::internal_error)?;
        files::write(&record, &bytes).map_err(S3Error::internal_error)?;
        if let Some(old) = old {
            let _ = fs::remove_file(self.data(bucket, &old.data));
        }
        Ok(())
    }

    /// Removes an object, if the condition holds; one that is not there is no error, as in S3.
    pub(crate) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> S3Result<()> {
        self.bucket_created(bucket)?;
        let _held = self.hold();
        let record = self.record(bucket, key);
        let old = read::<Object>(&record)?;
        check(condition, old.as_ref())?;
        if let Some(old) = old {
            fs::remove_file(&record).map_err(S3Error::internal_error)?;
            let _ = fs::remove_file(self.data(bucket, &old.data));
        }
        Ok(())
    }

    fn beside(&self) -> Utf8PathBuf {
        self.root.join(format!(".bucket-{}", random_hex(8)))
    }

    fn clear_orphans(&self, bucket: &str) -> io::Result<()> {
        let objects = self.objects(bucket).map_err(|error| io::Error::other(error.to_string()))?;
        let named: HashSet<&str> = objects.iter().map(|object| object.data.as_str()).collect();
        for entry in self.bucket_dir(bucket).join("data").read_dir_utf8()? {
            let entry = entry?;
            if !named.contains(entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buckets_dir(&self) -> Utf8PathBuf {
        self.root.join("buckets")
    }

    /// s3s lets only names of S3's form come here: no separator, no dot at the start.
    pub(super) fn bucket_dir(&self, bucket: &str) -> Utf8PathBuf {
        self.buckets_dir().join(bucket)
    }

    fn record(&self, bucket: &str, key: &str) -> Utf8PathBuf {
        let name = hex::encode(Sha256::digest(key));
        self.bucket_dir(bucket).join("objects").join(format!("{name}.json"))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Utf8Path) -> S3Result<Option<T>> {
    files::read_json(path).map_err(S3Error::internal_error)
}

fn check(condition: &Condition, old: Option<&Object>) -> S3Result<()> {
    let holds = match (condition, old) {
        (Condition::None, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
        (Condition::ETag(e_tag), Some(old)) => *e_tag == old.e_tag,
        (Condition::ETag(_), None) => {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        _ => false,
    };
    if holds {
        return Ok(());
    }
    Err(s3_error!(PreconditionFailed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, data: &str) -> Object {
        Object {
            key: key.to_owned(),
            size: 1,
            e_tag: data.to_owned(),
            sums: Sums::default(),
            modified: std::time::SystemTime::UNIX_EPOCH,
            header: Header::default(),
            data: data.to_owned(),
        }
    }

    fn put(objects: &Objects, key: &str, data: &str, condition: &Condition) -> S3Result<()> {
        fs::write(objects.data("bucket", data), data).unwrap();
        objects.commit("bucket", &object(key, data), condition)
    }

    fn code(result: S3Result<()>) -> String {
        result.unwrap_err().code().as_str().to_owned()
    }

    #[test]
    fn conditions_are_held_against_what_is_there() {
        let dir = camino_tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        objects.create_bucket("bucket").unwrap();
        put(&objects, "a", "one", &Condition::Absent).unwrap();
        assert_eq!(code(put(&objects, "a", "two", &Condition::Absent)), "PreconditionFailed");
        assert_eq!(
            code(put(&objects, "a", "two", &Condition::ETag("x".into()))),
            "PreconditionFailed"
        );
        put(&objects, "a", "three", &Condition::ETag("one".into())).unwrap();
        // Keys that a file system would take for a file and a directory live side by side.
        put(&objects, "a/b", "four", &Condition::None).unwrap();
        let keys: Vec<_> = objects.objects("bucket").unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(keys, ["a", "a/b"]);
        assert_eq!(fs::read_dir(objects.data("bucket", "")).unwrap().count(), 2);
        assert_eq!(code(objects.delete_bucket("bucket")), "BucketNotEmpty");
        let other = Condition::ETag("x".into());
        assert_eq!(code(objects.delete("bucket", "a", &other)), "PreconditionFailed");
        objects.delete("bucket", "a", &Condition::ETag("three".into())).unwrap();
        assert_eq!(code(objects.object("bucket", "a").map(|_| ())), "NoSuchKey");
        assert_eq!(code(objects.create_bucket("name-s3alias")), "InvalidBucketName");
    }

    #[test]
    fn bytes_without_a_record_are_cleared_and_records_survive() {
        let dir = camino_tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        objects.create_bucket("bucket").unwrap();
        put(&objects, "key", "kept", &Condition::None).unwrap();
        fs::write(objects.data("bucket", "orphan"), "x").unwrap();
        let again = Objects::open(dir.path()).unwrap();
        assert!(!again.data("bucket", "orphan").exists());
        assert_eq!(again.object("bucket", "key").unwrap().data, "kept");
        assert_eq!(code(again.create_bucket("bucket")), "BucketAlreadyOwnedByYou");
        assert_eq!(again.object("other", "key").unwrap_err().code().as_str(), "NoSuchBucket");
    }
}
