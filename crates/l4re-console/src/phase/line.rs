//! Says what one line of plain text means, by the rules of [`super::rules`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, packed};

use super::rules::{DOUBLED, EXIT, INIT, Place, RULES, Rule};
use super::{FaultKind, Mark, Phase};

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Phase(Phase),
    /// Only worth something while iPXE runs; its words are common ones.
    IpxePhase(Phase),
    /// The same of the network, and what it lacks if that takes long.
    IpxeWaits(&'static str),
    /// What iPXE waited for is there, in this phase.
    IpxeHas(Phase),
    /// The firmware loads the boot option of this name.
    FirmwareLoads(String),
    /// The firmware starts what it has loaded.
    FirmwareStarts,
    /// What the firmware had started gave up.
    FirmwareLeft(&'static str),
    Banner,
    /// Lines from now on may be the application's.
    RootTaskStarts,
    Sequence(String),
    Created(String),
    BootstrapBuilt(String),
    /// The bootstrapper lays out this program.
    Scans(String),
    Mark(Mark),
    /// A parked machine waits for its next image.
    Parked,
    Fault(FaultKind, String),
    /// The bootstrapper waits for a key after a panic; the line before says why.
    BootstrapWaits,
}

impl Meaning {
    /// Whether the rest of the line cannot take back what its beginning means.
    pub(super) fn holds_for_partial_lines(&self) -> bool {
        match self {
            Self::Phase(_) | Self::IpxePhase(_) | Self::IpxeWaits(_) | Self::BootstrapWaits => true,
            Self::Fault(kind, _) => *kind != FaultKind::ApplicationExit,
            _ => false,
        }
    }
}

/// Bytes of a needle that make a line worth a closer look.
const PREFIX: usize = 4;

/// Finds lines that are worth a closer look, at the speed of a multi-string search.
pub(super) static WORTH_A_LOOK: LazyLock<Candidates> = LazyLock::new(Candidates::new);

/// Searches for the first bytes of all needles, doubled ones included.
pub(super) struct Candidates {
    /// Only where the processor has what it takes.
    packed: Option<packed::Searcher>,
    plain: AhoCorasick,
}

impl Candidates {
    fn new() -> Self {
        let place = |needle| RULES.iter().position(|(text, ..)| *text == needle).unwrap_or(0);
        let doubled = &RULES[place(*DOUBLED.start())..=place(*DOUBLED.end())];
        let doubled = doubled.iter().map(|(text, ..)| text.bytes().flat_map(|b| [b, b]).collect());
        let needles = RULES.iter().map(|(text, ..)| text.as_bytes().to_vec()).chain(doubled);
        let prefixes: BTreeSet<Vec<u8>> =
            needles.map(|needle: Vec<u8>| needle[..PREFIX.min(needle.len())].to_vec()).collect();
        Self {
            packed: packed::Searcher::new(&prefixes),
            #[expect(clippy::expect_used, reason = "a few dozen literals are far below any limit")]
            plain: AhoCorasick::new(&prefixes).expect("literals"),
        }
    }

    /// Where the next candidate begins, at or after `from`.
    pub(super) fn find_at(&self, text: &[u8], from: usize) -> Option<usize> {
        let hit = match &self.packed {
            Some(packed) => packed.find_in(text, (from..text.len()).into()),
            None => self.plain.find(Input::new(text).range(from..)),
        };
        hit.map(|hit| hit.start())
    }
}

/// Finds all needles of a line in one pass; their numbers are those of the rules. A prompt's
/// space is left out, as lines are trimmed.
static NEEDLES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let needles = RULES.iter().map(|(needle, place, _)| match place {
        Place::Start => needle.trim_ascii_end(),
        Place::Anywhere | Place::Whole => needle,
    });
    #[expect(clippy::expect_used, reason = "a few dozen literals are far below any limit")]
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(needles).expect("literals")
});

/// What `line`, plain and undoubled, means.
pub(super) fn meaning(line: &[u8]) -> Option<Meaning> {
    const { assert!(RULES.len() <= u128::BITS as usize) };
    let line = line.trim_ascii();
    let mut fitting = 0_u128;
    for hit in NEEDLES.find_overlapping_iter(line) {
        let rule = hit.pattern().as_usize();
        let fits = match RULES[rule].1 {
            Place::Start => line.starts_with(RULES[rule].0.as_bytes()) || hit.len() == line.len(),
            Place::Whole => hit.start() == 0 && hit.end() == line.len(),
            Place::Anywhere => true,
        };
        fitting |= u128::from(fits) << rule;
    }
    while fitting != 0 {
        let (needle, place, rule) = RULES[fitting.trailing_zeros() as usize];
        let at = match place {
            Place::Start | Place::Whole => 0,
            Place::Anywhere => memchr::memmem::find(line, needle.as_bytes()).unwrap_or(0),
        };
        let rest = &line[(at + needle.len()).min(line.len())..];
        if let Some(meaning) = apply(rule, line, rest) {
            return Some(meaning);
        }
        fitting &= fitting - 1;
    }
    None
}

