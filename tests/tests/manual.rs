//! Help, manual pages and completions, as a user and a shell ask for them.

use std::time::{Duration, Instant};

use l4re_tests::{Desk, given};

/// Limit for a call on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What a shell is offered, flags apart, for the words of a line, the last being typed.
fn offered(desk: &Desk, words: &[&str]) -> Vec<String> {
    let index = words.len().to_string();
    let variables = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", index.as_str())];
    let argv = [&["--", "cargo-l4re"], words].concat();
    let call = desk.start_with(&variables, &given("L4RE_TEST_BINARY"), &argv);
    let output = call.wait(LIMIT);
    let offered = output.code(0).stdout;
    offered.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn help_on_commands_and_topics() {
    let desk = Desk::new();
    desk.l4re(&["help"]).code(0).prints("Usage: cargo l4re").prints("exit-codes");
    desk.l4re(&["help", "twin", "start"]).code(0).prints("Usage: cargo l4re twin start");
    desk.l4re(&["help", "exit-codes"]).code(0).prints("101   cargo failed");
    desk.l4re(&["help", "exit", "codes"]).code(0).prints("CODE");
    desk.l4re(&["help", "environment"]).code(0).prints("CARGO_L4RE_TREE_ARCH_BUILD");
    desk.l4re(&["help", "setings"]).code(2).says("did you mean `settings`?");
}

#[test]
fn help_is_short_and_says_each_thing_once() {
    let desk = Desk::new();
    for words in [&["run"][..], &["deploy"], &["efiimage"], &["twin"]] {
        let short = desk.l4re(&[words, &["-h"]].concat()).code(0).stdout;
        assert_eq!(short, desk.l4re(&[words, &["--help"]].concat()).code(0).stdout);
    }
    let help = desk.l4re(&["run", "-h"]).code(0);
    assert_eq!(help.stdout.matches("auto, always, never").count(), 1, "{}", help.stdout);
    help.prints("[possible values: efi, elf]").prints("else 2h]");
}

#[test]
fn errors_of_the_command_line_obey_colour() {
    let desk = Desk::new();
    let coloured = desk.l4re(&["run", "--nope", "--color", "always"]).code(2);
    assert!(coloured.stderr.contains('\u{1b}'), "{coloured:?}");
    let plain = desk.l4re(&["run", "--nope"]).code(2);
    assert!(!plain.stderr.contains('\u{1b}'), "{plain:?}");
    let variable = Desk::new().with("CARGO_TERM_COLOR", "always").l4re(&["run", "--nope"]).code(2);
    assert!(variable.stderr.contains('\u{1b}'), "{variable:?}");
}

#[test]
fn manual_pages() {
    let desk = Desk::new();
    desk.l4re(&["man"]).code(0).prints(".SH SYNOPSIS").prints("l4re.local.toml");
    desk.l4re(&["man", "twin", "start"]).code(0).prints("cargo\\-l4re\\-twin\\-start");
    desk.l4re(&["man", "nope"]).code(2).says("no command `nope`");
    desk.l4re(&["man", "--to", "pages"]).code(0).says("pages to");
    let page = fs_err::read_to_string(desk.dir().join("pages/cargo-l4re-deploy.1")).unwrap();
    assert!(page.contains(".TH cargo-l4re-deploy 1"), "{page}");
    assert!(!desk.dir().join("pages/cargo-l4re-twin-pipe.1").exists());
}

#[test]
fn entries_keys_and_topics_are_completed() {
    let tree = given("L4RE_TEST_TREE_AMD64");
    let desk = Desk::new();
    assert!(offered(&desk, &["dep"]).contains(&"deploy".to_owned()));
    assert_eq!(offered(&desk, &["efiimage", "--tree", tree.as_str(), "hello-s"]).len(), 2);
    assert_eq!(offered(&desk, &["efiimage", "--tree", "/nowhere", "hel"]), [""; 0]);
    desk.write("l4re.toml", format!("[tree.amd64]\nbuild = \"{tree}\"\n"));
    assert!(offered(&desk, &["run", "hel"]).contains(&"hello".to_owned()));
    assert_eq!(offered(&desk, &["settings", "tree."]), ["tree.amd64.build"]);
    assert_eq!(offered(&desk, &["help", "exit"]), ["exit-codes"]);
    assert_eq!(offered(&desk, &["help", "ami", "b"]), ["build"]);
    assert_eq!(offered(&desk, &["help", "costs", ""]), [""; 0]);
    assert_eq!(offered(&desk, &["run", "--type", "c7i"]), ["c7i-flex.large"]);
    // Where nothing says which tree is meant, those of all are there.
    let both = given("L4RE_TEST_TREE_ARM64");
    let both = format!("tree.amd64.build = \"{tree}\"\ntree.arm64.build = \"{both}\"\n");
    desk.write("l4re.toml", both);
    assert_eq!(offered(&desk, &["run", "el2"]), ["el2-only"]);
    assert_eq!(offered(&desk, &["run", "reboot"]), ["reboot-loop"]);
    desk.write("l4re.toml", "no TOML");
    assert_eq!(offered(&desk, &["run", "hel"]), [""; 0]);
}

#[test]
fn a_shell_never_waits_long_for_instances_and_starts_no_twin() {
    let desk = Desk::new();
    assert_eq!(offered(&desk, &["rm", "--local", ""]), [""; 0]);
    assert!(!desk.dir().join("home/state/cargo-l4re/twin").exists());
    // A server that takes connections and says nothing: nobody else ends the wait for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let desk = desk.with("AWS_ENDPOINT_URL", url).with("AWS_REGION", "eu-central-1");
    let desk = desk.with("AWS_ACCESS_KEY_ID", "a").with("AWS_SECRET_ACCESS_KEY", "b");
    assert_eq!(offered(&desk, &["rm", ""]), [""; 0]);
    // Without an answer, all that are known.
    let regions = offered(&desk, &["ps", "--region", "eu-central-"]);
    assert_eq!(regions, ["eu-central-1", "eu-central-2"]);
}

#[test]
fn regions_are_those_of_the_account_and_profiles_those_of_the_settings() {
    let desk = Desk::new();
    desk.l4re(&["twin", "start"]).code(0);
    let desk = desk.as_aws();
    // An account does not have all regions until it asks for them; on a busy machine the answer
    // may come too late for a shell.
    let deadline = Instant::now() + Duration::from_secs(60);
    while offered(&desk, &["ps", "--region", "eu-central-"]) != ["eu-central-1"] {
        assert!(Instant::now() < deadline, "the account was not asked");
    }
    let settings = desk.write("aws", "[default]\n[profile work]\nregion = eu-west-3\n");
    let desk = desk.with("AWS_CONFIG_FILE", settings);
    assert_eq!(offered(&desk, &["ps", "--profile", "w"]), ["work"]);
    let missing = desk.l4re(&["ps", "--profile", "wrok"]).code(6);
    missing.says("no profile `wrok`").says("did you mean `work`?");
    let refused = desk.l4re(&["ps", "--local", "--region", "eu-west-3"]).code(2);
    refused.says("cannot be used with");
    let by_settings = desk.with("CARGO_L4RE_LOCAL", "true");
    by_settings.l4re(&["ps", "--region", "eu-west-3"]).code(2).says("this goes to the twin");
}

#[test]
fn bash_completes_both_spellings() {
    let desk = Desk::new();
    let binary = given("L4RE_TEST_BINARY");
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap());
    let desk = desk.with("PATH", path);
    let script = "_of_cargo() { COMPREPLY=(ours-is-not-asked); }; complete -F _of_cargo cargo\n\
        source <(cargo-l4re l4re completions bash)\n\
        ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; COMPREPLY=()\n\
            f=$(complete -p $1 | sed 's/.* -F \\([^ ]*\\) .*/\\1/'); $f $1 \"${!#}\" x 2> /dev/null\n\
            echo \"$*: ${COMPREPLY[*]}\"; }\n\
        ask cargo-l4re efii; ask cargo l4re efii; ask cargo l4re twin sta; ask cargo bui\n\
        ask cargo l4re inspect odd\n";
    desk.write("odd $name.efi", "");
    let output = desk.start_program("/bin/bash".into(), &["-c", script]);
    let output = output.wait(LIMIT).code(0);
    for line in [
        "cargo-l4re efii: efiimage\n",
        "cargo l4re efii: efiimage\n",
        "cargo bui: ours-is-not-asked\n",
        "cargo l4re inspect odd: odd\\ \\$name.efi\n",
    ] {
        assert!(output.stdout.contains(line), "{output:?}");
    }
    assert!(output.stdout.contains("cargo l4re twin sta: sta"), "{output:?}");
}

