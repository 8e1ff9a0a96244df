//! Boots, resets and what a boot lacks: sequences of lines as firmware, iPXE and L4Re print
//! them, and what comes of them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use l4re_console::phase::{Agreement, FaultKind, ImageInfo, Phase, Recogniser, Sighting, Start};

/// A console on which lines come.
struct Boot {
    recogniser: Recogniser,
    faults: Vec<(FaultKind, String)>,
}

impl Boot {
    fn new() -> Self {
        Self::from(Start::Boot)
    }

    fn from(start: Start) -> Self {
        Self { recogniser: Recogniser::new(start), faults: Vec::new() }
    }

    fn prints(&mut self, lines: &[&str]) -> &mut Self {
        for line in lines {
            self.bytes(format!("{line}\r\n").as_bytes());
        }
        self
    }

    fn bytes(&mut self, raw: &[u8]) {
        let faults = &mut self.faults;
        self.recogniser.push(raw, Duration::ZERO, &mut |sighting| {
            if let Sighting::Fault(fault) = sighting {
                faults.push((fault.kind, fault.explanation));
            }
        });
    }

    /// Stands here, for this reason.
    fn stands(&self, phase: Phase, reason: &str) {
        let state = self.recogniser.state();
        assert_eq!(state.phases().current(), Some(phase));
        let stuck = state.stuck().unwrap_or_default();
        assert!(stuck.contains(reason), "{stuck}");
    }

    fn last_fault(&self) -> (FaultKind, &str) {
        let (kind, text) = self.faults.last().unwrap();
        (*kind, text)
    }

    fn loops(&self, why: &str) {
        let (kind, text) = self.last_fault();
        assert!(kind == FaultKind::RebootLoop && text.contains(why), "{:?}", self.faults);
    }

    fn has_no_fault(&self) {
        assert!(self.faults.is_empty(), "{:?}", self.faults);
    }
}

const SEABIOS: &str = "SeaBIOS (version 1.16.2-debian-1.16.2-1)";
/// As EC2's arm64 machines begin.
const UEFI: &str = "UEFI firmware (version  built at 09:00:00 on Nov  1 2018)";
const LOADING: &str =
    "BdsDxe: loading Boot0001 \"UEFI Amazon Elastic Block Store\" from PciRoot(0x0)";
const STARTING: &str =
    "BdsDxe: starting Boot0001 \"UEFI Amazon Elastic Block Store\" from PciRoot(0x0)";
const INITIALISING: &str = "iPXE initialising devices...ok";
const BANNER: &str =
    "iPXE 2.0.0+ (g345ab) -- Open Source Network Boot Firmware -- https://ipxe.org";
const IFSTAT: &str = "net0: 06:4f:1c:aa:00:01 using ena on 0000:00:05.0 (Ethernet) [open]";
const CONFIGURED: &str = "Configuring [dhcp] (net0 06:4f:1c:aa:00:01)...... ok";
const SYSTEM: [&str; 7] = [
    "L4 Bootstrapper",
    "  L4Image sequence info: #17",
    "  Starting kernel fiasco at 0000000000300930",
    "Welcome to the L4Re Microkernel!",
    "SIGMA0: Hello!",
    "MOE: Hello world",
    "MOE: Starting: rom/hello ",
];

#[test]
fn the_official_image_without_dhcp_is_stuck_in_network_and_in_the_end_a_loop() {
    let mut boot = Boot::new();
    // As an account's c6a.large printed it; the machine's own words.
    let round = [
        INITIALISING,
        "iPXE 1.21.1+ (gd3c89) -- Open Source Network Boot Firmware -- https://ipxe.org",
        "Amazon EC2 - iPXE boot via user-data",
        "net0: 0e:3e:1b:32:0b:a9 using ena-vf on 0000:00:05.0 (Ethernet) [closed]",
        "DHCP attempt 1",
        "Could not open net0: Input/output error (https://ipxe.org/1dc94039)",
        "DHCP attempt 2",
        "Could not open net0: Input/output error (https://ipxe.org/1dc94039)",
        "DHCP failed - rebooting",
    ];
    for _ in 0..3 {
        boot.prints(&[SEABIOS]).prints(&round).stands(Phase::Network, "ENA driver");
        assert!(boot.faults.iter().all(|(kind, _)| *kind == FaultKind::Ipxe), "{:?}", boot.faults);
    }
    boot.prints(&[SEABIOS]).loops("ENA driver");
}

