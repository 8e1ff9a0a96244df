//! Tags: at creation, `CreateTags`, `DeleteTags`, `DescribeTags`, with EC2's limits.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::pages::page;
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{State, Tags};

const MAX_TAGS: usize = 50;

/// Tags that a launch gives to what it makes.
#[derive(Debug, Default)]
pub(super) struct TagSpecifications {
    pub(super) instance: Tags,
    pub(super) volume: Tags,
    pub(super) network_interface: Tags,
    pub(super) spot_request: Tags,
}

/// Reads `TagSpecification.N`.
pub(super) fn tag_specifications(root: &Scope<'_>, spot: bool) -> Result<TagSpecifications, Fault> {
    let mut specifications = TagSpecifications::default();
    for (kind, tags) in specified(root)? {
        match kind {
            "instance" => specifications.instance = tags,
            "volume" => specifications.volume = tags,
            "network-interface" => specifications.network_interface = tags,
            "spot-instances-request" if spot => specifications.spot_request = tags,
            "spot-instances-request" => {
                let message = "'spot-instances-request' is not a valid taggable resource type for \
                               this operation.";
                return Err(Fault::client("InvalidParameterValue", message));
            }
            other => {
                return Err(Fault::invalid(format!(
                    "'{other}' is not a valid taggable resource type for this operation."
                )));
            }
        }
    }
    Ok(specifications)
}

/// Reads `TagSpecification.N` of a call that makes resources of these kinds only.
pub(super) fn tags_of<const N: usize>(
    root: &Scope<'_>,
    kinds: [&str; N],
) -> Result<[Tags; N], Fault> {
    let mut all = [const { Tags::new() }; N];
    for (kind, tags) in specified(root)? {
        let at = kinds.iter().position(|known| *known == kind).ok_or_else(|| {
            Fault::invalid(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            ))
        })?;
        all[at] = tags;
    }
    Ok(all)
}

/// Each kind of resource that is named, once, with its tags.
fn specified<'a>(root: &Scope<'a>) -> Result<Vec<(&'a str, Tags)>, Fault> {
    let mut all: Vec<(&str, Tags)> = Vec::new();
    for scope in root.items("TagSpecification") {
        let kind = scope.require("ResourceType")?;
        if all.iter().any(|(other, _)| *other == kind) {
            return Err(Fault::invalid(
                "The same resource type may not be specified more than once in tag specifications",
            ));
        }
        let tags = read_tags(&scope)?;
        if tags.is_empty() {
            return Err(Fault::invalid("Tag specification must have at least one tag"));
        }
        all.push((kind, tags));
    }
    Ok(all)
}

fn read_tags(scope: &Scope<'_>) -> Result<Tags, Fault> {
    let items = scope.items("Tag");
    checked_tags(
        items
            .iter()
            .map(|tag| (tag.get("Key").unwrap_or_default(), tag.get("Value").unwrap_or_default())),
    )
}

/// Tags within EC2's limits.
pub(crate) fn checked_tags<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        check(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::invalid(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    let length = key.chars().count();
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(Fault::invalid(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are \
             reserved for internal use"
        )));
    }
    if length == 0 {
        return Err(Fault::invalid("Tag key cannot be null or empty"));
    }
    if length > 127 {
        return Err(Fault::invalid("Tag key exceeds the maximum length of 127 characters"));
    }
    if value.chars().count() > 256 {
        return Err(Fault::invalid("Tag value exceeds the maximum length of 256 characters"));
    }
    Ok(())
}

fn check_count(tags: &Tags) -> Result<(), Fault> {
    if tags.len() > MAX_TAGS {
        let message = "The maximum number of Tags for a resource has been reached.";
        return Err(Fault::client("TagLimitExceeded", message));
    }
    Ok(())
}

/// `CreateTags`.
pub(super) fn create(call: &Call<'_>) -> Result<Value, Fault> {
    let tags = read_tags(&call.root())?;
    if tags.is_empty() {
        let message = "The request must contain the parameter Tag";
        return Err(Fault::client("MissingParameter", message));
    }
    change(call, |existing| {
        existing.extend(tags.clone());
        check_count(existing)
    })
}

/// `DeleteTags`: with a value only if it fits; without tags, all.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let items = root.items("Tag");
    change(call, |existing| {
        if items.is_empty() {
            existing.clear();
        }
        for tag in &items {
            let key = tag.get("Key").unwrap_or_default();
            if tag.get("Value").is_none_or(|value| existing.get(key).is_some_and(|v| v == value)) {
                existing.remove(key);
            }
        }
        Ok(())
    })
}

