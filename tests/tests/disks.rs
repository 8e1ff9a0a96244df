//! Disks: firmware boots them, and the same image gives the same bytes.

use std::time::Duration;

use l4re_tests::{Desk, given};

/// Limit for a boot under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(180);

/// Boots the disk of `hello` of a tree with a QEMU command of the test's own.
fn boots(tree: &str, machine: &[&str], firmware: &str, drive: &str) {
    let desk = Desk::new();
    let tree = given(tree).to_string();
    desk.l4re(&["disk", "hello", "--tree", &tree, "-o", "disk.img"]).code(0).says("sparse");
    let vars = fs_err::read(format!("{firmware}_VARS.fd")).expect("the firmware's variables");
    desk.write("vars.fd", vars);
    let code = format!("if=pflash,format=raw,readonly=on,file={firmware}_CODE.fd");
    let mut words = machine[1..].to_vec();
    words.extend(["-accel", "tcg", "-m", "512", "-display", "none", "-net", "none"]);
    words.extend(["-drive", &code, "-drive", "if=pflash,format=raw,file=vars.fd"]);
    words.extend(["-drive", "if=none,id=disk,format=raw,file=disk.img", "-device", drive]);
    words.extend(["-serial", "file:console.log"]);
    let qemu = desk.start_program(machine[0].into(), &words);
    desk.wait_for_log("console.log", "Hello World!", BOOT);
    drop(qemu);
}

#[test]
fn x86_64_firmware_boots_a_disk() {
    let machine = ["/usr/bin/qemu-system-x86_64", "-machine", "q35"];
    boots("L4RE_TEST_TREE_AMD64", &machine, "/usr/share/OVMF/OVMF", "virtio-blk-pci,drive=disk");
}

#[test]
fn arm64_firmware_boots_a_disk() {
    let machine =
        ["/usr/bin/qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "neoverse-n1"];
    let firmware = "/usr/share/AAVMF/AAVMF";
    boots("L4RE_TEST_TREE_ARM64", &machine, firmware, "virtio-blk-device,drive=disk");
}

#[test]
fn the_same_image_gives_the_same_disk() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let image = desk.l4re(&["efiimage", "hello", "--tree", &tree]).code(0).stdout;
    let disk = |name: &str| {
        desk.l4re(&["disk", image.trim(), "-o", name]).code(0);
        fs_err::read(desk.dir().join(name)).unwrap()
    };
    assert!(disk("a.img") == disk("b.img"), "two disks of one image differ");
}

#[test]
fn an_elf_image_is_refused() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let words = ["disk", "hello", "--kind", "elf", "--tree", &tree, "-o", "disk.img"];
    desk.l4re(&words).code(5).says("EFI images only");
    assert!(!desk.dir().join("disk.img").exists());
}

#[test]
fn an_image_of_l4re_is_no_ipxe() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let image = desk.l4re(&["efiimage", "hello", "--tree", &tree]).code(0).stdout;
    let words = ["disk", "hello", "--tree", &tree, "-o", "disk.img", "--ipxe", image.trim()];
    desk.l4re(&words).code(2).says("`--ipxe` takes an iPXE");
    let words = ["ami", "build", "--local", "--dry-run", "--ipxe", image.trim()];
    desk.l4re(&words).code(2).says("`--ipxe` takes an iPXE");
}