#[test]
fn firmware_that_goes_on_after_ipxe_gave_up_is_no_reset() {
    let mut boot = Boot::new();
    boot.prints(&[LOADING, STARTING, INITIALISING, BANNER, IFSTAT]);
    boot.stands(Phase::Network, "no DHCP answer");
    boot.bytes(b"Waiting for link-up on net0....");
    boot.recogniser.settle(Duration::ZERO, &mut |_| ());
    boot.stands(Phase::Network, "link does not come up");
    boot.bytes(b" Down (https://ipxe.org/38086193)\r\n");
    boot.stands(Phase::Network, "link does not come up");
    boot.prints(&[
        "BdsDxe: failed to start Boot0001 \"UEFI\" from PciRoot(0x0): Not Found",
        "BdsDxe: loading Boot0002 \"EFI Internal Shell\" from Fv(7CB8)",
        "BdsDxe: starting Boot0002 \"EFI Internal Shell\" from Fv(7CB8)",
        "BdsDxe: No bootable option or device was found.",
    ]);
    boot.stands(Phase::Network, "link does not come up");
    assert_eq!(boot.faults.len(), 1, "{:?}", boot.faults);

    let mut bios = Boot::new();
    bios.prints(&[SEABIOS, INITIALISING, BANNER]);
    bios.prints(&["Booting from Hard Disk...", "Boot failed: not a bootable disk", ""]);
    bios.prints(&["No bootable device."]).stands(Phase::Ipxe, "found nothing more to start");
    let mut empty = Boot::new();
    empty.prints(&[SEABIOS, "Booting from Hard Disk...", "No bootable device."]);
    empty.stands(Phase::Firmware, "found nothing more to start");
}

#[test]
fn a_system_that_is_reset_is_a_loop_from_the_first_sign_on() {
    for signs in
        [&[SEABIOS][..], &[UEFI], &[LOADING, STARTING], &[INITIALISING], &["L4 Bootstrapper"]]
    {
        let mut boot = Boot::new();
        boot.prints(&[LOADING, STARTING]).prints(&SYSTEM).prints(&["last words"]).has_no_fault();
        boot.bytes(b"Hello Wor\x1b[2J\x1b[01;01H");
        if signs[0].contains("version") || signs[0].contains("Bootstrapper") {
            boot.prints(&[""]);
        }
        boot.prints(signs);
        assert_eq!(boot.last_fault().0, FaultKind::RebootLoop, "{signs:?}");
        let around = boot.recogniser.state().lines_around_fault().to_vec();
        assert!(around.iter().any(|line| line == "last words"), "{around:?}");
        assert!(boot.recogniser.state().phases().current() <= Some(Phase::Bootstrap));
    }
}

#[test]
fn chained_ipxe_and_a_reboot_by_its_script_are_no_loops() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS, INITIALISING, BANNER, IFSTAT, CONFIGURED]);
    boot.prints(&["http://10.0.0.1/ipxe.lkrn... ok", INITIALISING, BANNER, IFSTAT, CONFIGURED]);
    assert_eq!(boot.recogniser.state().phases().current(), Some(Phase::Download));
    boot.prints(&["Rebooting", SEABIOS, INITIALISING, BANNER]);
    assert_eq!(boot.recogniser.state().phases().current(), Some(Phase::Ipxe));
    boot.prints(&[IFSTAT, CONFIGURED]).stands(Phase::Network, "nothing is fetched");
    boot.prints(&["http://169.254.169.254/latest/user-data... ok"]);
    boot.stands(Phase::Download, "must begin with `#!ipxe`");
    boot.bytes(b"http://10.0.0.1/hello...");
    boot.recogniser.settle(Duration::ZERO, &mut |_| ());
    boot.stands(Phase::Download, "the fetch does not end");
    boot.bytes(b" ok\r\n");
    boot.prints(&SYSTEM).prints(&["Hello World!"]).has_no_fault();
    assert_eq!(boot.recogniser.state().boots(), 1);
}

