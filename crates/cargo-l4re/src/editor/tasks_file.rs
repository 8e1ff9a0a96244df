//! `.vscode/tasks.json` and `.zed/tasks.json`: tasks merged into what is there.
//!
//! Both are JSON with comments, which are kept, as all else that is there is. A task or an
//! input whose name is taken stays as it is. Formats: VS Code's tasks.json 2.0.0
//! (`type: process` runs an argument list without a shell), Zed's list of tasks.

use clap::ValueEnum;
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};
use jsonc_parser::json;
use serde_json::Value;

use super::edit::EditError;
use super::task::{ENTRY, Task};
use super::watch_lines;

/// The id of VS Code's input that asks for an entry.
const INPUT: &str = "l4re-entry";
/// Entries that Zed, which cannot ask, gets tasks of its own for.
const ENTRIES_IN_ZED: usize = 12;

/// An editor with a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Editor {
    #[value(name = "vscode")]
    VsCode,
    Zed,
}

impl Editor {
    /// Its file, from the project's root.
    pub const fn file(self) -> &'static str {
        match self {
            Self::VsCode => ".vscode/tasks.json",
            Self::Zed => ".zed/tasks.json",
        }
    }

    /// Whether its tasks can ask for an entry.
    pub const fn asks(self) -> bool {
        matches!(self, Self::VsCode)
    }

    /// The file before anybody has written a task.
    const fn empty(self) -> &'static str {
        match self {
            Self::VsCode => "{\n    \"version\": \"2.0.0\"\n}\n",
            Self::Zed => "[\n]\n",
        }
    }
}

/// The file's text with the tasks in it; `None` is a file that is not there.
pub fn merged(
    editor: Editor,
    before: Option<&str>,
    tasks: &[Task],
    entries: &[String],
) -> Result<String, EditError> {
    let text = before.filter(|text| !text.trim().is_empty()).unwrap_or(editor.empty());
    let root = parse(text)?;
    match editor {
        Editor::VsCode => {
            let object = root.object_value().ok_or(EditError::Shape { wanted: "an object" })?;
            if object.get("version").is_none() {
                object.insert(0, "version", json!("2.0.0"));
            }
            let wanted = tasks.iter().map(|task| (label(task, None), in_vscode(task)));
            add(&array(&object, "tasks")?, "label", wanted);
            let input = (INPUT.to_owned(), input(entries));
            add(&array(&object, "inputs")?, "id", [input]);
        }
        Editor::Zed => {
            let array = root.array_value().ok_or(EditError::Shape { wanted: "an array" })?;
            let entries = entries.iter().take(ENTRIES_IN_ZED);
            let each = entries.flat_map(|entry| tasks.iter().map(move |task| (task, entry)));
            let wanted = each.map(|(task, entry)| (label(task, Some(entry)), in_zed(task, entry)));
            add(&array, "label", wanted);
        }
    }
    Ok(root.to_string())
}

/// `current` without what `after` has and `before` has not, as far as it is unchanged.
pub fn without(current: &str, before: Option<&str>, after: &str) -> Result<String, EditError> {
    let (root, after) = (parse(current)?, parse(after)?);
    let before = before.filter(|text| !text.trim().is_empty()).map(parse).transpose()?;
    let lists = |root: &CstRootNode| match root.object_value() {
        Some(object) => ["tasks", "inputs"].map(|name| object.array_value(name)),
        None => [root.array_value(), None],
    };
    let known = before.as_ref().map(lists).unwrap_or_default();
    let added = lists(&after);
    for ((list, added), known) in lists(&root).into_iter().zip(added).zip(known) {
        let (Some(list), Some(added)) = (list, added) else { continue };
        let values =
            |list: &CstArray| list.elements().iter().filter_map(CstNode::to_serde_value).collect();
        let known: Vec<Value> = known.as_ref().map(values).unwrap_or_default();
        let added: Vec<Value> = values(&added);
        for element in list.elements() {
            let Some(value) = element.to_serde_value() else { continue };
            if added.contains(&value) && !known.contains(&value) {
                element.remove();
            }
        }
    }
    if let Some(object) = root.object_value() {
        let known = before.as_ref().and_then(CstRootNode::object_value);
        for name in ["tasks", "inputs"] {
            let is_known = known.as_ref().is_some_and(|known| known.get(name).is_some());
            let is_empty = object.array_value(name).is_some_and(|list| list.elements().is_empty());
            if let (false, true, Some(property)) = (is_known, is_empty, object.get(name)) {
                property.remove();
            }
        }
    }
    Ok(root.to_string())
}

