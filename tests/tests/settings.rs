//! Settings: where they come from, and what is said when they are wrong.

use l4re_tests::{Desk, given};

#[test]
fn a_tree_from_l4re_toml() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64");
    desk.write("l4re.toml", format!("[tree.amd64]\nbuild = \"{tree}\"\n"));
    desk.l4re(&["entries"]).code(0).prints("hello");
}

#[test]
fn a_tree_from_the_manifest_and_one_from_the_environment() {
    let tree = given("L4RE_TEST_TREE_AMD64");
    let desk = Desk::new();
    let manifest =
        format!("[workspace]\n[workspace.metadata.l4re.tree.amd64]\nbuild = \"{tree}\"\n");
    desk.write("Cargo.toml", manifest);
    desk.l4re(&["entries"]).code(0).prints("hello");
    let desk = Desk::new().with("CARGO_L4RE_TREE_AMD64_BUILD", tree);
    desk.l4re(&["entries"]).code(0).prints("hello");
}

#[test]
fn an_unknown_key_is_an_error_with_its_place() {
    let desk = Desk::new();
    let file = desk.write("l4re.toml", "ttl = \"1h\"\nbuckett = \"b\"\n");
    let output = desk.l4re(&["entries"]).code(3);
    output.says(&format!("{file}:2:1")).says("did you mean `bucket`?");
}

#[test]
fn a_bad_value_names_its_variable() {
    let desk = Desk::new().with("CARGO_L4RE_TTL", "soon");
    desk.l4re(&["ps"]).code(3).says("CARGO_L4RE_TTL").says("`soon`");
}

#[test]
fn two_trees_want_a_choice() {
    let desk = Desk::new();
    let (amd64, arm64) = (given("L4RE_TEST_TREE_AMD64"), given("L4RE_TEST_TREE_ARM64"));
    let text = format!("[tree.amd64]\nbuild = \"{amd64}\"\n[tree.arm64]\nbuild = \"{arm64}\"\n");
    desk.write("l4re.toml", text);
    desk.l4re(&["entries"]).code(3).says("--arch");
    desk.l4re(&["entries", "--arch", "aarch64"]).code(0).prints("el2-only");
}
