//! Every value that holds, and where it comes from: what `cargo l4re settings` prints.

use std::collections::BTreeMap;

use serde_json::Value;

use super::place::Place;
use super::{Settings, schema};
use crate::environment::Environment;

/// A value that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The value, paths being absolute.
    pub value: Value,
    /// Where it comes from.
    pub place: Place,
    /// Weaker places that name the key as well.
    pub hidden: Vec<Place>,
}

impl Settings {
    /// Every value that holds, by key: those that are set, then those that hold by default.
    pub fn values(&self, environment: &Environment) -> BTreeMap<String, Held> {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for source in &self.sources {
            let known: Vec<String> = held.keys().filter_map(|key| entry_of(key)).collect();
            for (key, value) in schema::flatten(&source.layer).unwrap_or_default() {
                let Some(place) = source.places.get(&key).cloned() else { continue };
                // An entry holds as a whole, as its strongest layer has it.
                let entry = entry_of(&key).is_some_and(|entry| known.contains(&entry));
                match held.get_mut(&key) {
                    Some(stronger) => stronger.hidden.push(place),
                    None if entry => {}
                    None => drop(held.insert(key, Held { value, place, hidden: Vec::new() })),
                }
            }
        }
        for (key, value) in defaults(environment) {
            let default = Held { value, place: Place::Default, hidden: Vec::new() };
            held.entry(key).or_insert(default);
        }
        held
    }
}

/// The part of a key that names an entry.
fn entry_of(key: &str) -> Option<String> {
    let (name, _) = key.strip_prefix("entry.")?.rsplit_once('.')?;
    Some(format!("entry.{name}"))
}

/// What holds by default: what the schema says, and what depends on the user.
fn defaults(environment: &Environment) -> Vec<(String, Value)> {
    let mut defaults: Vec<_> = schema::keys().iter().flat_map(schema::Key::defaults).collect();
    if let Some(user) = environment.user() {
        defaults.push(("owner".to_owned(), user.into()));
    }
    if let Some(dir) = environment.state_dir() {
        defaults.push(("twin.dir".to_owned(), dir.join("twin").as_str().into()));
    }
    defaults
}
