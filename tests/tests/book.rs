//! The book's commands: each is one that the command line knows, and each block is run
//! against the twin unless the page says why not.
//!
//! A block of console lines is left out when the line before it is
//! `<!-- not run: REASON -->`. All others of a page are run in their order, at one desk.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_tests::{Desk, given};

/// Limit for a block, in which one boot under emulation may be.
const BLOCK: Duration = Duration::from_secs(240);
/// What points the aws command line at the twin.
const AWS: &str = "cargo l4re twin start\neval \"$(cargo l4re twin env)\"\n";

/// A block of console lines.
struct Block {
    page: String,
    line: usize,
    commands: Vec<String>,
    runs: bool,
}

impl Block {
    fn calls_aws(&self) -> bool {
        self.commands.iter().any(|line| line.starts_with("aws "))
    }
}

/// The blocks of one page.
fn blocks(page: &Utf8Path) -> Vec<Block> {
    let text = fs_err::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_owned();
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (at, line) in lines.iter().enumerate() {
        match (inside, *line) {
            (false, "```console") => {
                let before = at.checked_sub(1).map_or("", |at| lines[at]);
                let runs = !before.starts_with("<!-- not run: ");
                blocks.push(Block { page: name.clone(), line: at + 1, commands: Vec::new(), runs });
                inside = true;
            }
            (true, "```") => inside = false,
            (true, line) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    blocks.last_mut().unwrap().commands.push(command.to_owned());
                }
            }
            _ => {}
        }
    }
    blocks
}

/// All pages, in their order.
fn pages() -> Vec<String> {
    let summary = fs_err::read_to_string(source().join("SUMMARY.md")).unwrap();
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.map(str::to_owned).collect()
}

fn source() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/src")
}

/// A desk on which `cargo l4re` is the tested binary, and the example's settings hold.
fn desk() -> Desk {
    let desk = Desk::new();
    let cargo = desk.write("bin/cargo", "#!/bin/sh\nexec \"$L4RE_TEST_BINARY\" \"$@\"\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(cargo, executable).unwrap();
    let build = desk.dir().join("build");
    fs_err::create_dir_all(&build).unwrap();
    for arch in ["amd64", "arm64"] {
        let tree = given(&format!("L4RE_TEST_TREE_{}", arch.to_uppercase()));
        let link = |to: &Utf8Path, name| std::os::unix::fs::symlink(to, build.join(name)).unwrap();
        link(&tree, format!("l4re-{arch}"));
        link(&tree.join("fiasco"), format!("fiasco-{arch}"));
    }
    // The settings that the page of the first image gives, as they stand there.
    let page = fs_err::read_to_string(source().join("first-image.md")).unwrap();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    desk.write("project/l4re.toml", rest.split_once("```").unwrap().0);
    let venv = given("L4RE_TEST_VENV").join("bin");
    let path = format!("{}/bin:{venv}:/usr/local/bin:/usr/bin:/bin", desk.dir());
    desk.with("PATH", path).with("CARGO_L4RE_LOCAL", "true")
}

#[test]
fn every_command_of_the_book_is_one() {
    let desk = desk();
    let mut pages: Vec<_> =
        source().read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
    pages.retain(|page| page.extension() == Some("md"));
    pages.push(source().parent().unwrap().parent().unwrap().join("README.md"));
    let mut seen = 0;
    for block in pages.iter().flat_map(|page| blocks(page)) {
        for command in block.commands.iter().filter(|line| line.starts_with("cargo l4re")) {
            let line = command.split(" # ").next().unwrap().replace('…', "x");
            let script = format!("set -- {line}; exec \"$@\" --help");
            let output = desk
                .start_program("/bin/sh".into(), &["-c", &script])
                .wait(Duration::from_secs(180));
            assert_eq!(
                output.code, 0,
                "{}:{}: {command}\n{}",
                block.page, block.line, output.stderr
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
}

#[test]
fn the_readme_names_every_command() {
    let help = desk().l4re(&["--help"]).code(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let readme = source().parent().unwrap().parent().unwrap().join("README.md");
    let readme = fs_err::read_to_string(readme).unwrap();
    let table: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let is_named = |name: &str| {
        let cells = table.iter().filter_map(|row| row.split(" | ").next());
        let mut words =
            cells.flat_map(|cell| cell.split(|c: char| !c.is_alphanumeric() && c != '-'));
        words.any(|word| word == name)
    };
    // What a description goes on with has no name in front.
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 20, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_blocks_of_the_book_run_on_the_twin() {
    let pages: Vec<String> = pages();
    let (next, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    ran.fetch_add(run(&source().join(page)), Ordering::Relaxed);
                }
            });
        }
    });
    let ran = ran.into_inner();
    assert!(ran > 15, "only {ran} blocks were run");
}

/// Runs the blocks of a page, and says how many those are.
fn run(page: &Utf8Path) -> usize {
    let mut blocks = blocks(page);
    blocks.retain(|block| block.runs);
    if blocks.is_empty() {
        return 0;
    }
    let desk = desk();
    let tree = desk.dir().join("build/l4re-amd64");
    for (entry, name) in [("hello", "old.efi"), ("hello-args", "new.efi")] {
        desk.l4re(&["efiimage", entry, "--tree", tree.as_str()]).code(0);
        let image = tree.join(format!("images/bootstrap_{entry}.efi"));
        fs_err::copy(image, desk.dir().join("project").join(name)).unwrap();
    }
    for block in &blocks {
        let before = if block.calls_aws() { AWS } else { "" };
        let script = format!("cd project\n{before}{}\n", block.commands.join("\n"));
        let output = desk.start_program("/bin/sh".into(), &["-euc", &script]).wait(BLOCK);
        assert_eq!(
            output.code, 0,
            "{}:{}\n{script}\nstdout:\n{}\nstderr:\n{}",
            block.page, block.line, output.stdout, output.stderr
        );
    }
    blocks.len()
}