/// The phase of iPXE that a line shows which also holds an error.
pub(super) fn ipxe_phase(line: &[u8]) -> Option<Phase> {
    RULES.iter().find_map(|(needle, _, rule)| match rule {
        Rule::IpxePhase(phase) if line.starts_with(needle.as_bytes()) => Some(*phase),
        Rule::IpxeWaits(_) if line.starts_with(needle.as_bytes()) => Some(Phase::Network),
        _ => None,
    })
}

fn apply(rule: Rule, line: &[u8], rest: &[u8]) -> Option<Meaning> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let holds = |text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
    let fault = |kind, explanation: &str| Meaning::Fault(kind, explanation.to_owned());
    Some(match rule {
        Rule::Phase(phase) => Meaning::Phase(phase),
        Rule::FirmwareStarts => Meaning::FirmwareStarts,
        Rule::PowerOn if line.ends_with(b")") => Meaning::Phase(Phase::Firmware),
        Rule::FirmwareLoads if holds("\" from ") => {
            let option = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            Meaning::FirmwareLoads(text(option))
        }
        Rule::FirmwareLeft(explanation) => Meaning::FirmwareLeft(explanation),
        Rule::IpxeBanner if holds("-- Open Source Network Boot") => Meaning::Phase(Phase::Ipxe),
        Rule::PowerOn | Rule::FirmwareLoads | Rule::IpxeBanner => return None,
        Rule::IpxePhase(phase @ Phase::Download) if line.ends_with(b" ok") => {
            Meaning::IpxeHas(phase)
        }
        Rule::IpxeWaits(_) if line.ends_with(b" ok") => Meaning::IpxeHas(Phase::Network),
        Rule::IpxePhase(phase) => Meaning::IpxePhase(phase),
        Rule::IpxeWaits(lacks) => Meaning::IpxeWaits(lacks),
        Rule::Banner => Meaning::Banner,
        Rule::RootTaskStarts => Meaning::RootTaskStarts,
        Rule::Sequence => Meaning::Sequence(text(rest).trim_start_matches('#').to_owned()),
        Rule::Created => Meaning::Created(text(rest)),
        Rule::BootstrapBuilt => Meaning::BootstrapBuilt(text(rest)),
        Rule::Scans => Meaning::Scans(text(program(rest))),
        Rule::Mark => Meaning::Mark(Mark::parse(line)?),
        Rule::Parked => Meaning::Parked,
        Rule::IpxeError => {
            let code = super::ipxe_error::code(rest)?;
            fault(FaultKind::Ipxe, super::explain(code))
        }
        Rule::ApplicationEnds => {
            let failed = line.starts_with(b"L4Re") && is_error_code(rest);
            failed.then(|| fault(FaultKind::ApplicationExit, EXIT))?
        }
        Rule::RootTaskEnds => {
            const EXITED: &[u8] = b"exited with ";
            let at = memchr::memmem::find(rest, EXITED)?;
            let failed = is_error_code(&rest[at + EXITED.len()..]);
            failed.then(|| fault(FaultKind::RootTaskDied, INIT))?
        }
        Rule::Fault(kind, explanation) => fault(kind, explanation),
        Rule::FaultWith(kind, explanation, also) if holds(also) => fault(kind, explanation),
        Rule::FaultWith(..) => return None,
        Rule::BootstrapWaits => Meaning::BootstrapWaits,
    })
}