fn change(call: &Call<'_>, apply: impl Fn(&mut Tags) -> Result<(), Fault>) -> Result<Value, Fault> {
    let ids = call.root().list("ResourceId");
    if ids.is_empty() {
        let message = "The request must contain the parameter ResourceId";
        return Err(Fault::client("MissingParameter", message));
    }
    let mut state = call.twin.store.lock();
    if let Some(unknown) = ids.iter().find(|id| state.tags_mut(id).is_none()) {
        return Err(not_found(unknown));
    }
    for id in ids {
        let mut tags = state.tags_mut(id).map(|(_, tags)| tags.clone()).unwrap_or_default();
        apply(&mut tags)?;
        let owner = owner_of(&mut state, id, tags);
        match owner.and_then(|owner| state.instances.get(&owner)) {
            Some(instance) => call.twin.store.save(instance)?,
            None => call.twin.store.save_resource(&state, id)?,
        }
    }
    Ok(json!({ "return": true }))
}

/// Puts the tags in their place and says which instance's record holds them, if one does.
fn owner_of(state: &mut State, id: &str, tags: Tags) -> Option<String> {
    if let Some((_, place)) = state.tags_mut(id) {
        *place = tags;
    }
    if state.volumes.contains_key(id) {
        return None;
    }
    state
        .instances
        .values()
        .find(|instance| {
            instance.data.iter().any(|volume| volume.id == id)
                || [&instance.id, &instance.volume_id, &instance.eni_id].contains(&&id.to_owned())
                || instance.spot.as_ref().is_some_and(|spot| spot.request_id == id)
        })
        .map(|instance| instance.id.clone())
}

fn not_found(id: &str) -> Fault {
    let (code, what) = match id.split('-').next() {
        Some("i") => ("InvalidInstanceID.NotFound", "instance ID"),
        Some("ami") => ("InvalidAMIID.NotFound", "image ID"),
        Some("snap") => ("InvalidSnapshot.NotFound", "snapshot"),
        Some("vol") => ("InvalidVolume.NotFound", "volume"),
        Some("eni") => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
        _ => return Fault::client("InvalidID", format!("The ID '{id}' is not valid")),
    };
    Fault::client(code, format!("The {what} '{id}' does not exist"))
}

const PATHS: Paths = &[
    ("key", "key"),
    ("resource-id", "resourceId"),
    ("resource-type", "resourceType"),
    ("value", "value"),
];

/// `DescribeTags`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let state = call.twin.store.lock();
    let mut list = Vec::new();
    let mut add = |id: &str, kind: &str, tags: &Tags| {
        list.extend(tags.iter().map(|(key, value)| {
            // The set of one is for the filter `tag:KEY`.
            json!({"resourceId": id, "resourceType": kind, "key": key, "value": value,
                   "tagSet": [{"key": key, "value": value}]})
        }));
    };
    for image in &state.images {
        add(&image.id, "image", &image.tags);
    }
    for snapshot in state.snapshots.values() {
        add(&snapshot.id, "snapshot", &snapshot.tags);
    }
    for volume in state.volumes.values() {
        add(&volume.id, "volume", &volume.tags);
    }
    for instance in state.instances.values() {
        add(&instance.id, "instance", &instance.tags);
        for (_, volume) in instance.volumes() {
            add(&volume.id, "volume", &volume.tags);
        }
        add(&instance.eni_id, "network-interface", &instance.eni_tags);
        if let Some(spot) = &instance.spot {
            add(&spot.request_id, "spot-instances-request", &spot.tags);
        }
    }
    drop(state);
    filters::retain(&mut list, &call.root(), PATHS)?;
    for tag in list.iter_mut().filter_map(Value::as_object_mut) {
        tag.remove("tagSet");
    }
    let (list, next) = page(list, &call.root(), 5..=1000)?;
    Ok(json!({ "tagSet": list, "nextToken": next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Params;

    fn read(form: &str, spot: bool) -> Result<TagSpecifications, Fault> {
        tag_specifications(&Params::parse(form.as_bytes()).unwrap().root(), spot)
    }

    #[test]
    fn tags_go_to_the_resource_that_they_name() {
        let specifications = read(
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a\
             &TagSpecification.1.Tag.1.Value=1&TagSpecification.2.ResourceType=volume\
             &TagSpecification.2.Tag.1.Key=b",
            false,
        )
        .unwrap();
        assert_eq!(specifications.instance["a"], "1");
        assert_eq!(specifications.volume["b"], "");
    }

    #[test]
    fn reserved_keys_duplicates_and_foreign_resources_are_refused() {
        let one = "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=";
        assert!(read(&format!("{one}aws:x"), false).is_err());
        assert!(read(one, false).is_err());
        assert!(read(&format!("{one}a&TagSpecification.1.Tag.2.Key=a"), false).is_err());
        let twice = format!("{one}a&{}", one.replace("TagSpecification.1", "TagSpecification.2"));
        assert!(read(&format!("{twice}b"), false).is_err());
        assert!(read("TagSpecification.1.ResourceType=instance", false).is_err());
        assert!(read(&format!("{one}{}", "k".repeat(127)), false).is_ok());
        assert!(read(&format!("{one}{}", "k".repeat(128)), false).is_err());
        let spot = "TagSpecification.1.ResourceType=spot-instances-request\
                    &TagSpecification.1.Tag.1.Key=a";
        assert!(read(spot, false).is_err() && read(spot, true).is_ok());
    }
}