/// Whether a text says no more than a file of ours without tasks.
pub fn is_bare(text: &str) -> bool {
    let value = parse(text).ok().and_then(|root| root.to_serde_value());
    let comments = text.contains("//") || text.contains("/*");
    let bare = value == Some(serde_json::json!([]))
        || value == Some(serde_json::json!({}))
        || value == Some(serde_json::json!({ "version": "2.0.0" }));
    bare && !comments
}

fn parse(text: &str) -> Result<CstRootNode, EditError> {
    CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| EditError::Json {
        message: error.kind().to_string(),
        text: text.to_owned(),
        span: error.range().start..error.range().end,
    })
}

fn array(object: &CstObject, name: &'static str) -> Result<CstArray, EditError> {
    object.array_value_or_create(name).ok_or(EditError::NoList { name })
}

/// Appends what has no namesake yet.
fn add(list: &CstArray, key: &str, wanted: impl IntoIterator<Item = (String, CstInputValue)>) {
    let elements = list.elements();
    let values = elements.iter().filter_map(CstNode::to_serde_value);
    let known: Vec<String> =
        values.filter_map(|value| value[key].as_str().map(str::to_owned)).collect();
    let mut first = elements.is_empty();
    for (_, value) in wanted.into_iter().filter(|(name, _)| !known.contains(name)) {
        list.append(value);
        if std::mem::take(&mut first) {
            list.ensure_multiline();
        }
    }
}

fn label(task: &Task, entry: Option<&str>) -> String {
    match entry {
        Some(entry) => format!("l4re: {} {entry}", task.name),
        None => format!("l4re: {}", task.name),
    }
}

fn words(task: &Task, entry: &str) -> CstInputValue {
    let words = task.words.iter().map(|&word| if word == ENTRY { entry } else { word });
    CstInputValue::Array(words.map(|word| word.to_owned().into()).collect())
}

fn in_vscode(task: &Task) -> CstInputValue {
    let entry = format!("${{input:{INPUT}}}");
    let mut fields = vec![
        ("label".to_owned(), label(task, None).into()),
        ("type".to_owned(), json!("process")),
        ("command".to_owned(), json!("cargo")),
        ("args".to_owned(), words(task, &entry)),
    ];
    if task.build {
        fields.push(("group".to_owned(), json!("build")));
    }
    if task.background {
        fields.push(("isBackground".to_owned(), json!(true)));
    }
    let matchers = ["$rustc", "$gcc"].map(|name| match task.background {
        false => name.to_owned().into(),
        true => json!({
            "base": (name.to_owned()),
            "background": {
                "activeOnStart": true,
                "beginsPattern": (watch_lines::BEGINS.to_owned()),
                "endsPattern": (watch_lines::ENDS.to_owned()),
            },
        }),
    });
    fields.push(("problemMatcher".to_owned(), CstInputValue::Array(matchers.into())));
    CstInputValue::Object(fields)
}

/// What asks for an entry: a list to pick from, or a line to type where none is known.
fn input(entries: &[String]) -> CstInputValue {
    let mut fields = vec![
        ("id".to_owned(), json!("l4re-entry")),
        ("type".to_owned(), json!("promptString")),
        ("description".to_owned(), json!("Entry of the module list")),
    ];
    if let Some(first) = entries.first() {
        fields[1].1 = json!("pickString");
        let options = entries.iter().map(|entry| entry.clone().into()).collect();
        fields.push(("options".to_owned(), CstInputValue::Array(options)));
        fields.push(("default".to_owned(), first.clone().into()));
    }
    CstInputValue::Object(fields)
}

