//! Listing a bucket: prefix, delimiter, pages, in S3's order.

use s3s::S3Result;
use s3s::dto::{
    CommonPrefix, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input,
    ListObjectsV2Output, MultipartUpload, StorageClass, Timestamp,
};

use crate::s3::Uploads;
use crate::s3::objects::Object;
use crate::s3::service::Store;

/// One page of `ListObjectsV2` from a bucket's records, sorted by key.
pub(crate) fn list(objects: Vec<Object>, input: ListObjectsV2Input) -> ListObjectsV2Output {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let limit = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or(0).min(1000);
    let after = input.continuation_token.as_deref().or(input.start_after.as_deref());
    let mut contents = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut last = None;
    let mut truncated = false;
    for object in objects {
        if !object.key.starts_with(prefix) {
            continue;
        }
        let common = common_prefix(&object.key, prefix, input.delimiter.as_deref());
        let entry = common.as_deref().unwrap_or(&object.key);
        if after.is_some_and(|after| entry <= after) || prefixes.last().is_some_and(|p| p == entry)
        {
            continue;
        }
        if contents.len() + prefixes.len() >= limit {
            truncated = limit > 0;
            break;
        }
        last = Some(entry.to_owned());
        match common {
            Some(common) => prefixes.push(common),
            None => contents.push(listed(object)),
        }
    }
    ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        max_keys: Some(input.max_keys.unwrap_or(1000)),
        is_truncated: Some(truncated),
        next_continuation_token: last.filter(|_| truncated),
        contents: Some(contents),
        common_prefixes: Some(
            prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect(),
        ),
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        encoding_type: input.encoding_type,
        continuation_token: input.continuation_token,
        start_after: input.start_after,
        ..Default::default()
    }
}

fn common_prefix(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let end = key[prefix.len()..].find(delimiter)?;
    Some(key[..prefix.len() + end + delimiter.len()].to_owned())
}

fn listed(object: Object) -> s3s::dto::Object {
    s3s::dto::Object {
        key: Some(object.key),
        size: i64::try_from(object.size).ok(),
        e_tag: Some(ETag::Strong(object.e_tag)),
        last_modified: Some(Timestamp::from(object.modified)),
        storage_class: Some("STANDARD".to_owned().into()),
        ..Default::default()
    }
}

impl Store {
    /// S3's `ListMultipartUploads`.
    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let prefix = input.prefix.unwrap_or_default();
        let most = input.max_uploads.unwrap_or(1000).clamp(1, 1000);
        let after = |key: &str, id: &str| match (&input.key_marker, &input.upload_id_marker) {
            (Some(marker), Some(last)) => (key, id) > (marker.as_str(), last.as_str()),
            (Some(marker), None) => key > marker.as_str(),
            (None, _) => true,
        };
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
        let uploads: Vec<MultipartUpload> = rest.by_ref().take(most as usize).collect();
        let last = uploads.last().filter(|_| rest.peek().is_some());
        Ok(ListMultipartUploadsOutput {
            next_key_marker: last.and_then(|upload| upload.key.clone()),
            next_upload_id_marker: last.and_then(|upload| upload.upload_id.clone()),
            is_truncated: Some(last.is_some()),
            bucket: Some(input.bucket),
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(most),
            prefix: Some(prefix),
            uploads: Some(uploads),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{Header, Sums};

    fn ask(change: impl FnOnce(&mut ListObjectsV2Input)) -> ListObjectsV2Output {
        let objects = ["a", "b/1", "b/2", "c", "d"].map(|key| Object {
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
        list(objects.into(), input)
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
}
