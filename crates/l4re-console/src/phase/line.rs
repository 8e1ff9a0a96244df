//! Says what one line of plain text means.
//!
//! Wording: bootstrap `startup.cc`, `efi-support.cc`, `libc_support+.cc`; fiasco `kip.cpp`,
//! `kernel_panic.cc`, `terminate.cpp`, `thread-ia32.cpp`, `jdb_core.cpp`; l4re-core moe,
//! ned, sigma0, `l4re_itas`; iPXE `src/core/main.c`, `usr/ifmgmt.c`, `usr/imgmgmt.c`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, packed};

use super::{FaultKind, Mark, Phase};

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Phase(Phase),
    /// Only worth something while iPXE runs; its words are common ones.
    IpxePhase(Phase),
    Banner,
    /// Lines from now on may be the application's.
    RootTaskStarts,
    Sequence(String),
    Created(String),
    BootstrapBuilt(String),
    Mark(Mark),
    Fault(FaultKind, String),
    /// The bootstrapper waits for a key after a panic; the line before says why.
    BootstrapWaits,
}

impl Meaning {
    /// Whether the rest of the line cannot take back what its beginning means.
    pub(super) fn holds_for_partial_lines(&self) -> bool {
        match self {
            Self::Phase(_) | Self::IpxePhase(_) | Self::BootstrapWaits => true,
            Self::Fault(kind, _) => *kind != FaultKind::ApplicationExit,
            _ => false,
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    Start,
    Anywhere,
    Whole,
}

#[derive(Clone, Copy)]
enum Rule {
    Phase(Phase),
    IpxePhase(Phase),
    Banner,
    RootTaskStarts,
    Sequence,
    Created,
    BootstrapBuilt,
    Mark,
    IpxeError,
    Fault(FaultKind, &'static str),
    BootstrapWaits,
    RootTaskEnds,
}

const EL2: &str = "the kernel is built for EL2: use a metal instance, or a kernel without CPU_VIRT";
const PAGES: &str = "bootstrap wants a fixed address that the firmware still holds";
const MODULES: &str = "the image cannot be laid out in memory: check its modules and their sizes";
const KEY_WAIT: &str = "the bootstrapper gave up and waits for a key";
const KERNEL: &str = "the kernel gave up";
const JDB: &str = "the kernel debugger waits at its prompt";
const TRAP: &str = "a thread died of an exception that nobody handles";
const ROOT: &str = "the root task, the root pager or ned died";
const INIT: &str =
    "what moe was to start ended with an error: check that its module is in the image";
const EXIT: &str = "an application ended with an error";

/// Needle, where it stands in the line, and what it means. The first that fits counts.
const RULES: &[(&str, Place, Rule)] = {
    use FaultKind::{
        ApplicationExit, BootstrapPanic, Debugger, KernelPanic, RootTaskDied, UnhandledException,
    };
    use Place::{Anywhere, Start, Whole};
    use Rule::Fault;
    &[
        ("l4re: ", Start, Rule::Mark),
        ("ipxe.org/", Anywhere, Rule::IpxeError),
        ("BdsDxe: ", Start, Rule::Phase(Phase::Firmware)),
        ("SeaBIOS (version", Start, Rule::Phase(Phase::Firmware)),
        ("UEFI firmware (version", Start, Rule::Phase(Phase::Firmware)),
        ("NOTICE:  BL", Start, Rule::Phase(Phase::Firmware)),
        ("iPXE initialising devices", Anywhere, Rule::Phase(Phase::Ipxe)),
        ("iPXE ", Start, Rule::Phase(Phase::Ipxe)),
        ("Configuring (net", Start, Rule::IpxePhase(Phase::Network)),
        ("Waiting for link-up on net", Start, Rule::IpxePhase(Phase::Network)),
        ("net0: ", Start, Rule::IpxePhase(Phase::Network)),
        ("http://", Start, Rule::IpxePhase(Phase::Download)),
        ("https://", Start, Rule::IpxePhase(Phase::Download)),
        ("tftp://", Start, Rule::IpxePhase(Phase::Download)),
        ("EFI: L4::Bootstrap", Start, Rule::Phase(Phase::Bootstrap)),
        ("L4 Bootstrapper", Whole, Rule::Banner),
        ("L4Image sequence info:", Start, Rule::Sequence),
        ("L4Image creation info:", Start, Rule::Created),
        ("Bootstrap build info:", Start, Rule::BootstrapBuilt),
        ("Starting kernel ", Start, Rule::Phase(Phase::Kernel)),
        ("Welcome to the L4Re Microkernel!", Start, Rule::Phase(Phase::Kernel)),
        ("Welcome to Fiasco", Start, Rule::Phase(Phase::Kernel)),
        ("SIGMA0: Hello!", Start, Rule::Phase(Phase::Sigma0)),
        ("MOE: Hello world", Start, Rule::Phase(Phase::Moe)),
        ("MOE: Starting:", Start, Rule::RootTaskStarts),
        ("L4Re is configured for EL2 mode", Anywhere, Fault(BootstrapPanic, EL2)),
        ("EFI: AllocatePages failed", Anywhere, Fault(BootstrapPanic, PAGES)),
        ("EFI: ExitBootServices failed", Anywhere, Fault(BootstrapPanic, PAGES)),
        ("EFI: Neither ACPI nor DTB found", Anywhere, Fault(BootstrapPanic, KEY_WAIT)),
        ("No kernel module available", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("Not enough free memory to load binary", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("This is an invalid binary, fix it", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("Could not gather load section infos", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("Can't load module (", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("Binary outside memory", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("region overlap", Whole, Fault(BootstrapPanic, MODULES)),
        ("could not find kernel info page", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("Cannot boot kernel with incompatible", Anywhere, Fault(BootstrapPanic, MODULES)),
        ("No platform found, hangup", Anywhere, Fault(BootstrapPanic, KEY_WAIT)),
        ("Key press reboots...", Start, Rule::BootstrapWaits),
        ("Panic: ", Start, Fault(KernelPanic, KERNEL)),
        ("Kernel panic", Anywhere, Fault(KernelPanic, KERNEL)),
        ("DOUBLE FAULT!", Start, Fault(KernelPanic, KERNEL)),
        ("Return reboots, \"k\"", Start, Fault(KernelPanic, KERNEL)),
        ("Press any key to reboot.", Start, Fault(KernelPanic, KERNEL)),
        ("Unhandled in-kernel fault", Anywhere, Fault(KernelPanic, KERNEL)),
        ("jdb: ", Start, Fault(Debugger, JDB)),
        ("jdb# ", Start, Fault(Debugger, JDB)),
        ("Unhandled exception", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled exception", Anywhere, Fault(UnhandledException, TRAP)),
        ("Unhandled trap", Anywhere, Fault(UnhandledException, TRAP)),
        ("Unhandled page fault", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled read page fault", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled write page fault", Anywhere, Fault(UnhandledException, TRAP)),
        ("l4re_itas: FATAL: ", Anywhere, Fault(UnhandledException, TRAP)),
        ("FATAL exception in MOE", Anywhere, Fault(RootTaskDied, ROOT)),
        ("MOE: is terminating", Anywhere, Fault(RootTaskDied, ROOT)),
        ("MOE: FATAL: ", Anywhere, Fault(RootTaskDied, ROOT)),
        ("Ned: FATAL: ", Anywhere, Fault(RootTaskDied, ROOT)),
        ("FATAL: Sigma0 terminated", Anywhere, Fault(RootTaskDied, ROOT)),
        ("FATAL: ", Start, Fault(RootTaskDied, ROOT)),
        ("MOE: task ", Start, Rule::RootTaskEnds),
        ("exiting with ", Anywhere, Fault(ApplicationExit, EXIT)),
        ("exited with ", Anywhere, Fault(ApplicationExit, EXIT)),
    ]
};

/// Needles of lines that bootstrap may print doubled, by their first and last rule.
const DOUBLED: std::ops::RangeInclusive<&str> = "EFI: L4::Bootstrap"..="Key press reboots...";

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
        _ => None,
    })
}

fn apply(rule: Rule, line: &[u8], rest: &[u8]) -> Option<Meaning> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    Some(match rule {
        Rule::Phase(phase) => Meaning::Phase(phase),
        Rule::IpxePhase(phase) => Meaning::IpxePhase(phase),
        Rule::Banner => Meaning::Banner,
        Rule::RootTaskStarts => Meaning::RootTaskStarts,
        Rule::Sequence => Meaning::Sequence(text(rest).trim_start_matches('#').to_owned()),
        Rule::Created => Meaning::Created(text(rest)),
        Rule::BootstrapBuilt => Meaning::BootstrapBuilt(text(rest)),
        Rule::Mark => Meaning::Mark(Mark::parse(line)?),
        Rule::IpxeError => {
            let code = super::ipxe_error::code(rest)?;
            Meaning::Fault(FaultKind::Ipxe, super::explain(code).to_owned())
        }
        Rule::Fault(FaultKind::ApplicationExit, explanation) => {
            let failed = line.starts_with(b"L4Re") && is_error_code(rest);
            let exit = || Meaning::Fault(FaultKind::ApplicationExit, explanation.to_owned());
            failed.then(exit)?
        }
        Rule::RootTaskEnds => {
            const EXITED: &[u8] = b"exited with ";
            let at = memchr::memmem::find(rest, EXITED)?;
            let failed = is_error_code(&rest[at + EXITED.len()..]);
            failed.then(|| Meaning::Fault(FaultKind::RootTaskDied, INIT.to_owned()))?
        }
        Rule::Fault(kind, explanation) => Meaning::Fault(kind, explanation.to_owned()),
        Rule::BootstrapWaits => Meaning::BootstrapWaits,
    })
}

/// `L4Re: rom/x exiting with 1`, `MOE: task 3800 exited with 70`: another code than 0.
fn is_error_code(code: &[u8]) -> bool {
    code.first().is_some_and(|&digit| digit != b'0')
}

/// Whether a line after the root task's start comes from the system and not from an
/// application.
pub(super) fn from_system(line: &[u8]) -> bool {
    const SPEAKERS: [&[u8]; 10] = [
        b"MOE",
        b"Ned",
        b"SIGMA0",
        b"KERNEL",
        b"CPU",
        b"l4re_itas",
        b"L4Re",
        b"l4re:",
        b"FATAL:",
        b"jdb",
    ];
    SPEAKERS.iter().any(|speaker| line.starts_with(speaker))
}

/// What a line with each of these texts is, for the book.
#[cfg(test)]
pub(super) fn faults() -> impl Iterator<Item = (&'static str, FaultKind, &'static str)> {
    RULES.iter().filter_map(|&(needle, _, rule)| match rule {
        Rule::Fault(kind, explanation) => Some((needle, kind, explanation)),
        Rule::RootTaskEnds => Some(("MOE: task … exited with", FaultKind::RootTaskDied, INIT)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let cases: [(&str, Meaning); 8] = [
            ("iPXE initialising devices...", Meaning::Phase(Phase::Ipxe)),
            ("Configuring (net0 52:54:00:12:34:56)......", Meaning::IpxePhase(Phase::Network)),
            ("http://10.0.0.1/x.efi... ok", Meaning::IpxePhase(Phase::Download)),
            ("L4 Bootstrapper", Meaning::Banner),
            ("  Starting kernel fiasco at 0000000000300930", Meaning::Phase(Phase::Kernel)),
            ("SIGMA0: Hello!", Meaning::Phase(Phase::Sigma0)),
            ("MOE: Starting: rom/hello ", Meaning::RootTaskStarts),
            ("  L4Image sequence info: #17", Meaning::Sequence("17".into())),
        ];
        for (line, want) in cases {
            assert_eq!(meaning(line.as_bytes()), Some(want), "{line}");
        }
        assert_eq!(meaning(b"L4 Bootstrapper is waiting for key input to continue..."), None);
        assert_eq!(meaning(b"say iPXE is here"), None);
        assert_eq!(meaning(b"jdb:x"), None);
    }

    #[test]
    fn faults_are_known_by_their_lines() {
        let cases = [
            ("EFI: AllocatePages failed: 14", FaultKind::BootstrapPanic),
            ("Panic: Unable to map local APIC", FaultKind::KernelPanic),
            ("Return reboots, \"k\" enters L4 kernel debugger...", FaultKind::KernelPanic),
            ("jdb:", FaultKind::Debugger),
            ("L4Re: rom/x: Unhandled exception: PC=0x1 PFA=0x0", FaultKind::UnhandledException),
            ("FATAL exception in MOE:", FaultKind::RootTaskDied),
            ("FATAL: L4::Runtime_error: no such file", FaultKind::RootTaskDied),
            ("L4Re: rom/x exiting with 1", FaultKind::ApplicationExit),
            ("MOE: task [C:109000] exited with 2", FaultKind::RootTaskDied),
            ("Permission denied (https://ipxe.org/020c618f)", FaultKind::Ipxe),
        ];
        for (line, kind) in cases {
            assert_eq!(fault(line), Some(kind), "{line}");
        }
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
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
    }
}