fn in_zed(task: &Task, entry: &str) -> CstInputValue {
    CstInputValue::Object(vec![
        ("label".to_owned(), label(task, Some(entry)).into()),
        ("command".to_owned(), json!("cargo")),
        ("args".to_owned(), words(task, entry)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Task> {
        let task = |name, background| Task {
            name,
            words: vec!["l4re", name, ENTRY],
            background,
            build: name == "build",
        };
        vec![task("build", false), task("watch", true)]
    }

    fn entries() -> Vec<String> {
        ["hello", "my vm"].map(str::to_owned).to_vec()
    }

    fn value(text: &str) -> Value {
        parse(text).unwrap().to_serde_value().unwrap()
    }

    #[test]
    fn a_new_file() {
        let text = merged(Editor::VsCode, None, &sample(), &entries()).unwrap();
        let value = value(&text);
        assert_eq!(value["version"], "2.0.0");
        assert_eq!(value["tasks"][0]["args"][2], "${input:l4re-entry}");
        assert_eq!(value["tasks"][0]["problemMatcher"], serde_json::json!(["$rustc", "$gcc"]));
        let watch = &value["tasks"][1];
        assert_eq!(watch["isBackground"], true);
        assert_eq!(watch["problemMatcher"][1]["background"]["endsPattern"], watch_lines::ENDS);
        assert_eq!(value["inputs"][0]["options"], serde_json::json!(["hello", "my vm"]));
        let zed = self::value(&merged(Editor::Zed, None, &sample(), &entries()).unwrap());
        assert_eq!(zed[2]["label"], "l4re: build my vm");
        assert_eq!(zed[2]["args"], serde_json::json!(["l4re", "build", "my vm"]));
    }

    #[test]
    fn what_is_there_stays_with_its_comments() {
        let before = "// mine\n{\n\t\"version\": \"2.0.0\",\n\t\"tasks\": [\n\t\t// first\n\t\t{ \"label\": \
                      \"l4re: build\", \"command\": \"x\" }, // last\n\t],\n}\n";
        let after = merged(Editor::VsCode, Some(before), &sample(), &entries()).unwrap();
        for kept in [
            "// mine",
            "\t\t// first\n",
            "{ \"label\": \"l4re: build\", \"command\": \"x\" }, // last",
        ] {
            assert!(after.contains(kept), "{after}");
        }
        let tasks = &value(&after)["tasks"];
        assert_eq!(tasks.as_array().unwrap().len(), 2);
        assert_eq!(tasks[1]["label"], "l4re: watch");
        assert_eq!(merged(Editor::VsCode, Some(&after), &sample(), &entries()).unwrap(), after);
        let back = without(&after, Some(before), &after).unwrap();
        assert_eq!(value(&back), value(before));
    }

    #[test]
    fn what_was_changed_since_stays() {
        let after = merged(Editor::VsCode, None, &sample(), &entries()).unwrap();
        let changed = after.replace("\"group\": \"build\"", "\"group\": \"test\"");
        let back = value(&without(&changed, None, &after).unwrap());
        assert_eq!(back["tasks"].as_array().unwrap().len(), 1);
        assert!(back.get("inputs").is_none());
        assert!(is_bare(&without(&after, None, &after).unwrap()));
        let zed = merged(Editor::Zed, None, &sample(), &entries()).unwrap();
        assert!(is_bare(&without(&zed, None, &zed).unwrap()));
    }

    #[test]
    fn what_is_no_list_of_tasks_is_refused() {
        let merged = |text| merged(Editor::VsCode, Some(text), &sample(), &[]).unwrap_err();
        assert!(matches!(merged("[]"), EditError::Shape { .. }));
        assert!(matches!(merged("{ \"tasks\": 1 }"), EditError::NoList { name: "tasks" }));
        let EditError::Json { span, .. } = merged("{\n ] }") else { panic!() };
        assert_eq!(span.start, 3);
    }
}