#[test]
fn an_image_that_resets_the_machine_in_silence_is_a_loop() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS, INITIALISING, BANNER, IFSTAT, CONFIGURED]);
    boot.prints(&["l4re: start image=0123456789abcdef size=9", "l4re: fetch try=1 of=8"]);
    boot.prints(&["l4re: verify sum=unchecked", "l4re: boot image=hello"]).has_no_fault();
    boot.stands(Phase::Download, "was started and says nothing");
    boot.prints(&[SEABIOS]).loops("before it said anything");
    // Where the twin follows the script itself, firmware comes behind it.
    let mut twin = Boot::new();
    twin.prints(&["l4re-twin: no arm64 iPXE binary is here", INITIALISING, BANNER]);
    twin.prints(&["l4re: start image=0123456789abcdef size=9", "l4re: verify sum=ok"]);
    twin.prints(&["l4re: boot image=hello", UEFI, LOADING, STARTING]).has_no_fault();
    twin.prints(&SYSTEM).has_no_fault();
    assert_eq!(twin.recogniser.state().image().verified.as_deref(), Some("ok"));
}

#[test]
fn a_reboot_that_was_asked_for_is_no_loop_whatever_the_old_system_still_says() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS]).prints(&SYSTEM);
    boot.recogniser.state_mut().reboot_requested();
    boot.prints(&["MOE: Hello world", "last words", SEABIOS, INITIALISING, BANNER]);
    boot.prints(&SYSTEM).prints(&["Hello World!"]).has_no_fault();
    boot.prints(&[SEABIOS]).loops("while its system ran");
}

#[test]
fn who_comes_to_a_machine_that_runs_may_see_one_reboot() {
    for signs in [&[SEABIOS, INITIALISING][..], &[]] {
        let mut boot = Boot::from(Start::Attached);
        boot.prints(&SYSTEM).prints(&["Hello World!"]).prints(signs).prints(&SYSTEM).has_no_fault();
        boot.prints(signs).prints(&SYSTEM);
        assert_eq!(boot.last_fault().0, FaultKind::RebootLoop, "{signs:?}");
        let mut silent = Boot::from(Start::Attached);
        silent.prints(&["Hello World!"]).prints(signs).prints(&SYSTEM).has_no_fault();
        silent.prints(signs).prints(&SYSTEM).prints(signs).prints(&SYSTEM);
        assert_eq!(silent.last_fault().0, FaultKind::RebootLoop, "{signs:?}");
    }
}

#[test]
fn a_parked_machine_is_not_in_error_while_it_waits() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS, INITIALISING, BANNER, IFSTAT, CONFIGURED]);
    boot.prints(&["l4re: parked ipxe=2.0.0+", "l4re: parked polls=9 pause=5s"]);
    let poll = "http://b.s3.amazonaws.com/next.ipxe... Not found (https://ipxe.org/2d0c618e)";
    boot.prints(&[poll; 20]).has_no_fault();
    boot.stands(Phase::Network, "is parked");
    boot.prints(&["http://b.s3.amazonaws.com/next.ipxe... ok"]);
    boot.prints(&["l4re: start ipxe=2.0.0+", "l4re: fetch try=1 of=8", poll]);
    boot.stands(Phase::Download, "HTTP 404");
    assert_eq!(boot.faults.len(), 1);
}

#[test]
fn who_asked_for_the_debugger_may_reboot_there() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS]).prints(&SYSTEM).prints(&["Hello World!"]);
    boot.recogniser.state_mut().debugger_requested();
    boot.prints(&["jdb: ^", "Return reboots, \"k\" enters L4 kernel debugger..."]).has_no_fault();
    boot.prints(&["Rebooting...", SEABIOS, INITIALISING]).prints(&SYSTEM).has_no_fault();
    assert_eq!(boot.recogniser.state().boots(), 2);
}

