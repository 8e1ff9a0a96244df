//! Buckets' rules of expiry, carried out: objects whose days are over go, and uploads that
//! nobody completed. Spec: S3 user guide, "Lifecycle configuration elements".
//!
//! Invariant: a rule takes no more than it names; one that goes by tags takes nothing, as no
//! object here has any.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::S3Result;
use s3s::dto::{LifecycleRule, Timestamp};

use crate::s3::objects::{Condition, Object};
use crate::s3::settings::lifecycle_of;
use crate::s3::{Objects, Uploads};

const DAY: u64 = 24 * 60 * 60;

/// Carries out the rules of all buckets; how many objects went.
pub(crate) fn expire(objects: &Objects, now: SystemTime) -> S3Result<usize> {
    let mut gone = 0;
    for bucket in objects.buckets().map_err(s3s::S3Error::internal_error)? {
        let rules = lifecycle_of(objects, &bucket)?;
        let on = |rule: &&LifecycleRule| rule.status.as_str() == "Enabled";
        for rule in rules.iter().filter(on) {
            for object in objects.objects(&bucket)? {
                if takes(rule, &object) && is_over(rule, &object, now) {
                    objects.delete(&bucket, &object.key, &Condition::None)?;
                    gone += 1;
                }
            }
            abort_uploads(objects, &bucket, rule, now)?;
        }
    }
    Ok(gone)
}

fn abort_uploads(
    objects: &Objects,
    bucket: &str,
    rule: &LifecycleRule,
    now: SystemTime,
) -> S3Result<()> {
    let abort = rule.abort_incomplete_multipart_upload.as_ref();
    let Some(days) = abort.and_then(|abort| abort.days_after_initiation) else { return Ok(()) };
    let uploads = Uploads(objects);
    for (id, upload, begun) in uploads.of_bucket(bucket)? {
        if upload.key.starts_with(prefix(rule)) && is_due(begun, days, now) {
            uploads.remove(&id)?;
        }
    }
    Ok(())
}

fn is_over(rule: &LifecycleRule, object: &Object, now: SystemTime) -> bool {
    let Some(expiration) = &rule.expiration else { return false };
    expiration.days.is_some_and(|days| is_due(object.modified, days, now))
        || expiration.date.as_ref().is_some_and(|date| *date <= Timestamp::from(now))
}

/// So many days later, at the next midnight.
fn is_due(from: SystemTime, days: i32, now: SystemTime) -> bool {
    let Ok(from) = from.duration_since(UNIX_EPOCH) else { return false };
    let days = u64::try_from(days).unwrap_or(0);
    let midnight = from.as_secs().saturating_add(days * DAY).div_ceil(DAY) * DAY;
    UNIX_EPOCH + Duration::from_secs(midnight) <= now
}

/// The rule's own prefix is the place that it had once, and S3 takes still.
fn prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter.as_ref();
    let both = filter.and_then(|filter| filter.and.as_ref());
    let new = filter.and_then(|filter| filter.prefix.as_deref());
    new.or(both.and_then(|both| both.prefix.as_deref())).or(rule.prefix.as_deref()).unwrap_or("")
}

fn takes(rule: &LifecycleRule, object: &Object) -> bool {
    let filter = rule.filter.as_ref();
    let both = filter.and_then(|filter| filter.and.as_ref());
    let tagged = filter.is_some_and(|filter| filter.tag.is_some())
        || both.is_some_and(|both| both.tags.as_ref().is_some_and(|tags| !tags.is_empty()));
    let above = filter
        .and_then(|filter| filter.object_size_greater_than)
        .or(both.and_then(|both| both.object_size_greater_than));
    let below = filter
        .and_then(|filter| filter.object_size_less_than)
        .or(both.and_then(|both| both.object_size_less_than));
    let size = i64::try_from(object.size).unwrap_or(i64::MAX);
    !tagged
        && object.key.starts_with(prefix(rule))
        && above.is_none_or(|above| size > above)
        && below.is_none_or(|below| size < below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::objects::Condition;
    use crate::s3::{Header, Sums};

    fn rules(objects: &Objects, filter: &str) {
        let xml = format!(
            "<LifecycleConfiguration><Rule><ID>x</ID><Status>Enabled</Status>{filter}\
             <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>"
        );
        fs_err::write(objects.bucket_dir("bucket").join("lifecycle.xml"), xml).unwrap();
    }

    #[test]
    fn objects_go_when_their_days_are_over_and_only_those_of_the_rule() {
        let dir = camino_tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path()).unwrap();
        objects.create_bucket("bucket").unwrap();
        let noon = UNIX_EPOCH + Duration::from_secs(20_000 * DAY + DAY / 2);
        for key in ["l4re/a", "other/b"] {
            fs_err::write(objects.data("bucket", &key.replace('/', "-")), key).unwrap();
            let object = Object {
                key: key.to_owned(),
                size: 6,
                e_tag: String::new(),
                sums: Sums::default(),
                modified: noon,
                header: Header::default(),
                data: key.replace('/', "-"),
            };
            objects.commit("bucket", &object, &Condition::None).unwrap();
        }
        let after = |days: u64| noon + Duration::from_secs(days * DAY);
        assert_eq!(expire(&objects, after(1000)).unwrap(), 0, "there is no rule");
        rules(&objects, "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>");
        assert_eq!(expire(&objects, after(1000)).unwrap(), 0, "nothing is tagged");
        rules(&objects, "<Filter><Prefix>l4re/</Prefix></Filter>");
        assert_eq!(expire(&objects, after(30)).unwrap(), 0, "it goes at midnight");
        assert_eq!(expire(&objects, after(31)).unwrap(), 1);
        let left: Vec<_> = objects.objects("bucket").unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(left, ["other/b"]);
    }
}
