//! Building and looking at images: the demo tree by make, and what goes wrong.

use l4re_tests::{Desk, given};

fn amd64() -> String {
    given("L4RE_TEST_TREE_AMD64").to_string()
}

fn arm64() -> String {
    given("L4RE_TEST_TREE_ARM64").to_string()
}

#[test]
fn an_efi_image_is_built_and_named() {
    let desk = Desk::new();
    let output = desk.l4re(&["efiimage", "hello", "--tree", &amd64()]).code(0);
    let path = output.stdout.trim();
    assert!(path.ends_with("/images/bootstrap_hello.efi"), "{path}");
    let output = output.says("x86_64 EFI").says("sha256 ").says("bootx64.efi");
    assert!(!output.stderr.contains("dialog"));
}

#[test]
fn an_elf_image_is_built_and_told_in_json() {
    let desk = Desk::new();
    let words = ["elfimage", "hello", "--tree", &amd64(), "--message-format", "json"];
    let output = desk.l4re(&words).code(0);
    let messages = output.messages();
    assert_eq!(messages[0]["reason"], "start");
    assert_eq!(messages[0]["format_version"], 1);
    let image = output.message("image");
    assert_eq!(image["kind"], "elf");
    assert_eq!(image["arch"], "x86_64");
    assert_eq!(image["sha256"].as_str().unwrap().len(), 64);
    let again = desk.l4re(&words).code(0).message("image");
    assert_eq!((&again["fresh"], &again["sha256"]), (&true.into(), &image["sha256"]));
}

#[test]
fn arm64_takes_a_platform() {
    let desk = Desk::new();
    let words = ["efiimage", "hello", "--tree", &arm64(), "--platform", "arm_sbsa"];
    desk.l4re(&words).code(0).says("aarch64 EFI").says("bootaa64.efi");
}

#[test]
fn make_variables_go_through() {
    let desk = Desk::new();
    let out = desk.dir().join("out");
    fs_err::create_dir(&out).unwrap();
    let variable = format!("BOOTSTRAP_OUTPUT_DIR={out}");
    let output = desk.l4re(&["efiimage", "hello", &variable, "--tree", &amd64()]).code(0);
    assert_eq!(output.stdout.trim(), out.join("bootstrap_hello.efi"));
}

#[test]
fn entries_are_listed() {
    let desk = Desk::new();
    let output = desk.l4re(&["entries", "--tree", &amd64()]).code(0);
    let names: Vec<_> = output.stdout.lines().collect();
    assert!(names.contains(&"hello") && names.contains(&"panic"), "{names:?}");
    assert!(!names.contains(&"el2-only"), "an arm64 entry in an amd64 tree: {names:?}");
}

#[test]
fn an_image_is_inspected_and_sound() {
    let desk = Desk::new();
    let path = desk.l4re(&["efiimage", "hello-args", "--tree", &amd64()]).code(0).stdout;
    let output = desk.l4re(&["inspect", path.trim()]).code(0);
    let output = output.prints("kernel").prints("sigma0").prints("roottask").prints("pc");
    assert!(!output.stdout.contains("FAILED"), "{}", output.stdout);
}

#[test]
fn without_a_tree_it_says_how_to_name_one() {
    let desk = Desk::new();
    let output = desk.l4re(&["efiimage", "hello"]).code(3);
    output.says("no L4Re build tree").says("--tree DIR").says("l4re.toml");
}

#[test]
fn a_folder_of_another_sort_is_no_tree() {
    let desk = Desk::new();
    let tree = desk.dir().as_str();
    desk.l4re(&["efiimage", "hello", "--tree", tree]).code(4).says("not an L4Re build tree");
    let words = ["efiimage", "hello", "--tree", "/nonexistent/tree"];
    desk.l4re(&words).code(4).says("no such folder");
}

#[test]
fn an_unfinished_tree_is_told_from_a_finished_one() {
    let desk = Desk::new();
    let tree = desk.laid_out_tree();
    let output = desk.l4re(&["efiimage", "hello", "--tree", tree.as_str()]).code(4);
    output.says("is not built").says("make -C");
}

#[test]
fn an_unknown_entry_names_the_nearest() {
    let desk = Desk::new();
    let output = desk.l4re(&["efiimage", "helo", "--tree", &amd64()]).code(4);
    output.says("no entry `helo`").says("did you mean `hello`").says("cargo l4re entries");
}

#[test]
fn no_entry_never_opens_a_menu() {
    let desk = Desk::new();
    let output = desk.l4re(&["efiimage", "--tree", &amd64()]).code(4);
    output.says("no entry is named").says("hello");
}

