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
fn a_tree_is_for_the_architecture_that_it_is_named_for() {
    let (amd64, arm64) = (given("L4RE_TEST_TREE_AMD64"), given("L4RE_TEST_TREE_ARM64"));
    let desk = Desk::new();
    let words = ["entries", "--arch", "arm64", "--tree", amd64.as_str()];
    desk.l4re(&words).code(3).says("a build tree for amd64, and one for arm64 is meant");
    desk.write("l4re.toml", format!("[tree.arm64]\nbuild = \"{amd64}\"\n"));
    desk.l4re(&["entries"]).code(3).says("a build tree for amd64, and one for arm64 is meant");
    let both = format!("[tree.arm64]\nbuild = \"{arm64}\"\n[tree.amd64]\nbuild = \"{amd64}\"\n");
    desk.write("l4re.toml", both);
    desk.l4re(&["entries", "--arch", "arm64"]).code(0).prints("hello");
    let words = ["entries", "--arch", "riscv64"];
    desk.l4re(&words).code(3).says("no L4Re build tree for riscv64 is set");
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

#[test]
fn each_value_with_its_origin() {
    let desk = Desk::new().with("CARGO_L4RE_OWNER", "me");
    let shared = desk.write("l4re.toml", "bucket = \"of-all\"\n[tree.x86_64]\nbuild = \"b\"\n");
    let local = desk.write("l4re.local.toml", "# mine\nbucket = \"of-mine\"\n");
    let words = ["settings", "--config", "ttl='3h'", "--arch", "arm64"];
    let build = format!("tree.amd64.build = \"{}/b\"  # {shared}:3:1", desk.dir());
    desk.l4re(&words)
        .code(0)
        .prints(&format!("bucket = \"of-mine\"  # {local}:2:1\n"))
        .prints(&build)
        .prints("ttl = \"3h\"  # --config ttl='3h'\n")
        .prints("arch = \"arm64\"  # --arch arm64\n")
        .prints("owner = \"me\"  # CARGO_L4RE_OWNER\n")
        .prints("https = false  # default\n");
    let output = desk.l4re(&["settings", "bucket", "--message-format", "json"]).code(0);
    let message = output.message("setting");
    assert_eq!(message["origin"]["line"], 2);
    assert_eq!(message["hidden"][0]["path"], shared.as_str());
    desk.l4re(&["settings", "-v", "bucket"]).code(0).says(&format!("bucket at {shared}:1:1"));
    desk.l4re(&["settings", "arc"]).code(2).says("did you mean `arch`?");
    desk.l4re(&["settings", "subnet"]).code(2).says("`subnet` is not set");
}

#[test]
fn what_settings_print_can_be_read_again() {
    let desk = Desk::new();
    let entry = "[[entry]]\nname = \"vm\"\nmodules = [\"l4re\", { file = \"x\" }]\n";
    desk.write("l4re.toml", format!("machine.metal.arm64 = [\"a1.metal\", \"b2.metal\"]\n{entry}"));
    let printed = desk.l4re(&["settings", "machine"]).code(0).stdout;
    let again = desk.another();
    let file = again.write("again.toml", printed);
    let words = ["settings", "machine.metal.arm64", "--config", file.as_str()];
    again.l4re(&words).code(0).prints("[\"a1.metal\", \"b2.metal\"]").prints("again.toml:");
    desk.l4re(&["settings", "entry"]).code(0).prints("entry.vm.modules = [\"l4re\", { file = ");
}

#[test]
fn what_would_be_lost_or_fail_later_is_an_error_where_it_stands() {
    let desk = Desk::new();
    for (text, place, said) in [
        ("[[entry]]\nname = \"a\"\n[[entry]]\nname = \"a\"\n", ":4:8", "second time"),
        ("[[entry]]\nname = \"a\"\nexpect = [\"(\"]\n", ":3:11", "no regular expression"),
        ("twin.accel = \"kwm\"\n", ":1:14", "did you mean `kvm`?"),
        ("[tree.amd46]\nbuild = \"b\"\n", ":1:7", "did you mean `amd64`?"),
        ("[[entry]]\nname = \"hello\"\nkernel = \"fiasco -wait\"\n", ":3:1", "goes with `modules`"),
        ("[workspace.metadata.l4re]\nttl = \"2h\"\n", ":1:2", "keys stand at the top"),
        ("[tree]\namd64 = \"../build\"\n", ":2:9", "a table with `build` and `kernel`"),
        ("ttl = \"0s\"\n", ":1:7", "no time to live"),
    ] {
        let file = desk.write("l4re.toml", text);
        desk.l4re(&["settings"]).code(3).says(&format!("{file}{place}")).says(said);
    }
}

#[test]
fn what_an_entry_cannot_have_is_an_error_where_it_is_declared() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64");
    for (name, keys, code, line, said) in [
        ("a", "modules = [\"l4re\", { file = \"none\" }]", 3, 5, "no file"),
        ("a", "modules = [\"l4re\"]\nroottask = \"moe # x\"", 3, 6, "begins a comment"),
        ("hello", "modules = [\"l4re\"]", 3, 4, "in settings and in"),
        ("a", "modules = [\"l4re\", \"nowhere -v\"]", 4, 5, "module `nowhere` is in none of"),
        ("a", "modules = [\"l4re\"]\nkernel = \"fiascoo\"", 4, 6, "kernel `fiascoo` is in none"),
    ] {
        let tree = format!("[tree.amd64]\nbuild = \"{tree}\"\n");
        let file = desk.write("l4re.toml", format!("{tree}[[entry]]\nname = \"{name}\"\n{keys}\n"));
        let output = desk.l4re(&["efiimage", name]).code(code);
        output.says(&format!("--> {file}:{line}:1")).says(said);
    }
}

#[test]
fn the_schema_is_printed_whatever_the_settings_say() {
    let desk = Desk::new();
    desk.write("l4re.toml", "no TOML");
    desk.l4re(&["settings"]).code(3).says("l4re.toml:1:");
    let schema = desk.l4re(&["settings", "--schema"]).code(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["properties"]["ttl"]["default"], "2h");
    assert_eq!(schema["additionalProperties"], false);
}