#[test]
fn the_script_says_why_it_tries_again_and_gives_up() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS, INITIALISING, BANNER, IFSTAT, CONFIGURED]);
    boot.prints(&["l4re: start image=0123456789abcdef size=9", "l4re: fetch try=1 of=2"]);
    boot.prints(&["l4re: retry why=fetch try=1 pause=1s error=0x410c613b"]);
    boot.stands(Phase::Download, "HTTP 403");
    boot.prints(&[
        "l4re: fetch try=2 of=2",
        "http://10.0.0.1/hello... ok",
        "l4re: verify sum=wrong",
    ]);
    boot.stands(Phase::Download, "wrong sum");
    boot.prints(&["l4re: failed why=wrong-sum tries=2 then=reboot"]);
    let (kind, text) = boot.last_fault();
    assert!(kind == FaultKind::BootScriptFailed && text.contains("wrong sum"), "{text}");
}

#[test]
fn an_error_that_a_screen_of_80_columns_cuts_is_read_all_the_same() {
    let error = "(http://ipxe.org/2d0c613b)";
    for kept in 0..=error.len() {
        for step in [1, 7, 1000] {
            let mut boot = Boot::new();
            boot.prints(&[SEABIOS, INITIALISING, BANNER, IFSTAT, CONFIGURED]);
            let (first, rest) = error.split_at(kept);
            let padding = "x".repeat(80 - "http://10.0.0.1/".len() - first.len());
            let text = format!("http://10.0.0.1/{padding}{first}\r\n{rest}\r\n");
            text.as_bytes().chunks(step).for_each(|chunk| boot.bytes(chunk));
            boot.stands(Phase::Download, "HTTP 404");
        }
    }
}

#[test]
fn only_the_bootstrapper_says_which_image_it_is_part_of() {
    let built = ImageInfo { sequence: Some("17".into()), ..ImageInfo::default() };
    let agreement = |boot: &Boot| boot.recogniser.state().image().agreement_with(&built);
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS, "l4re: start image=0123456789abcdef size=9"]);
    boot.prints(&["L4 Bootstrapper", "  L4Image sequence info: #16"]).prints(&SYSTEM[2..]);
    let older = agreement(&boot);
    boot.prints(&["  L4Image sequence info: #17", "l4re: start image=fedcba9876543210 size=9"]);
    boot.prints(&["l4re: verify sum=ok", "Hello World!"]).has_no_fault();
    assert_eq!(agreement(&boot), older);
    assert!(matches!(older, Agreement::Different { what: "number", .. }), "{older:?}");
    // The next boot is of an image that says nothing of itself.
    boot.recogniser.state_mut().reboot_requested();
    boot.prints(&[SEABIOS, "L4 Bootstrapper"]).prints(&SYSTEM[2..]);
    assert_eq!(agreement(&boot), Agreement::Unknown);
}

#[test]
fn what_ends_a_boot_is_no_fault_of_an_application_that_says_the_same() {
    let mut boot = Boot::new();
    boot.prints(&[SEABIOS]).prints(&SYSTEM).prints(&[
        "Key press reboots...",
        "PANIC: is what I never do",
        "No platform found, hangup",
        "see https://ipxe.org/2d0c613b for help",
        "l4re: failed to be serious",
        "l4re: failed",
        "Configuring (net0 is up)...",
        "BdsDxe: failed to impress",
    ]);
    boot.has_no_fault();
    assert_eq!(boot.recogniser.state().phases().current(), Some(Phase::Application));
    assert_eq!(boot.recogniser.state().stuck(), None);

    let mut early = Boot::new();
    early.prints(&[SEABIOS, "L4 Bootstrapper", "Panic: Would move outside of RAM"]);
    assert_eq!(early.last_fault().0, FaultKind::BootstrapPanic);
    let mut loader = Boot::new();
    loader.prints(&["L4 Bootstrapper", "fatal: could not find free RAM region for modules"]);
    loader.prints(&["       need 1000 bytes above 0", "", "\x1b[1mKey press reboots...\x1b[m"]);
    let (kind, text) = loader.last_fault();
    assert!(kind == FaultKind::BootstrapPanic && text.contains("memory"), "{text}");
}

