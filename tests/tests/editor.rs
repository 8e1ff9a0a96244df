//! `init`: settings and tasks for editors, and what editors make of our errors.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use l4re_tests::{Desk, Matcher, Problem, given};
use serde_json::Value;

/// A JSON file of the desk, without its comments.
fn json(desk: &Desk, name: &str) -> Value {
    let text = fs_err::read_to_string(desk.dir().join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    serde_json::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

/// The words of VS Code's task, with an entry picked.
fn words(tasks: &Value, label: &str, entry: &str) -> Vec<String> {
    let tasks = tasks["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|task| task["label"] == label).unwrap();
    assert_eq!(task["type"], "process");
    assert_eq!(task["command"], "cargo");
    let args = task["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let words: Vec<_> = args.map(|word| word.replace("${input:l4re-entry}", entry)).collect();
    assert_eq!(words[0], "l4re");
    words[1..].to_vec()
}

/// What the editor lists when a task of the desk fails with this exit code.
fn problems(desk: &Desk, label: &str, entry: &[&str], code: i32) -> Vec<Problem> {
    let tasks = json(desk, ".vscode/tasks.json");
    let mut words = words(&tasks, label, entry[0]);
    words.extend(entry[1..].iter().map(|&word| word.to_owned()));
    // Editors run tasks in a terminal, so with colours.
    words.extend(["--color", "always"].map(str::to_owned));
    let output = desk.l4re(&words.iter().map(String::as_str).collect::<Vec<_>>()).code(code);
    let matchers = tasks["tasks"][0]["problemMatcher"].as_array().unwrap();
    let matchers = matchers.iter().map(|name| Matcher::named(name.as_str().unwrap()));
    matchers.flat_map(|matcher| matcher.problems(&output.stderr)).collect()
}

/// Files of the desk, by their paths.
fn files(desk: &Desk) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for name in ["Cargo.toml", "l4re.toml", ".gitignore", ".vscode/tasks.json", ".zed/tasks.json"] {
        if let Ok(text) = fs_err::read_to_string(desk.dir().join(name)) {
            files.push((name.to_owned(), text));
        }
    }
    files
}

/// A project under git.
fn project() -> (Desk, String) {
    let desk = Desk::new();
    fs_err::create_dir_all(desk.dir().join(".git")).unwrap();
    (desk, given("L4RE_TEST_TREE_AMD64").to_string())
}

#[test]
fn init_is_done_once_and_undo_leaves_no_trace() {
    let (desk, tree) = project();
    desk.l4re(&["init", "--tree", &tree, "--dry-run"]).code(0).says("Would write");
    assert_eq!(files(&desk), []);
    desk.l4re(&["init", "--tree", &tree]).code(0).says("Found").says("Created");
    let settings = fs_err::read_to_string(desk.dir().join("l4re.toml")).unwrap();
    assert_eq!(settings, format!("[tree.amd64]\nbuild = \"{tree}\"\n"));
    desk.l4re(&["settings", "tree.amd64.build"]).code(0).prints(&tree);
    let tasks = json(&desk, ".vscode/tasks.json");
    let options = tasks["inputs"][0]["options"].as_array().unwrap();
    assert!(options.contains(&"hello".into()), "{tasks}");
    assert_eq!(json(&desk, ".zed/tasks.json")[0]["command"], "cargo");
    let ignored = fs_err::read_to_string(desk.dir().join(".gitignore")).unwrap();
    assert_eq!(ignored, "l4re.local.toml\n");

    let written = files(&desk);
    desk.l4re(&["init"]).code(0).says("all is there already");
    assert_eq!(files(&desk), written);
    desk.l4re(&["init", "--undo"]).code(0).says("Removed");
    assert_eq!(files(&desk), []);
    assert!(!desk.dir().join(".vscode").exists() && !desk.dir().join(".zed").exists());
    desk.l4re(&["init", "--undo"]).code(0).says("has added nothing");
}

#[test]
fn what_a_project_has_already_stays_as_it_is() {
    let (desk, tree) = project();
    let manifest = "# ours\n[workspace] # all\nmembers = []\n\n[profile.dev]\ndebug = 0 # why\n";
    desk.write("Cargo.toml", manifest);
    desk.write(".gitignore", "/target");
    let task = "{ \"label\": \"mine\", \"type\": \"shell\", \"command\": \"true\" }";
    let theirs = format!("// by hand\n{{\n\t\"tasks\": [\n\t\t// first\n\t\t{task}\n\t]\n}}\n");
    desk.write(".vscode/tasks.json", &theirs);
    let before = files(&desk);
    let init = ["init", "--tree", &tree, "--editor", "vscode"];
    desk.l4re(&init).code(0).says("Changed");
    let after = fs_err::read_to_string(desk.dir().join("Cargo.toml")).unwrap();
    let ours = format!("\n[workspace.metadata.l4re.tree.amd64]\nbuild = \"{tree}\"\n");
    assert_eq!(after.replace(&ours, ""), manifest, "{after}");
    let tasks = fs_err::read_to_string(desk.dir().join(".vscode/tasks.json")).unwrap();
    assert!(tasks.starts_with("// by hand\n") && tasks.contains("\t\t// first\n"), "{tasks}");
    assert!(tasks.contains(task) && tasks.contains("\"l4re: build\""), "{tasks}");
    assert!(!desk.dir().join(".zed").exists());
    desk.l4re(&["entries"]).code(0).prints("hello");

    desk.l4re(&["init", "--undo"]).code(0).says("Restored");
    assert_eq!(files(&desk), before);

    // A task that was added since stays when ours go.
    desk.l4re(&init).code(0);
    let path = desk.dir().join(".vscode/tasks.json");
    let tasks = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, tasks.replace("\"mine\"", "\"theirs\"")).unwrap();
    desk.l4re(&["init", "--undo"]).code(0).says("Mended");
    let left = json(&desk, ".vscode/tasks.json");
    assert_eq!(left["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(left["tasks"][0]["label"], "theirs");
    assert!(left.get("inputs").is_none());
}

#[test]
fn with_several_trees_tasks_work_and_undo_needs_no_right_settings() {
    let (desk, tree) = project();
    let before = format!("[tree.arm64]\nbuild = \"{}\"\n", given("L4RE_TEST_TREE_ARM64"));
    desk.write("l4re.toml", &before);
    desk.l4re(&["init", "--tree", &tree, "--editor", "zed"]).code(0).says("Changed");
    let tasks = json(&desk, ".zed/tasks.json");
    let words = tasks[0]["args"].as_array().unwrap().iter().skip(1);
    let words: Vec<_> = words.map(|word| word.as_str().unwrap()).collect();
    desk.l4re(&words).code(0).says("Finished");
    // What was broken since must not keep it from being taken back.
    let path = desk.dir().join("l4re.toml");
    let after = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, format!("{after}nonsense = 1\n")).unwrap();
    desk.l4re(&["settings"]).code(3).says("unknown field `nonsense`");
    desk.l4re(&["init", "--undo"]).code(0).says("Mended").says("Removed");
    let left = fs_err::read_to_string(&path).unwrap();
    assert!(!left.contains("arch =") && left.contains("nonsense = 1"), "{left}");
}

#[test]
fn a_file_that_cannot_be_written_leaves_those_before_it_to_be_undone() {
    let (desk, tree) = project();
    // A folder by the name of the file: neither rights nor root make it writable.
    desk.write(".zed/tasks.json/x", "");
    let before = files(&desk);
    desk.l4re(&["init", "--tree", &tree]).code(1).says("tasks.json");
    assert_eq!(files(&desk), before, "what cannot be read is found before anything is written");
    fs_err::remove_dir_all(desk.dir().join(".zed")).unwrap();
    desk.write(".zed", "");
    desk.l4re(&["init", "--tree", &tree]).code(1);
    desk.l4re(&["init", "--undo"]).code(0);
    assert_eq!(files(&desk), before);
}

#[test]
fn editors_find_the_places_of_errors() {
    // The tree is found where it lies: this one is made for the test, which breaks it.
    let desk = Desk::new();
    let tree = desk.built_tree();
    desk.l4re(&["init"]).code(0).says("Found");
    let settings = fs_err::read_to_string(desk.dir().join("l4re.toml")).unwrap();
    assert_eq!(settings, "[tree.amd64]\nbuild = \"tree\"\n");
    // A mistake in a program, in the words of the compiler that make runs.
    let words = ["hello", "--make", "COMPILE_ERROR=y", "BOOTSTRAP_OUTPUT_DIR=/tmp"];
    let found = problems(&desk, "l4re: build", &words, 4);
    let source = given("L4RE_TEST_TREE_AMD64").join("source").canonicalize_utf8().unwrap();
    let source = source.join("pkg/bootstrap/server/src/compile_error.c");
    let text = fs_err::read_to_string(&source).unwrap();
    let wrong = text.lines().position(|line| line.contains("lenght")).unwrap();
    let column = text.lines().nth(wrong).unwrap().find("lenght").unwrap() + 1;
    let problem = found.iter().find(|problem| problem.message.contains("lenght")).unwrap();
    assert_eq!(problem.severity, "error");
    assert_eq!((problem.line as usize, problem.column as usize), (wrong + 1, column));
    let named = tree.join(&problem.file).canonicalize_utf8().unwrap();
    assert_eq!(named, source, "{problem:?}");

    // An image that is cut off.
    let path = desk.l4re(&["efiimage", "hello"]).code(0).stdout;
    let bytes = fs_err::read(path.trim()).unwrap();
    let short = desk.write("short.efi", &bytes[..bytes.len() / 2]);
    let found = problems(&desk, "l4re: run", &[short.as_str()], 5);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&*problem.file, problem.line, problem.column), (short.as_str(), 1, 1));
    assert!(problem.message.contains("truncated"), "{problem:?}");

    // A key that is none.
    let path = desk.write("l4re.local.toml", "# mine\n  buckett = \"b\"\n");
    let found = problems(&desk, "l4re: build", &["hello"], 3);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&*problem.file, problem.line, problem.column), (path.as_str(), 2, 3));
    assert!(problem.message.ends_with("did you mean `bucket`?"), "{problem:?}");

    // A list of tasks that is none, named by `init` itself.
    fs_err::remove_file(path).unwrap();
    let path = desk.write(".zed/tasks.json", "[\n  {,\n]\n");
    let stderr = desk.l4re(&["init"]).code(3).stderr;
    let found = Matcher::named("$rustc").problems(&stderr);
    assert_eq!((&*found[0].file, found[0].line), (path.as_str(), 2), "{stderr}");
}
