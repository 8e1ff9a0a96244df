//! Multipart uploads: parts wait in `uploads/<id>/` until the whole is put together. Invariant:
//! at any moment at which the daemon may be killed, an upload is there with all that was
//! answered for it, or not there at all.

use std::io::{self, Read};
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use md5::{Digest, Md5};
use s3s::dto::CompletedPart;
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use crate::s3::objects::Object;
use crate::s3::{Checks, Header, Objects, Sums};
use crate::state::{files, random_hex};

/// S3's least size of a part that is not the last.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// An upload that has got no part for so long is not going to be completed.
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// What was said when an upload began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) header: Header,
    /// The algorithm whose sum covers the whole object instead of the parts' sums.
    pub(crate) whole_sum: Option<String>,
}

/// A part that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) size: u64,
    pub(crate) e_tag: String,
    pub(crate) sums: Sums,
}

impl Part {
    /// The name of its bytes: a part that replaces one leaves the other's in place until its
    /// own record is.
    fn bytes(&self) -> String {
        format!("{}-{}.part", self.number, self.e_tag)
    }
}

/// The uploads of a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uploads<'a>(pub(crate) &'a Objects);

impl Uploads<'_> {
    /// Forgets uploads that nobody has gone on with for long; the client is gone.
    pub(crate) fn clear_abandoned(self) -> io::Result<()> {
        let Ok(entries) = self.0.root().join("uploads").read_dir_utf8() else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let cleared = entry.metadata().and_then(|folder| {
                let age = folder.modified()?.elapsed().unwrap_or_default();
                match age > ABANDONED {
                    true => fs::remove_dir_all(entry.path()),
                    false => Ok(()),
                }
            });
            // One that ends meanwhile needs no clearing.
            cleared.or_else(not_found_is_fine)?;
        }
        Ok(())
    }

    /// Removes what uploads that had ended still held when the daemon was killed.
    pub(crate) fn clear_ended(self) -> io::Result<()> {
        fs::remove_dir_all(self.ended()).or_else(not_found_is_fine)
    }

    /// Begins an upload; answers its id.
    pub(crate) fn create(self, upload: &Upload) -> S3Result<String> {
        self.0.bucket_created(&upload.bucket)?;
        let id = random_hex(32);
        let dir = self.0.root().join("uploads").join(&id);
        fs::create_dir_all(&dir).map_err(S3Error::internal_error)?;
        files::write_json(&dir.join("upload.json"), upload).map_err(S3Error::internal_error)?;
        Ok(id)
    }

    /// An upload by its id, which must be of this bucket and key.
    pub(crate) fn find(self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let found: Option<Upload> = files::read_json(&self.dir(id)?.join("upload.json"))
            .map_err(S3Error::internal_error)?;
        found.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(no_such)
    }

    /// The uploads to a bucket that have begun, with their ids and when, sorted by key.
    pub(crate) fn of_bucket(self, bucket: &str) -> S3Result<Vec<(String, Upload, SystemTime)>> {
        self.0.bucket_created(bucket)?;
        let mut list = Vec::new();
        let Ok(entries) = self.0.root().join("uploads").read_dir_utf8() else { return Ok(list) };
        for entry in entries {
            let entry = entry.map_err(S3Error::internal_error)?;
            let record = entry.path().join("upload.json");
            // One that ends meanwhile is none.
            let Ok(Some(upload)) = files::read_json::<Upload>(&record) else { continue };
            let Ok(begun) = record.metadata().and_then(|file| file.modified()) else { continue };
            if upload.bucket == bucket {
                list.push((entry.file_name().to_owned(), upload, begun));
            }
        }
        list.sort_unstable_by(|a, b| (&a.1.key, &a.0).cmp(&(&b.1.key, &b.0)));
        Ok(list)
    }

    /// Where the bytes of a part may arrive, before they are [added](Self::add).
    pub(crate) fn incoming(self, id: &str, number: i32) -> S3Result<Utf8PathBuf> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        Ok(files::beside(&self.dir(id)?.join(number.to_string())))
    }

    /// Adds a part whose bytes have all arrived, in the place of an earlier one of its number.
    pub(crate) fn add(self, id: &str, part: &Part, incoming: &Utf8Path) -> S3Result<()> {
        let dir = self.dir(id)?;
        let record = dir.join(format!("{}.json", part.number));
        let replaced = files::read_json::<Part>(&record).map_err(S3Error::internal_error)?;
        let bytes = dir.join(part.bytes());
        fs::rename(incoming, &bytes).map_err(S3Error::internal_error)?;
        files::write_json(&record, part).map_err(S3Error::internal_error)?;
        if let Some(replaced) = replaced.map(|part| dir.join(part.bytes()))
            && replaced != bytes
        {
            let _ = fs::remove_file(replaced);
        }
        Ok(())
    }

    /// The parts that are there, by number.
    pub(crate) fn parts(self, id: &str) -> S3Result<Vec<Part>> {
        let mut parts = Vec::new();
        for entry in self.dir(id)?.read_dir_utf8().map_err(|_| no_such())? {
            let entry = entry.map_err(S3Error::internal_error)?;
            let is_part = entry.file_name().starts_with(|c: char| c.is_ascii_digit());
            if is_part && entry.path().extension() == Some("json") {
                parts.extend(
                    files::read_json::<Part>(entry.path()).map_err(S3Error::internal_error)?,
                );
            }
        }
        parts.sort_unstable_by_key(|part| part.number);
        Ok(parts)
    }

    /// Puts the parts together to an object's bytes; not yet to an object.
    pub(crate) fn assemble(
        self,
        id: &str,
        upload: &Upload,
        wanted: &[CompletedPart],
    ) -> S3Result<Object> {
        let parts = self.wanted_parts(id, wanted)?;
        let data = Objects::new_data();
        let mut whole = Checks::new(&Sums::default(), upload.whole_sum.as_deref());
        let mut tags = Md5::new();
        let mut out = fs::File::create(self.0.data(&upload.bucket, &data))
            .map_err(S3Error::internal_error)?;
        for part in &parts {
            tags.update(hex::decode(&part.e_tag).map_err(S3Error::internal_error)?);
            let mut file = std::fs::File::open(self.dir(id)?.join(part.bytes()))
                .map_err(S3Error::internal_error)?;
            append(&mut out, &mut file, upload.whole_sum.is_some().then_some(&mut whole))
                .map_err(S3Error::internal_error)?;
        }
        let sums = if upload.whole_sum.is_some() {
            whole.finish(&Sums::default(), None)?.1
        } else {
            Sums::composite(&parts.iter().map(|part| part.sums.clone()).collect::<Vec<_>>())
        };
        Ok(Object {
            key: upload.key.clone(),
            size: parts.iter().map(|part| part.size).sum(),
            e_tag: format!("{}-{}", hex::encode(tags.finalize()), parts.len()),
            sums,
            modified: std::time::SystemTime::now(),
            header: upload.header.clone(),
            data,
        })
    }

    /// Forgets an upload with its parts: all at once, however long its files take to remove.
    pub(crate) fn remove(self, id: &str) -> S3Result<()> {
        let ended = self.ended();
        fs::create_dir_all(&ended).map_err(S3Error::internal_error)?;
        fs::rename(self.dir(id)?, ended.join(id)).map_err(|_| no_such())?;
        fs::remove_dir_all(ended.join(id)).map_err(S3Error::internal_error)
    }

    fn wanted_parts(self, id: &str, wanted: &[CompletedPart]) -> S3Result<Vec<Part>> {
        if wanted.is_empty() {
            return Err(s3_error!(MalformedXML, "You must specify at least one part"));
        }
        let number = |part: &CompletedPart| part.part_number.unwrap_or_default();
        if wanted.windows(2).any(|pair| number(&pair[0]) >= number(&pair[1])) {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order."
            ));
        }
        let there = self.parts(id)?;
        let mut parts = Vec::new();
        for (index, part) in wanted.iter().enumerate() {
            let number = number(part);
            let found = there.iter().find(|found| {
                let e_tag = part.e_tag.as_ref().map(s3s::dto::ETag::value);
                found.number == number && e_tag.is_none_or(|e_tag| e_tag == found.e_tag)
            });
            let found = found.ok_or_else(|| {
                s3_error!(InvalidPart, "One or more of the specified parts could not be found.")
            })?;
            if found.size < MIN_PART && index + 1 < wanted.len() {
                return Err(s3_error!(
                    EntityTooSmall,
                    "Your proposed upload is smaller than the minimum allowed size"
                ));
            }
            parts.push(found.clone());
        }
        Ok(parts)
    }

    /// Where uploads go that have ended, until their files are removed.
    fn ended(self) -> Utf8PathBuf {
        self.0.root().join("ended-uploads")
    }

    /// Ids are ours, hexadecimal: nothing else becomes a path.
    fn dir(self, id: &str) -> S3Result<Utf8PathBuf> {
        if id.len() != 32 || !id.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(no_such());
        }
        Ok(self.0.root().join("uploads").join(id))
    }
}

