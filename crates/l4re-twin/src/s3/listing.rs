//! Listing what a bucket has: prefix, delimiter, pages, in S3's order.
//!
//! Invariant: a page goes on behind the last entry of the one before it, be that a key or what
//! keys were folded to; names are written as the request wants them, since XML cannot carry all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use crate::s3::objects::Object as Record;
use crate::s3::service::Store;
use crate::s3::transfer::signed;
use crate::s3::{Summed, Uploads};

/// The most that one page has.
const MOST: i32 = 1000;
/// The version of an object in a bucket without versioning.
const NULL_VERSION: &str = "null";
/// What S3 leaves as it is in a name that is encoded.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// How names are written.
#[derive(Clone, Copy)]
struct Names {
    encoded: bool,
}

impl Names {
    fn read(kind: Option<&EncodingType>) -> S3Result<Self> {
        match kind.map(EncodingType::as_str) {
            None => Ok(Self { encoded: false }),
            Some(EncodingType::URL) => Ok(Self { encoded: true }),
            Some(_) => {
                Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    fn write(self, name: String) -> String {
        if self.encoded { utf8_percent_encode(&name, PLAIN).to_string() } else { name }
    }
}

/// What is asked of a bucket's records.
struct Wanted<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    after: Option<&'a str>,
    limit: usize,
}

/// A page of them, and its last entry if there are more.
#[derive(Default)]
struct Page {
    contents: Vec<Record>,
    prefixes: Vec<String>,
    next: Option<String>,
}

/// A page of records that are sorted by key.
fn page(records: Vec<Record>, wanted: &Wanted<'_>) -> Page {
    let mut page = Page::default();
    let mut last = None;
    for record in records {
        if !record.key.starts_with(wanted.prefix) {
            continue;
        }
        let common = common_prefix(&record.key, wanted.prefix, wanted.delimiter);
        let entry = common.as_deref().unwrap_or(&record.key);
        if wanted.after.is_some_and(|after| entry <= after)
            || page.prefixes.last().is_some_and(|prefix| prefix == entry)
        {
            continue;
        }
        if page.contents.len() + page.prefixes.len() >= wanted.limit {
            page.next = last;
            break;
        }
        last = Some(entry.to_owned());
        match common {
            Some(common) => page.prefixes.push(common),
            None => page.contents.push(record),
        }
    }
    page
}

fn common_prefix(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let end = key[prefix.len()..].find(delimiter)?;
    Some(key[..prefix.len() + end + delimiter.len()].to_owned())
}

/// How many entries a page may have, as asked and as S3 has it.
fn limit(most: Option<i32>, name: &str) -> S3Result<i32> {
    let most = most.unwrap_or(MOST);
    if most < 0 {
        return Err(s3_error!(
            InvalidArgument,
            "Argument {name} must be an integer between 0 and 2147483647"
        ));
    }
    Ok(most.min(MOST))
}

impl Store {
    /// S3's `ListObjectsV2`.
    pub(super) fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let records = self.objects.objects(&input.bucket)?;
        list_v2(records, input)
    }

    /// S3's `ListObjects`.
    pub(super) fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let records = self.objects.objects(&input.bucket)?;
        let most = limit(input.max_keys, "maxKeys")?;
        let names = Names::read(input.encoding_type.as_ref())?;
        let page = page(
            records,
            &Wanted {
                prefix: input.prefix.as_deref().unwrap_or_default(),
                delimiter: input.delimiter.as_deref(),
                after: input.marker.as_deref(),
                limit: most as usize,
            },
        );
        Ok(ListObjectsOutput {
            is_truncated: Some(page.next.is_some()),
            // Without a delimiter clients go on behind the last key.
            next_marker: page.next.filter(|_| input.delimiter.is_some()).map(|it| names.write(it)),
            contents: Some(page.contents.into_iter().map(|it| listed(it, names)).collect()),
            common_prefixes: Some(folded(page.prefixes, names)),
            name: Some(input.bucket),
            prefix: Some(names.write(input.prefix.unwrap_or_default())),
            marker: Some(names.write(input.marker.unwrap_or_default())),
            delimiter: input.delimiter.map(|it| names.write(it)),
            encoding_type: input.encoding_type,
            max_keys: Some(most),
            ..Default::default()
        })
    }
}