/// The name of a program in its command line.
fn program(command_line: &[u8]) -> &[u8] {
    let path = command_line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// `L4Re: rom/x exiting with 1`, `MOE: task 3800 exited with 70`: another code than 0.
fn is_error_code(code: &[u8]) -> bool {
    code.first().is_some_and(|&digit| digit != b'0')
}

/// The beginning of an iPXE error's number that a screen of 80 columns has cut, as BIOS
/// consoles do.
pub(super) fn cut_error(line: &[u8]) -> Option<&[u8]> {
    const COLUMNS: usize = 78;
    const URL: &[u8] = b"ipxe.org/";
    if line.len() < COLUMNS {
        return None;
    }
    match memchr::memmem::rfind(line, URL) {
        Some(at) => {
            let digits = &line[at + URL.len()..];
            let cut = digits.len() < 8 && digits.iter().all(u8::is_ascii_hexdigit);
            cut.then_some(&line[at..])
        }
        None => (1..URL.len()).rev().map(|kept| &URL[..kept]).find_map(|begin| {
            let at = line.len().checked_sub(begin.len())?;
            line[at..].eq(begin).then_some(&line[at..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::rules::{NO_DHCP, NO_LINK};

    fn fault(line: &str) -> Option<FaultKind> {
        match meaning(line.as_bytes()) {
            Some(Meaning::Fault(kind, _)) => Some(kind),
            _ => None,
        }
    }

    #[test]
    fn every_needle_is_found_by_the_first_look() {
        let found = |text: &str| WORTH_A_LOOK.find_at(text.as_bytes(), 0);
        for (needle, ..) in RULES {
            assert_eq!(found(needle), Some(0), "{needle}");
        }
        assert_eq!(found("LL44  BBoooottssttrraappppeerr"), Some(0));
        assert_eq!(found("    LL44IImmaaggee  sseeqquueennccee  iinnffoo::  ##11"), Some(4));
        assert_eq!(found("EEFFII::  AAllllooccaatteePPaaggeess  ffaaiilleedd"), Some(0));
        assert_eq!(found("Hello World!"), None);
        let text = b"http://a\nhttp://b\n";
        assert_eq!(WORTH_A_LOOK.find_at(text, 1), Some(9));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_first_look_is_a_fast_one() {
        assert!(WORTH_A_LOOK.packed.is_some(), "too many prefixes for a packed search");
    }

    #[test]
    fn phases_are_known_by_their_lines() {
        let cases: [(&str, Meaning); 16] = [
            ("iPXE initialising devices...", Meaning::Phase(Phase::Ipxe)),
            (
                "iPXE 1.21.1+ (gd3c89) -- Open Source Network Boot Firmware -- https://ipxe.org",
                Meaning::Phase(Phase::Ipxe),
            ),
            ("iPXE (PCI 00:02.0) starting execution...ok", Meaning::Phase(Phase::Ipxe)),
            ("Configuring (net0 52:54:00:12:34:56)......", Meaning::IpxeWaits(NO_DHCP)),
            ("Configuring (net0 52:54:00:12:34:56)...... ok", Meaning::IpxeHas(Phase::Network)),
            ("Configuring [dhcp] (net0 52:54:00:12:34:56)...", Meaning::IpxeWaits(NO_DHCP)),
            ("Waiting for link-up on net1...", Meaning::IpxeWaits(NO_LINK)),
            ("DHCP attempt 3", Meaning::IpxePhase(Phase::Network)),
            ("http://10.0.0.1/x.efi... 26%", Meaning::IpxePhase(Phase::Download)),
            ("http://10.0.0.1/x.efi... ok", Meaning::IpxeHas(Phase::Download)),
            (
                "1BdsDxe: loading Boot0001 \"UEFI\" from X",
                Meaning::FirmwareLoads("Boot0001".into()),
            ),
            ("L4 Bootstrapper", Meaning::Banner),
            ("  Starting kernel fiasco at 0000000000300930", Meaning::Phase(Phase::Kernel)),
            ("SIGMA0: Hello!", Meaning::Phase(Phase::Sigma0)),
            ("MOE: Starting: rom/hello ", Meaning::RootTaskStarts),
            ("  L4Image sequence info: #17", Meaning::Sequence("17".into())),
        ];
        for (line, want) in cases {
            assert_eq!(meaning(line.as_bytes()), Some(want), "{line}");
        }
        for line in [
            "L4 Bootstrapper is waiting for key input to continue...",
            "L4 Bootstrapper is what started us",
            "say iPXE is here",
            "iPXE is a boot loader",
            "SeaBIOS (version 1) is old",
            "BdsDxe: loading hay",
            "jdb:x",
        ] {
            assert_eq!(meaning(line.as_bytes()), None, "{line}");
        }
    }

    fn all_are_known(cases: &[(&str, FaultKind)]) {
        for (line, kind) in cases {
            assert_eq!(fault(line), Some(*kind), "{line}");
        }
    }

    #[test]
    fn faults_of_a_boot_and_of_the_kernel_are_known_by_their_lines() {
        use FaultKind::{BootstrapPanic, Debugger, Ipxe, KernelPanic, UnhandledException};
        all_are_known(&[
            ("PANIC: Invalid ELF file: wrong machine", BootstrapPanic),
            (
                "!!!! X64 Exception Type - 06(#UD - Invalid Opcode)  CPU Apic ID - 00000000 !!!!",
                UnhandledException,
            ),
            ("Synchronous Exception at 0x000000005C4C1000", UnhandledException),
            ("Panic: Unable to map local APIC", KernelPanic),
            ("Assertion failed at ../kern/thread.cpp:412:0xfffffffff0012: !in_ready", KernelPanic),
            ("DOUBLE FAULT!", KernelPanic),
            ("Return reboots, \"k\" enters L4 kernel debugger...", KernelPanic),
            ("Return reboots, \"k\" tries to enter the L4 kernel debugger...", KernelPanic),
            ("Press any key to reboot.", KernelPanic),
            (" 0xfffe IP=00001000 Trap=0d [ENTER=Continue, Other=Reboot]", KernelPanic),
            ("Machine check exception: ip=00001000 mcg_cap=1 mcg_status=0", KernelPanic),
            ("vm | [ 1.2] Kernel panic - not syncing: VFS: Unable to mount root", KernelPanic),
            ("jdb:", Debugger),
            ("jdb#", Debugger),
            ("Permission denied (https://ipxe.org/020c618f)", Ipxe),
            ("iPXE> ", Ipxe),
        ]);
    }

    #[test]
    fn faults_of_programs_are_known_by_their_lines() {
        use FaultKind::{ApplicationExit, NedScript, RootTaskDied, UnhandledException};
        all_are_known(&[
            ("L4Re: rom/x: Unhandled exception: PC=0x1 PFA=0x0", UnhandledException),
            ("L4Re: unhandled exception: pc=0x1 (pfa=0)", UnhandledException),
            (
                "x | l4re_itas[rm]: unhandled write page fault at 0xa pc=0x4003fb",
                UnhandledException,
            ),
            (
                "x | l4re_itas[rm]: instruction page fault in non-exec region at 0x1 pc=0x1",
                UnhandledException,
            ),
            (
                "x | l4re_itas: FATAL: Fatal signal: Aborted (si_signo=6, si_code=0)",
                UnhandledException,
            ),
            (
                "MOE[rm]: write page fault in readonly region at 0x1000 pc=0x1000",
                UnhandledException,
            ),
            ("FATAL exception in MOE:", RootTaskDied),
            ("MOE: is terminating with 1, very bad......", RootTaskDied),
            ("FATAL: Sigma0 terminated!", RootTaskDied),
            ("FATAL: Exception: no such file.", RootTaskDied),
            ("MOE: task [C:109000] exited with 2", RootTaskDied),
            ("lua error: rom/x.cfg:1: attempt to index a nil value (global 'x').", NedScript),
            ("L4Re: rom/x exiting with 1", ApplicationExit),
            ("x | thread 'main' panicked at src/main.rs:2:5:", ApplicationExit),
            ("x | rom/x: main.c: 36: main: Assertion `argc == 17' failed.", ApplicationExit),
            ("rom/x: can't load library 'libx.so'", ApplicationExit),
            ("Error loading shared library libx.so: No such file (needed by x)", ApplicationExit),
            (
                "KERNEL: Warning: CPU0: Pager of 23 is invalid (pfa=0000000000000008, x) to 29",
                ApplicationExit,
            ),
            ("x | terminate called from 0xa00 after throwing an instance of 'N'", ApplicationExit),
        ]);
    }

    #[test]
    fn harmless_lines_mean_nothing() {
        for line in [
            "Hello World!",
            "L4Re: rom/x exiting with 0",
            "MOE: task 3800 exited with 0",
            "the child exited with 3",
            "see http://ipxe.org/ for help",
            "l4re: something else",
            "Don't Panic: read the manual",
            "jdb: is the debugger of the kernel",
            "no Kernel panic, no Unhandled exception and no DOUBLE FAULT! here",
            "Return reboots nothing",
            "Press any key to reboot. Or not.",
            "Assertion failed: none",
            "FATAL errors: 0",
            "FATAL: my disk is full",
            "MOE is a process",
            "terminate called the police",
            "the horse panicked at the sight",
            "Assertion `x' holds",
            "Caught an Exception Type - fine",
            "region overlap",
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
    }

    #[test]
    fn numbers_that_a_screen_cut_are_kept() {
        let cut = |end: &str| {
            let line = format!("{}{end}", " ".repeat(80 - end.len()).replace(' ', "."));
            cut_error(line.as_bytes()).map(|begin| String::from_utf8_lossy(begin).into_owned())
        };
        assert_eq!(cut("(http://ipxe.org/2d0c").as_deref(), Some("ipxe.org/2d0c"));
        assert_eq!(cut("(http://ipxe.o").as_deref(), Some("ipxe.o"));
        assert_eq!(cut("(http://i").as_deref(), Some("i"));
        assert_eq!(cut("(http://ipxe.org/2d0c613b)"), None);
        assert_eq!(cut("Hello"), None);
        assert_eq!(cut_error(b"short ipxe.org/2d"), None);
    }
}