/// Appends bytes to a file, and to sums if there are some.
pub(crate) fn append(
    out: &mut fs::File,
    part: &mut impl Read,
    checks: Option<&mut Checks>,
) -> io::Result<()> {
    let Some(checks) = checks else {
        return io::copy(part, out.file_mut()).map(|_| ());
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let length = part.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        checks.update(&buffer[..length]);
        io::Write::write_all(out, &buffer[..length])?;
    }
}

fn no_such() -> S3Error {
    s3_error!(NoSuchUpload, "The specified multipart upload does not exist.")
}

fn not_found_is_fine(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::*;

    fn begun(objects: &Objects) -> (Upload, String) {
        objects.create_bucket("bucket").unwrap();
        let upload = Upload {
            bucket: "bucket".to_owned(),
            key: "key".to_owned(),
            header: Header::default(),
            whole_sum: None,
        };
        let id = Uploads(objects).create(&upload).unwrap();
        (upload, id)
    }

    fn add(uploads: Uploads<'_>, id: &str, bytes: &str) -> Part {
        let incoming = uploads.incoming(id, 1).unwrap();
        fs::write(&incoming, bytes).unwrap();
        let e_tag = hex::encode(Md5::digest(bytes));
        let size = u64::try_from(bytes.len()).unwrap();
        let part = Part { number: 1, size, e_tag, sums: Sums::default() };
        uploads.add(id, &part, &incoming).unwrap();
        part
    }

    fn wanted(part: &Part) -> Vec<CompletedPart> {
        let e_tag = Some(ETag::Strong(part.e_tag.clone()));
        vec![CompletedPart { part_number: Some(1), e_tag, ..CompletedPart::default() }]
    }

    #[test]
    fn a_part_replaces_the_one_of_its_number_with_its_bytes() {
        let dir = camino_tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        let (upload, id) = begun(&objects);
        let uploads = Uploads(&objects);
        let one = add(uploads, &id, "one");
        let two = add(uploads, &id, "two and more");
        assert_eq!(uploads.parts(&id).unwrap(), std::slice::from_ref(&two));
        let gone = uploads.assemble(&id, &upload, &wanted(&one)).unwrap_err();
        assert_eq!(gone.code().as_str(), "InvalidPart");
        let object = uploads.assemble(&id, &upload, &wanted(&two)).unwrap();
        let bytes = fs::read_to_string(objects.data("bucket", &object.data)).unwrap();
        assert_eq!((bytes.as_str(), object.size), ("two and more", 12));
        let left = fs::read_dir(dir.path().join("uploads").join(&id)).unwrap().count();
        assert_eq!(left, 3, "the upload's record, the part's, and its bytes");
    }

    #[test]
    fn an_upload_whose_end_was_cut_short_is_no_upload() {
        let dir = camino_tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        let (upload, id) = begun(&objects);
        let uploads = Uploads(&objects);
        add(uploads, &id, "one");
        // A kill after the first of the files that are removed.
        let ended = uploads.ended();
        fs::create_dir_all(&ended).unwrap();
        fs::rename(dir.path().join("uploads").join(&id), ended.join(&id)).unwrap();
        fs::remove_file(ended.join(&id).join("1.json")).unwrap();
        let again = Objects::open(dir.path()).unwrap();
        let uploads = Uploads(&again);
        let error = uploads.find(&id, &upload.bucket, &upload.key).unwrap_err();
        assert_eq!(error.code().as_str(), "NoSuchUpload");
        assert_eq!(uploads.of_bucket("bucket").unwrap(), []);
        assert!(!ended.exists());
    }
}