fn list_v2(records: Vec<Record>, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let most = limit(input.max_keys, "maxKeys")?;
    let names = Names::read(input.encoding_type.as_ref())?;
    let token = input.continuation_token.as_deref().map(entry_of).transpose()?;
    let page = page(
        records,
        &Wanted {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: token.as_deref().or(input.start_after.as_deref()),
            limit: most as usize,
        },
    );
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(page.contents.len() + page.prefixes.len()).ok(),
        max_keys: Some(most),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|entry| URL_SAFE_NO_PAD.encode(entry)),
        contents: Some(page.contents.into_iter().map(|it| listed(it, names)).collect()),
        common_prefixes: Some(folded(page.prefixes, names)),
        name: Some(input.bucket),
        prefix: Some(names.write(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|it| names.write(it)),
        start_after: input.start_after.map(|it| names.write(it)),
        encoding_type: input.encoding_type,
        continuation_token: input.continuation_token,
        ..Default::default()
    })
}

/// The entry that a page's token stands for.
fn entry_of(token: &str) -> S3Result<String> {
    let entry = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    entry.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn listed(record: Record, names: Names) -> Object {
    Object {
        key: Some(names.write(record.key)),
        size: Some(signed(record.size)),
        e_tag: Some(ETag::Strong(record.e_tag)),
        last_modified: Some(Timestamp::from(record.modified)),
        storage_class: Some("STANDARD".to_owned().into()),
        ..Default::default()
    }
}

fn folded(prefixes: Vec<String>, names: Names) -> Vec<CommonPrefix> {
    let folded = |prefix| CommonPrefix { prefix: Some(names.write(prefix)) };
    prefixes.into_iter().map(folded).collect()
}

impl Store {
    /// S3's `ListObjectVersions`: each object has one, the version `null`.
    pub(super) fn list_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<ListObjectVersionsOutput> {
        let most = limit(input.max_keys, "maxKeys")?;
        let names = Names::read(input.encoding_type.as_ref())?;
        let page = page(
            self.objects.objects(&input.bucket)?,
            &Wanted {
                prefix: input.prefix.as_deref().unwrap_or_default(),
                delimiter: input.delimiter.as_deref(),
                after: input.key_marker.as_deref(),
                limit: most as usize,
            },
        );
        let version = |record: Record| ObjectVersion {
            key: Some(names.write(record.key)),
            size: Some(signed(record.size)),
            e_tag: Some(ETag::Strong(record.e_tag)),
            last_modified: Some(Timestamp::from(record.modified)),
            storage_class: Some("STANDARD".to_owned().into()),
            owner: Some(self.owner()),
            is_latest: Some(true),
            version_id: Some(NULL_VERSION.to_owned()),
            ..Default::default()
        };
        Ok(ListObjectVersionsOutput {
            is_truncated: Some(page.next.is_some()),
            next_version_id_marker: page.next.as_ref().map(|_| NULL_VERSION.to_owned()),
            next_key_marker: page.next.map(|entry| names.write(entry)),
            versions: Some(page.contents.into_iter().map(version).collect()),
            common_prefixes: Some(folded(page.prefixes, names)),
            name: Some(input.bucket),
            prefix: Some(names.write(input.prefix.unwrap_or_default())),
            key_marker: Some(names.write(input.key_marker.unwrap_or_default())),
            version_id_marker: input.version_id_marker,
            delimiter: input.delimiter.map(|it| names.write(it)),
            encoding_type: input.encoding_type,
            max_keys: Some(most),
            ..Default::default()
        })
    }

    /// S3's `ListMultipartUploads`.
    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let names = Names::read(input.encoding_type.as_ref())?;
        let prefix = input.prefix.unwrap_or_default();
        let most = limit(input.max_uploads, "max-uploads")?.max(1);
        let after = |key: &str, id: &str| match (&input.key_marker, &input.upload_id_marker) {
            (Some(marker), Some(last)) => (key, id) > (marker.as_str(), last.as_str()),
            (Some(marker), None) => key > marker.as_str(),
            (None, _) => true,
        };
        let named = |upload: &MultipartUpload| upload.key.clone().map(|key| names.write(key));
        let mut rest = Uploads(&self.objects)
            .of_bucket(&input.bucket)?
            .into_iter()
            .filter(|(id, upload, _)| upload.key.starts_with(&prefix) && after(&upload.key, id))
            .map(|(id, upload, begun)| MultipartUpload {
                upload_id: Some(id),
                key: Some(upload.key),
                initiated: Some(Timestamp::from(begun)),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                ..Default::default()
            })
            .peekable();
        let mut uploads: Vec<MultipartUpload> = rest.by_ref().take(most as usize).collect();
        let more = rest.peek().is_some();
        for upload in &mut uploads {
            upload.key = named(upload);
        }
        let last = uploads.last().filter(|_| more);
        Ok(ListMultipartUploadsOutput {
            next_key_marker: last.and_then(|upload| upload.key.clone()),
            next_upload_id_marker: last.and_then(|upload| upload.upload_id.clone()),
            is_truncated: Some(last.is_some()),
            bucket: Some(input.bucket),
            key_marker: input.key_marker.map(|it| names.write(it)),
            encoding_type: input.encoding_type,
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(most),
            prefix: Some(names.write(prefix)),
            uploads: Some(uploads),
            ..Default::default()
        })
    }

    /// S3's `ListParts`.
    pub(super) fn list_parts_of(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        let most = limit(input.max_parts, "max-parts")?;
        let after = input.part_number_marker.unwrap_or(0);
        let mut rest =
            uploads.parts(&input.upload_id)?.into_iter().filter(|part| part.number > after);
        let parts: Vec<Part> = rest
            .by_ref()
            .take(most as usize)
            .map(|part| Part {
                part_number: Some(part.number),
                size: Some(signed(part.size)),
                e_tag: Some(ETag::Strong(part.e_tag)),
                ..Summed::with(part.sums)
            })
            .collect();
        let more = most > 0 && rest.next().is_some();
        Ok(ListPartsOutput {
            next_part_number_marker: parts
                .last()
                .filter(|_| more)
                .and_then(|part| part.part_number),
            part_number_marker: Some(after),
            max_parts: Some(most),
            is_truncated: Some(more),
            parts: Some(parts),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{Header, Sums};

    const KEYS: [&str; 5] = ["a", "b/1", "b/2", "c", "d"];

    fn ask(change: impl FnOnce(&mut ListObjectsV2Input)) -> ListObjectsV2Output {
        of(KEYS, change).unwrap()
    }

    fn of<const N: usize>(
        keys: [&str; N],
        change: impl FnOnce(&mut ListObjectsV2Input),
    ) -> S3Result<ListObjectsV2Output> {
        let records = keys.map(|key| Record {
            key: key.to_owned(),
            size: 1,
            e_tag: String::new(),
            sums: Sums::default(),
            modified: std::time::SystemTime::UNIX_EPOCH,
            header: Header::default(),
            data: String::new(),
        });
        let mut input = ListObjectsV2Input::default();
        change(&mut input);
        list_v2(records.into(), input)
    }

    fn keys(output: &ListObjectsV2Output) -> Vec<&str> {
        output.contents.iter().flatten().map(|object| object.key.as_deref().unwrap()).collect()
    }

    #[test]
    fn a_delimiter_folds_what_is_below_it_and_pages_go_on_behind_it() {
        let first = ask(|input| {
            input.delimiter = Some("/".into());
            input.max_keys = Some(2);
        });
        assert_eq!(keys(&first), ["a"]);
        assert_eq!(first.common_prefixes.unwrap()[0].prefix.as_deref(), Some("b/"));
        let second = ask(|input| {
            input.delimiter = Some("/".into());
            input.continuation_token = first.next_continuation_token;
        });
        assert_eq!(keys(&second), ["c", "d"]);
        assert_eq!(second.is_truncated, Some(false));
    }

    #[test]
    fn a_prefix_selects() {
        assert_eq!(keys(&ask(|input| input.prefix = Some("b/".into()))), ["b/1", "b/2"]);
    }

    #[test]
    fn names_are_written_so_that_clients_read_them_back() {
        let odd = ["%2F", "\u{1}", "a+b c", "x/ü"];
        let encoded = of(odd, |input| {
            input.encoding_type = Some(EncodingType::from_static(EncodingType::URL));
            input.delimiter = Some("/".into());
        });
        let encoded = encoded.unwrap();
        assert_eq!(keys(&encoded), ["%252F", "%01", "a%2Bb%20c"]);
        assert_eq!(encoded.common_prefixes.unwrap()[0].prefix.as_deref(), Some("x/"));
        assert_eq!(keys(&of(odd, |_| {}).unwrap()), odd);
    }

    #[test]
    fn pages_that_are_none_are_refused() {
        assert!(of(KEYS, |input| input.max_keys = Some(-1)).is_err());
        assert!(of(KEYS, |input| input.continuation_token = Some("?".into())).is_err());
        let other =
            |input: &mut ListObjectsV2Input| input.encoding_type = Some("x".to_owned().into());
        assert!(of(KEYS, other).is_err());
        let most = of(KEYS, |input| input.max_keys = Some(5000)).unwrap();
        assert_eq!((most.max_keys, most.is_truncated), (Some(1000), Some(false)));
        let none = of(KEYS, |input| input.max_keys = Some(0)).unwrap();
        assert_eq!((none.key_count, none.is_truncated), (Some(0), Some(false)));
    }
}
