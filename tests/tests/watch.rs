//! `watch`: a change of sources is on the machine's console in the same run of the command,
//! and nothing is left at its end.

use std::time::Duration;

use l4re_tests::Desk;

/// Limit for a boot under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(240);

#[test]
fn a_change_of_sources_boots_and_a_broken_one_leaves_the_old_run() {
    let desk = Desk::new();
    let tree = desk.tree_with_sources();
    let program = desk.dir().join("sources/pkg/hello/server/src/main.c");
    let good = fs_err::read_to_string(&program).unwrap();
    // Settings, and so a folder that is watched, beside what it writes.
    desk.write("l4re.toml", "");
    let command = format!(
        "exec \"$L4RE_TEST_BINARY\" l4re watch hello --tree {tree} >console.log 2>told.log"
    );
    let watch = desk.start_program("/bin/sh".into(), &["-c", &command]);
    desk.wait_for_log("console.log", "Hello World!", BOOT);
    desk.wait_for_log("told.log", "Watching", BOOT);
    // In one step: a change that is half done is one, too.
    let change = |text: String| {
        let beside = desk.write("beside.c", text);
        fs_err::rename(beside, &program).unwrap();
    };
    change(good.replace("Hello World!", "Hello \" World!"));
    let told = desk.wait_for_log("told.log", "Failed hello; what ran before stays", BOOT);
    assert!(told.contains("main.c:"), "{told}");
    change(good.replace("Hello World!", "Hello Moon!"));
    desk.wait_for_log("console.log", "Hello Moon!", BOOT);
    watch.interrupt();
    watch.wait(Duration::from_secs(120)).code(0);
    let told = fs_err::read_to_string(desk.dir().join("told.log")).unwrap();
    assert_eq!(told.matches("Stopped").count(), 2, "{told}");
    // At the start and after each of two changes: what it writes itself here is none.
    assert_eq!(told.matches("Watching").count(), 3, "{told}");
    assert!(desk.machines().is_empty());
}