#[test]
fn fish_and_zsh_complete_both_spellings() {
    let tree = given("L4RE_TEST_TREE_AMD64");
    let path = format!("{}:/usr/bin:/bin", given("L4RE_TEST_BINARY").parent().unwrap());
    let desk = Desk::new().with("PATH", path).with("CARGO_L4RE_TREE_AMD64_BUILD", tree);
    let script = "cargo-l4re completions fish | source\n\
        complete -C 'cargo-l4re efii'; complete -C 'cargo l4re efiimage hello-sha'\n";
    let fish = desk.start_program("/usr/bin/fish".into(), &["--no-config", "-c", script]);
    let fish = fish.wait(LIMIT).code(0);
    assert_eq!(fish.stdout, "efiimage\tBuild an EFI image\nhello-shared\n");
    // Cargo's own completion for zsh calls a plugin's by this name, its own name first.
    let script = "compdef() { }; _describe() { print -l ${(P)3} }\n\
        source <(cargo-l4re completions zsh)\n\
        words=(l4re efiimage hello-sha); CURRENT=3; _cargo-l4re\n\
        echo alone; words=(cargo l4re efiimage hello-pe); CURRENT=4\n\
        _cargo_or_cargo_l4re\n";
    let zsh = desk.start_program("/usr/bin/zsh".into(), &["-f", "-c", script]);
    let zsh = zsh.wait(LIMIT).code(0);
    assert_eq!(zsh.stdout, "hello-shared\nalone\nhello-perl\n");
    for shell in ["powershell", "elvish"] {
        desk.l4re(&["completions", shell]).code(0).prints("cargo-l4re");
    }
}
