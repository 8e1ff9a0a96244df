//! The texts that mean something, where they stand in a line, and what they mean.
//!
//! Wording: bootstrap `startup.cc`, `efi-support.cc`, `libc_support+.cc`, `boot32/support.c`;
//! fiasco `kernel_panic.cc`, `assertion.cpp`, `terminate.cpp`, `thread-ia32.cpp`,
//! `thread-dbf.cpp`, `jdb_core.cpp`; l4re-core moe, ned, sigma0, `l4re_itas`,
//! `region_mapping_svr`; EDK2 `CpuExceptionCommon.c`; iPXE `core/main.c`, `usr/ifmgmt.c`,
//! `usr/imgmgmt.c`, `config/cloud/aws.ipxe`.
//!
//! Lines are found by the first bytes of their needles, so a needle begins with three bytes that
//! are rare in other texts.
//!
//! Invariant: what ends a run is as much of the text as tells it from prose that mentions it.

use super::{FaultKind, Phase};

/// Where a needle stands in its line.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Start,
    Anywhere,
    Whole,
}

#[derive(Clone, Copy)]
pub(super) enum Rule {
    Phase(Phase),
    /// Firmware's banner, if it ends as one.
    PowerOn,
    /// The firmware loads the boot option whose name follows.
    FirmwareLoads,
    /// The firmware starts what it has loaded.
    FirmwareStarts,
    /// The firmware goes on after what it had started gave up.
    FirmwareLeft(&'static str),
    /// Only worth something while iPXE runs; its words are common ones.
    IpxePhase(Phase),
    /// iPXE's banner, if the rest is there.
    IpxeBanner,
    /// The network is waited for, and what it lacks if that takes long.
    IpxeWaits(&'static str),
    Banner,
    RootTaskStarts,
    Sequence,
    Created,
    BootstrapBuilt,
    /// The bootstrapper lays out a program: kernel, sigma0 and root task, in this order.
    Scans,
    Mark,
    Parked,
    IpxeError,
    Fault(FaultKind, &'static str),
    /// A fault if that is in the line as well.
    FaultWith(FaultKind, &'static str, &'static str),
    /// A fault if the code that follows is another than 0.
    ApplicationEnds,
    BootstrapWaits,
    RootTaskEnds,
}

pub(super) const NO_LINK: &str =
    "the network link does not come up: check the network interface and this build's driver for it";
pub(super) const NO_DHCP: &str =
    "no DHCP answer: check subnet, DHCP options and that the link comes up";
const NOTHING: &str =
    "the firmware found nothing more to start: check the AMI's boot mode and the disk";
const REFUSED: &str = "the firmware could not start what it found: it must be for this architecture \
                       and boot mode";
pub(super) const SHELL: &str = "iPXE waits at its own prompt: its script has ended";
const EL2: &str = "the kernel is built for EL2: use a metal instance, or a kernel without CPU_VIRT";
const PAGES: &str = "bootstrap wants a fixed address that the firmware still holds";
const MODULES: &str =
    "the image cannot be laid out in the machine's memory: check its modules and their sizes";
const MEMORY: &str = "the image does not fit into the machine's memory: use a larger type or fewer \
                      modules";
const DAMAGED: &str = "a module of the image is damaged";
const OTHER_ARCH: &str = "a module of the image is for another architecture";
pub(super) const KEY_WAIT: &str = "the bootstrapper gave up, and waits for a key or for ever";
const KERNEL: &str = "the kernel gave up";
const ASSERTION: &str = "an assertion of the kernel failed";
const GUEST: &str = "a guest's Linux kernel gave up";
const JDB: &str = "the kernel debugger waits at its prompt";
const TRAP: &str = "a thread died of an exception that nobody handles";
const LOADER: &str = "a program could not be loaded";
const EFI_TRAP: &str = "what the firmware had started died of an exception";
const ROOT: &str = "the root task, the root pager or ned died";
pub(super) const INIT: &str =
    "what moe was to start ended with an error: check that its module is in the image";
pub(super) const INIT_RAN: &str = "the program that moe started ended with an error";
pub(super) const EXIT: &str = "an application ended with an error";
const THROWN: &str = "a program ended with an error that nobody caught: check that the modules it needs are in the image";
const PANICKED: &str = "a Rust program panicked";
const ASSERTED: &str = "an assertion of a program failed";
const LIBRARY: &str = "a program lacks a shared library: add it to the entry's modules";
const PAGER: &str = "a thread waits for a page for ever: its pager is gone";
const SCRIPT: &str = "ned's script failed, and what comes after that line was not done";

/// Needle, where it stands in the line, and what it means. The first that fits counts.
pub(super) const RULES: &[(&str, Place, Rule)] = {
    use FaultKind::{
        ApplicationExit, BootstrapPanic, Debugger, Ipxe, KernelPanic, NedScript, RootTaskDied,
        UnhandledException,
    };
    use Place::{Anywhere, Start, Whole};
    use Rule::{Fault, FaultWith};
    &[
        ("l4re: parked ", Start, Rule::Parked),
        ("l4re: ", Start, Rule::Mark),
        ("ipxe.org/", Anywhere, Rule::IpxeError),
        ("BdsDxe: failed to ", Start, Rule::FirmwareLeft(REFUSED)),
        ("BdsDxe: No bootable option", Start, Rule::FirmwareLeft(NOTHING)),
        ("No bootable device.", Whole, Rule::FirmwareLeft(NOTHING)),
        // A reset may come in the middle of a line, and what clears the screen is no newline.
        ("BdsDxe: loading ", Anywhere, Rule::FirmwareLoads),
        ("BdsDxe: starting ", Start, Rule::FirmwareStarts),
        ("SeaBIOS (version ", Start, Rule::PowerOn),
        ("UEFI firmware (version ", Start, Rule::PowerOn),
        ("NOTICE:  BL", Start, Rule::Phase(Phase::Firmware)),
        ("Exception Type - ", Anywhere, FaultWith(UnhandledException, EFI_TRAP, "!!!!")),
        ("Synchronous Exception at 0x", Start, Fault(UnhandledException, EFI_TRAP)),
        ("iPXE>", Start, Fault(Ipxe, SHELL)),
        ("iPXE initialising devices", Anywhere, Rule::Phase(Phase::Ipxe)),
        ("iPXE (", Start, Rule::Phase(Phase::Ipxe)),
        ("iPXE ", Start, Rule::IpxeBanner),
        ("Configuring (net", Start, Rule::IpxeWaits(NO_DHCP)),
        ("Configuring [", Start, Rule::IpxeWaits(NO_DHCP)),
        ("DHCP attempt ", Start, Rule::IpxePhase(Phase::Network)),
        ("DHCP failed - rebooting", Whole, Rule::IpxePhase(Phase::Network)),
        ("Waiting for link-up on net", Start, Rule::IpxeWaits(NO_LINK)),
        ("net0: ", Start, Rule::IpxePhase(Phase::Network)),
        ("http://", Start, Rule::IpxePhase(Phase::Download)),
        ("https://", Start, Rule::IpxePhase(Phase::Download)),
        ("tftp://", Start, Rule::IpxePhase(Phase::Download)),
        ("EFI: L4::Bootstrap", Start, Rule::Phase(Phase::Bootstrap)),
        ("L4 Bootstrapper", Whole, Rule::Banner),
        ("L4Image sequence info:", Start, Rule::Sequence),
        ("L4Image creation info:", Start, Rule::Created),
        ("Bootstrap build info:", Start, Rule::BootstrapBuilt),
        ("Scanning ", Start, Rule::Scans),
        ("No platform found, hangup", Start, Fault(BootstrapPanic, KEY_WAIT)),
        ("Key press reboots...", Anywhere, Rule::BootstrapWaits),
        ("Return reboots...", Whole, Rule::BootstrapWaits),
        ("PANIC: ", Start, Fault(BootstrapPanic, KEY_WAIT)),
        ("Starting kernel ", Start, Rule::Phase(Phase::Kernel)),
        ("Welcome to the L4Re Microkernel!", Start, Rule::Phase(Phase::Kernel)),
        ("Welcome to Fiasco", Start, Rule::Phase(Phase::Kernel)),
        ("Welcome to L4/Fiasco", Start, Rule::Phase(Phase::Kernel)),
        ("SIGMA0: Hello!", Start, Rule::Phase(Phase::Sigma0)),
        ("MOE: Hello world", Start, Rule::Phase(Phase::Moe)),
        ("MOE: Starting:", Start, Rule::RootTaskStarts),
        ("Panic: ", Start, Fault(KernelPanic, KERNEL)),
        ("Assertion failed at ", Start, FaultWith(KernelPanic, ASSERTION, ":0x")),
        ("Kernel panic - not syncing", Anywhere, Fault(KernelPanic, GUEST)),
        ("DOUBLE FAULT!", Whole, Fault(KernelPanic, KERNEL)),
        ("Machine check exception: ip=", Start, Fault(KernelPanic, KERNEL)),
        ("Return reboots, \"k\"", Start, Fault(KernelPanic, KERNEL)),
        ("Return reboots", Whole, Fault(KernelPanic, KERNEL)),
        ("Press any key to reboot.", Whole, Fault(KernelPanic, KERNEL)),
        ("Unhandled in-kernel fault -- halting!", Whole, Fault(KernelPanic, KERNEL)),
        ("[ENTER=Continue, Other=Reboot]", Anywhere, Fault(KernelPanic, KERNEL)),
        ("jdb:", Whole, Fault(Debugger, JDB)),
        ("jdb#", Whole, Fault(Debugger, JDB)),
        ("Unhandled exception: PC=0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled exception: pc=0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled exception: PC=0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("Unhandled trap", Whole, Fault(UnhandledException, TRAP)),
        ("Unhandled Trap: Cause=", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled read page fault at 0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled write page fault at 0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("unhandled instruction page fault at 0x", Anywhere, Fault(UnhandledException, TRAP)),
        ("l4re_itas[rm]: ", Anywhere, FaultWith(UnhandledException, TRAP, " page fault in ")),
        ("MOE[rm]: ", Start, FaultWith(UnhandledException, TRAP, " page fault in ")),
        ("FATAL: Fatal signal: ", Anywhere, Fault(UnhandledException, TRAP)),
        ("l4re_itas: FATAL: Could not ", Anywhere, Fault(UnhandledException, LOADER)),
        ("l4re_itas: FATAL: could not ", Anywhere, Fault(UnhandledException, LOADER)),
        ("l4re_itas: FATAL: invalid ", Anywhere, Fault(UnhandledException, LOADER)),
        ("L4Re: FATAL: ", Anywhere, Fault(UnhandledException, LOADER)),
        ("FATAL exception in MOE:", Start, Fault(RootTaskDied, ROOT)),
        ("MOE: is terminating with ", Start, Fault(RootTaskDied, ROOT)),
        ("MOE: FATAL: ", Start, Fault(RootTaskDied, ROOT)),
        ("Ned: FATAL: ", Start, Fault(RootTaskDied, ROOT)),
        ("FATAL: Sigma0 terminated", Start, Fault(RootTaskDied, ROOT)),
        ("FATAL: Exception: ", Start, Fault(RootTaskDied, ROOT)),
        ("MOE: task ", Start, Rule::RootTaskEnds),
        ("lua error: ", Start, Fault(NedScript, SCRIPT)),
        ("lua couldn't ", Start, Fault(NedScript, SCRIPT)),
        ("Pager of ", Anywhere, FaultWith(ApplicationExit, PAGER, "is invalid (pfa=")),
        (
            "hrowing an instance of '",
            Anywhere,
            FaultWith(ApplicationExit, THROWN, "terminate called "),
        ),
        ("' panicked at ", Anywhere, FaultWith(ApplicationExit, PANICKED, "thread '")),
        ("Assertion `", Anywhere, FaultWith(ApplicationExit, ASSERTED, "' failed")),
        ("Assertion \"", Anywhere, FaultWith(ApplicationExit, ASSERTED, "\" failed")),
        ("brary '", Anywhere, FaultWith(ApplicationExit, LIBRARY, "can't load library '")),
        ("brary ", Anywhere, FaultWith(ApplicationExit, LIBRARY, "Error loading shared library ")),
        ("exiting with ", Anywhere, Rule::ApplicationEnds),
        ("exited with ", Anywhere, Rule::ApplicationEnds),
    ]
};

/// Needles of lines that bootstrap may print doubled, by their first and last rule.
pub(super) const DOUBLED: std::ops::RangeInclusive<&str> =
    "EFI: L4::Bootstrap"..="Key press reboots...";

/// What the bootstrapper says before it waits for a key, and what it means. The first text
/// that is in one of the lines counts.
pub(super) const BOOTSTRAP_CAUSES: &[(&str, &str)] = &[
    ("L4Re is configured for EL2 mode", EL2),
    ("EFI: AllocatePages failed", PAGES),
    ("EFI: ExitBootServices failed", PAGES),
    ("wrong ELF architecture", OTHER_ARCH),
    ("md5sum mismatch", DAMAGED),
    ("(decompression error)", DAMAGED),
    ("Not enough free memory to load binary", MEMORY),
    ("could not find free RAM region", MEMORY),
    ("cannot find memory to", MEMORY),
    ("does not fit into RAM", MEMORY),
    ("could not allocate", MEMORY),
    ("(no memory)", MEMORY),
    ("Would move outside of RAM", MEMORY),
    ("No kernel module available", MODULES),
    ("This is an invalid binary, fix it", MODULES),
    ("Could not gather load section infos", MODULES),
    ("Can't load module (", MODULES),
    ("Binary outside memory", MODULES),
    ("region overlap", MODULES),
    ("modules must not have zero size", MODULES),
    ("could not find kernel info page", MODULES),
    ("Cannot boot kernel with incompatible", MODULES),
];

/// What a line with each of these texts is, for the book.
#[cfg(test)]
pub(super) fn faults() -> impl Iterator<Item = (&'static str, FaultKind, &'static str)> {
    let causes = BOOTSTRAP_CAUSES
        .iter()
        .map(|&(needle, explanation)| (needle, FaultKind::BootstrapPanic, explanation));
    let waits = std::iter::once(("Key press reboots...", FaultKind::BootstrapPanic, KEY_WAIT));
    let rules = RULES.iter().filter_map(|&(needle, _, rule)| match rule {
        Rule::Fault(FaultKind::Ipxe, _) => None,
        Rule::Fault(kind, explanation) => Some((needle, kind, explanation)),
        // A needle that begins within a word tells a reader less.
        Rule::FaultWith(kind, explanation, also) if needle.starts_with(char::is_lowercase) => {
            Some((also, kind, explanation))
        }
        Rule::FaultWith(kind, explanation, _) => Some((needle, kind, explanation)),
        Rule::ApplicationEnds => Some((needle, FaultKind::ApplicationExit, EXIT)),
        Rule::RootTaskEnds => Some(("MOE: task … exited with", FaultKind::RootTaskDied, INIT)),
        _ => None,
    });
    causes.chain(waits).chain(rules)
}