#[test]
fn a_system_without_moe_reaches_its_application() {
    let mut boot = Boot::new();
    boot.prints(&["L4 Bootstrapper", "  Scanning fiasco", "  Scanning sigma0"]);
    boot.prints(&["  Scanning rom/init -v", "  Starting kernel fiasco at 0000000000300930"]);
    let sigma0 = ["SIGMA0: Hello!", "  KIP @ 600000", "RAM:-----------", "[0:RWX:0;fff]"];
    boot.prints(&sigma0).stands(Phase::Sigma0, "roottask");
    boot.prints(&["[init] up"]).stands(Phase::Application, "");
    let first = boot.recogniser.state().first_application_line().unwrap();
    assert_eq!(first.text, "[init] up");

    // Moe by another name.
    let mut boot = Boot::new();
    boot.prints(&["L4 Bootstrapper", "  Scanning fiasco", "  Scanning sigma0", "  Scanning root"]);
    boot.prints(&sigma0).prints(&["MOE: Hello world", "  ROMFS: [200000-22b998] [C:108000] l4re"]);
    boot.stands(Phase::Moe, "moe runs");
    boot.prints(&["MOE: Starting: rom/hello", "Hello"]).stands(Phase::Application, "");
}

#[test]
fn a_prompt_is_the_applications_although_its_line_does_not_end() {
    let mut boot = Boot::new();
    boot.prints(&["L4 Bootstrapper", "SIGMA0: Hello!", "MOE: Hello world", "MOE: Starting: rom/x"]);
    for (begin, phase) in [("MO", Phase::Moe), ("E: loading\r\nlogin: ", Phase::Application)] {
        boot.bytes(begin.as_bytes());
        boot.recogniser.settle(Duration::ZERO, &mut |_| ());
        assert_eq!(boot.recogniser.state().phases().current(), Some(phase));
    }
    let first = boot.recogniser.state().first_application_line().unwrap();
    assert_eq!(first.text, "login:");
}

#[test]
fn what_moe_started_is_told_from_what_it_could_not_start() {
    for (said, why) in [("", "check that its module"), ("usage: x FILE", "the program that moe")] {
        let mut boot = Boot::new();
        boot.prints(&["L4 Bootstrapper", "MOE: Hello world", "MOE: Starting: rom/x", said]);
        boot.prints(&["MOE: task 6600 exited with 3"]);
        assert!(boot.last_fault().1.contains(why), "{:?}", boot.faults);
    }
}

#[test]
fn a_reboot_that_a_system_makes_itself_is_no_loop_while_it_is_announced() {
    let system = ["L4 Bootstrapper", "  Starting kernel fiasco", "SIGMA0: Hello!"];
    for firmware in [None, Some(SEABIOS)] {
        let mut boot = Boot::new();
        boot.recogniser.state_mut().reboots_expected(2);
        for _ in 0..3 {
            boot.has_no_fault();
            boot.prints(firmware.as_slice()).prints(&system);
        }
        boot.has_no_fault();
        boot.stands(Phase::Sigma0, "");
        boot.prints(firmware.as_slice()).prints(&system).loops("without being");
        assert_eq!(boot.recogniser.state().boots(), 4);
    }
    // Firmware that tries again before any system has come is none of them.
    let mut boot = Boot::new();
    boot.recogniser.state_mut().reboots_expected(1);
    boot.prints(&[SEABIOS, INITIALISING, CONFIGURED, SEABIOS, INITIALISING, CONFIGURED]);
    boot.prints(&system).prints(&[SEABIOS]).prints(&system).has_no_fault();
    boot.prints(&[SEABIOS]).loops("while its system ran");
}