#[test]
fn a_missing_module_is_named_after_makes_own_lines() {
    let desk = Desk::new();
    let output = desk.l4re(&["efiimage", "missing-module", "--tree", &amd64()]).code(4);
    let own = output.stderr.find("Could not find").expect("make's own lines");
    let ours = output.stderr.find("error:").expect("our error");
    assert!(own < ours, "{}", output.stderr);
}

#[test]
fn a_compile_error_stays_clickable() {
    let desk = Desk::new();
    let words = ["efiimage", "hello", "COMPILE_ERROR=y", "BOOTSTRAP_OUTPUT_DIR=/tmp", "--tree"];
    let tree = desk.built_tree();
    let output = desk.l4re(&[&words[..], &[tree.as_str()]].concat()).code(4);
    let clickable = output.stderr.lines().any(|line| {
        let mut parts = line.splitn(4, ':');
        let file = parts.next().is_some_and(|file| file.ends_with(".c"));
        let number = |part: Option<&str>| part.is_some_and(|n| n.parse::<u32>().is_ok());
        file && number(parts.next())
            && number(parts.next())
            && parts.next().is_some_and(|rest| rest.trim_start().starts_with("error"))
    });
    assert!(clickable, "no file:line:col: error in\n{}", output.stderr);
}

#[test]
fn images_that_are_none() {
    let desk = Desk::new();
    let text = desk.write("a.efi", "<html>404</html>");
    desk.l4re(&["inspect", text.as_str()]).code(5).says("neither PE nor ELF");
    let path = desk.l4re(&["efiimage", "hello", "--tree", &amd64()]).code(0).stdout;
    let bytes = fs_err::read(path.trim()).unwrap();
    let short = desk.write("short.efi", &bytes[..bytes.len() / 2]);
    desk.l4re(&["inspect", short.as_str()]).code(5).says("truncated");
    let empty = desk.write("empty.efi", "");
    desk.l4re(&["inspect", empty.as_str()]).code(5).says("empty");
    desk.l4re(&["inspect", "/nonexistent/a.efi"]).code(5).says("no such image");
}

#[test]
fn a_flipped_module_byte_fails_its_sum() {
    let desk = Desk::new();
    let bad = desk.image_with_a_wrong_sum(&amd64());
    desk.l4re(&["inspect", bad.as_str()]).code(5).prints("FAILED");
    desk.l4re(&["disk", bad.as_str()]).code(5).says("fails 1 check");
}

#[test]
fn native_and_made_images_are_equal_but_for_who_and_when() {
    let desk = Desk::new();
    // Make writes an image where it lies, and other tests read those of the tree.
    let own = format!("BOOTSTRAP_OUTPUT_DIR={}", desk.dir());
    for (tree, entry, kind) in [
        (amd64(), "hello", "efiimage"),
        (amd64(), "hello-args", "elfimage"),
        (arm64(), "hello-shared", "efiimage"),
    ] {
        let keep = |way: &str| {
            let output = desk.l4re(&[kind, entry, way, "--tree", &tree, &own]).code(0);
            let copy = desk.dir().join(format!("{way}.img"));
            fs_err::copy(output.stdout.trim(), &copy).unwrap();
            copy
        };
        let (made, native) = (keep("--make"), keep("--native"));
        let output = desk.l4re(&["inspect", "--diff", made.as_str(), native.as_str()]).code(0);
        for line in output.stdout.lines() {
            let of_making = line.starts_with("attribute l4i:modification-")
                || line.starts_with("attribute l4i:creation-")
                || line.starts_with("attribute l4i:sequence");
            assert!(of_making, "{entry}: {line}");
        }
    }
}

#[test]
fn what_only_make_can_do_is_left_to_it() {
    let desk = Desk::new();
    let words = ["efiimage", "hello-perl", "--tree", &amd64()];
    desk.l4re(&[&words[..], &["-v"]].concat()).code(0).says("By make");
    desk.l4re(&[&words[..], &["--native"]].concat()).code(4).says("left to make");
}

#[test]
fn modules_are_unpacked() {
    let desk = Desk::new();
    let path = desk.l4re(&["efiimage", "hello", "--tree", &amd64()]).code(0).stdout;
    let output = desk.l4re(&["inspect", path.trim(), "--extract", "out"]).code(0);
    output.prints("out/modules.list").prints("out/fiasco");
    assert!(desk.dir().join("out/fiasco").is_file());
}
