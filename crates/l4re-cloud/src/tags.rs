//! Tags: the only place where state is kept, so that any machine sees the same `ps`.
//!
//! Invariant: all tags are set by the call that makes a resource. Afterwards only those change
//! that say which image an instance boots, how long it has run, and how far a snapshot has come.

use aws_sdk_ec2::types::Tag;
use jiff::Timestamp;

use crate::ami_build::AmiContent;

/// The name.
pub(crate) const NAME: &str = "l4re:name";
/// Who launched it.
pub(crate) const OWNER: &str = "l4re:owner";
/// When.
pub(crate) const CREATED: &str = "l4re:created";
/// Until when it may exist.
pub(crate) const EXPIRES: &str = "l4re:expires";
/// SHA-256 of the image.
pub(crate) const IMAGE: &str = "l4re:image";
/// SHA-256 of the image that it is to boot instead: set before anything else is changed for it,
/// and settled once it is the image.
pub(crate) const NEXT_IMAGE: &str = "l4re:next-image";
/// Runs that are over: see [`crate::runs`].
pub(crate) const RUNS: &str = "l4re:runs";
/// What was asked for besides the image: see [`crate::attempt::attempts`]. A launch that asks
/// for the same is the same launch, repeated.
pub(crate) const LAUNCH: &str = "l4re:launch";
/// The bucket and the key, with `/` between, of the script that a parked machine waits for.
pub(crate) const NEXT: &str = "l4re:next";
/// Says that a schedule ends the instance at its expiry.
pub(crate) const SCHEDULE: &str = "l4re:schedule";
/// What starts from an AMI: `ipxe` or `image`.
pub(crate) const ROLE: &str = "l4re:role";
/// An iPXE, which fetches an image.
pub(crate) const ROLE_IPXE: &str = "ipxe";
/// The image itself.
pub(crate) const ROLE_IMAGE: &str = "image";
/// What is on an AMI's disk, as a digest.
pub(crate) const DISK: &str = "l4re:disk";
/// How many blocks of a snapshot were put.
pub(crate) const PROGRESS: &str = "l4re:progress";
/// The IMDS version that an own AMI's iPXE speaks, if it is only `v1`.
pub(crate) const IMDS: &str = "l4re:imds";
/// What the EC2 console shows as the name.
pub(crate) const DISPLAY_NAME: &str = "Name";

/// What EC2 takes as the value of a tag, in characters.
const VALUE_LIMIT: usize = 256;

/// What the tags of a launch say.
pub(crate) struct TagValues<'a> {
    pub(crate) name: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) image: Option<&'a str>,
    pub(crate) launch: &'a str,
}

/// The tags of a launch, ours first. A further tag cannot replace one of ours.
pub(crate) fn launch_tags(
    values: &TagValues<'_>,
    further: &[(String, String)],
) -> Vec<(String, String)> {
    let mut tags = vec![
        (NAME, values.name.to_owned()),
        (OWNER, values.owner.to_owned()),
        (CREATED, milliseconds(values.created)),
    ];
    tags.extend(values.expires.map(|time| (EXPIRES, milliseconds(time))));
    tags.extend(values.image.map(|sum| (IMAGE, sum.to_owned())));
    tags.push((LAUNCH, values.launch.to_owned()));
    tags.push((DISPLAY_NAME, values.name.to_owned()));
    let mut tags: Vec<(String, String)> = tags
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.chars().take(VALUE_LIMIT).collect()))
        .collect();
    for (key, value) in further {
        if key == DISPLAY_NAME {
            tags.retain(|(k, _)| k != DISPLAY_NAME);
        }
        if !tags.iter().any(|(k, _)| k == key) {
            tags.push((key.clone(), value.clone()));
        }
    }
    tags
}

/// What the tags of an AMI and of its snapshot say.
pub(crate) struct AmiTags<'a> {
    pub(crate) name: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) holds: AmiContent<'a>,
    pub(crate) disk: &'a str,
}

/// The tags of an AMI and of its snapshot.
pub(crate) fn ami_tags(values: &AmiTags<'_>) -> Vec<(String, String)> {
    let mut tags = vec![
        (NAME, values.name.to_owned()),
        (OWNER, values.owner.to_owned()),
        (CREATED, milliseconds(values.created)),
        (ROLE, values.holds.role().to_owned()),
        (DISK, values.disk.to_owned()),
    ];
    tags.extend(values.expires.map(|time| (EXPIRES, milliseconds(time))));
    match values.holds {
        AmiContent::Image(sum) => tags.push((IMAGE, sum.to_owned())),
        AmiContent::Ipxe { imds_v2: false } => tags.push((IMDS, "v1".to_owned())),
        AmiContent::Ipxe { imds_v2: true } => {}
    }
    let cut = |value: String| value.chars().take(VALUE_LIMIT).collect();
    tags.into_iter().map(|(key, value)| (key.to_owned(), cut(value))).collect()
}

/// RFC 3339 to the millisecond, UTC. Of two commands that race for a name the one that came
/// first is told by it.
fn milliseconds(time: Timestamp) -> String {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time).to_string()
}

/// EC2's tags as pairs.
pub(crate) fn of(tags: &[Tag]) -> Vec<(String, String)> {
    let pair = |tag: &Tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()));
    tags.iter().filter_map(pair).collect()
}

/// The value of a tag.
pub(crate) fn value<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    tags.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
}

/// The value of a tag as a time; `None` also when someone wrote nonsense there.
pub(crate) fn time(tags: &[(String, String)], key: &str) -> Option<Timestamp> {
    value(tags, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> TagValues<'static> {
        TagValues {
            name: "hello",
            owner: "ada",
            created: "2026-11-01T10:00:00.75Z".parse().unwrap(),
            expires: Some("2026-11-01T12:00:00Z".parse().unwrap()),
            image: Some("abc"),
            launch: "def",
        }
    }

    #[test]
    fn all_of_ours_and_the_display_name() {
        let tags = launch_tags(&values(), &[]);
        let keys: Vec<_> = tags.iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(keys, [NAME, OWNER, CREATED, EXPIRES, IMAGE, LAUNCH, DISPLAY_NAME]);
        assert_eq!(value(&tags, CREATED), Some("2026-11-01T10:00:00.75Z"));
        assert_eq!(time(&tags, EXPIRES), values().expires);
    }

    #[test]
    fn further_tags_cannot_replace_ours_but_the_display_name() {
        let further = [
            (NAME.to_owned(), "evil".to_owned()),
            (DISPLAY_NAME.to_owned(), "shown".to_owned()),
            ("team".to_owned(), "os".to_owned()),
        ];
        let tags = launch_tags(&values(), &further);
        assert_eq!(value(&tags, NAME), Some("hello"));
        assert_eq!(value(&tags, DISPLAY_NAME), Some("shown"));
        assert_eq!(value(&tags, "team"), Some("os"));
    }

    #[test]
    fn nonsense_times_are_none() {
        assert_eq!(time(&[(EXPIRES.to_owned(), "tomorrow".to_owned())], EXPIRES), None);
    }
}
