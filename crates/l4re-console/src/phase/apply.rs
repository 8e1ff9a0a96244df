//! What the meaning of a line changes: phases, boots, resets, what the image is, faults.
//!
//! Invariants: a machine that was reset without being asked is a loop from the first sign of
//! that on; firmware that goes on after iPXE gave up is none, and iPXE's last words stay the
//! reason for standing still. What the bootstrapper says counts only while it runs.

use super::context::shown;
use super::line::{self, Meaning};
use super::recogniser::{ApplicationLine, Boot, LineRecogniser, Look, Sighting, Start};
use super::rules::{BOOTSTRAP_CAUSES, INIT, INIT_RAN, KEY_WAIT, SHELL};
use super::{Fault, FaultKind, ImageInfo, Mark, MarkStage, Phase, explain, hint_for};

/// So many starts of a machine that reaches no bootstrapper are a loop.
const RESTARTS: u32 = 3;

const CONFIGURED: &str = "the network is configured, and nothing is fetched: check the boot script";
const FETCHED: &str = "all was fetched, and nothing comes of it: user data must begin with `#!ipxe`, \
                       an image must fit the firmware and the architecture";
const STARTED: &str = "the image was started and says nothing: check that it is for this machine, and \
                       its serial port (-comport on x86, SPCR on arm64)";
const PARKED: &str = "the machine is parked, and waits for its next image (`deploy --on`)";
const WRONG_SUM: &str =
    "the object in the store is not the image that was built (wrong sum): deploy again";
const RESET: &str = "the machine was reset while its system ran, and boots again without being \
                     asked to";
const SILENT: &str = "the image was started, and the machine was reset before it said anything: \
                      check that it is for this machine";
const AGAIN: &str = "the machine boots again without being asked to";

impl LineRecogniser {
    /// Why the boot stands where it stands, or what to look at.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        let hint = || Some(hint_for(self.boot.phases.current())).filter(|hint| !hint.is_empty());
        self.boot.cause.clone().or_else(|| hint().map(str::to_owned))
    }

    /// Whether that can be meant now: an application may print the same words.
    pub(super) fn is_meant(&self, meaning: &Meaning) -> bool {
        let current = self.boot.phases.current();
        match meaning {
            Meaning::IpxePhase(_) | Meaning::IpxeWaits(_) | Meaning::IpxeHas(_) => {
                current >= Some(Phase::Ipxe) && current < Some(Phase::Bootstrap)
            }
            Meaning::FirmwareLeft(_) => current < Some(Phase::Bootstrap),
            Meaning::Sequence(_)
            | Meaning::Created(_)
            | Meaning::BootstrapBuilt(_)
            | Meaning::Scans(_) => current == Some(Phase::Bootstrap),
            Meaning::Mark(_)
            | Meaning::Parked
            | Meaning::BootstrapWaits
            | Meaning::Fault(FaultKind::BootstrapPanic | FaultKind::Ipxe, _) => {
                current < Some(Phase::Kernel)
            }
            _ => true,
        }
    }

    pub(super) fn apply(
        &mut self,
        meaning: Meaning,
        look: Look<'_>,
        sink: &mut dyn FnMut(Sighting),
    ) {
        let current = self.boot.phases.current();
        match meaning {
            Meaning::Phase(phase @ (Phase::Firmware | Phase::Ipxe)) => {
                self.reset(phase, look, sink)
            }
            Meaning::Phase(phase) => {
                self.advance(phase, look.at, sink);
                self.boot.root_task_started = match phase {
                    // Nothing else tells where it begins.
                    Phase::Sigma0 => self.boot.has_other_root_task(),
                    // Under another name.
                    Phase::Moe if current < Some(phase) => false,
                    _ => self.boot.root_task_started,
                };
            }
            Meaning::FirmwareLoads(option) => self.firmware_loads(option, look, sink),
            Meaning::FirmwareStarts if current >= Some(Phase::Bootstrap) => {
                self.reset(Phase::Firmware, look, sink);
            }
            Meaning::FirmwareStarts => self.advance(Phase::Firmware, look.at, sink),
            Meaning::FirmwareLeft(explanation) => {
                self.boot.cause.get_or_insert_with(|| explanation.to_owned());
                self.advance(Phase::Firmware, look.at, sink);
            }
            Meaning::IpxePhase(_) | Meaning::IpxeWaits(_) | Meaning::IpxeHas(_) => {
                self.ipxe(&meaning, look, sink);
            }
            Meaning::Banner => self.banner(look, sink),
            Meaning::RootTaskStarts => {
                self.advance(Phase::Moe, look.at, sink);
                self.boot.root_task_started = true;
            }
            Meaning::Sequence(value) => self.image.sequence = Some(value),
            Meaning::Created(value) => self.image.created = Some(value),
            Meaning::BootstrapBuilt(value) => self.image.bootstrap_built = Some(value),
            Meaning::Scans(program) => {
                self.boot.programs += 1;
                self.boot.last_program = program;
            }
            Meaning::Mark(mark) => self.mark(mark, look, sink),
            Meaning::Parked => {
                self.boot.parked = true;
                self.boot.cause = Some(PARKED.to_owned());
            }
            Meaning::Fault(kind, explanation) => self.line_fault(kind, &explanation, look, sink),
            Meaning::BootstrapWaits => self.bootstrap_waits(look, sink),
        }
    }

    pub(super) fn advance(
        &mut self,
        phase: Phase,
        at: std::time::Duration,
        sink: &mut dyn FnMut(Sighting),
    ) {
        if self.boot.phases.advance(phase, at) {
            if phase == Phase::Bootstrap {
                self.boot.cause = None;
            }
            sink(Sighting::Phase(phase));
        }
    }

    fn ipxe(&mut self, meaning: &Meaning, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        match *meaning {
            // It asks for its next image again and again.
            _ if self.boot.parked => {}
            Meaning::IpxePhase(phase) => {
                // Something else is fetched now.
                self.boot.cause.take_if(|cause| cause == FETCHED || cause == CONFIGURED);
                self.advance(phase, look.at, sink);
            }
            Meaning::IpxeWaits(lacks) => {
                self.boot.cause = Some(lacks.to_owned());
                self.advance(Phase::Network, look.at, sink);
            }
            Meaning::IpxeHas(phase) => {
                let cause = if phase == Phase::Network { CONFIGURED } else { FETCHED };
                self.boot.cause = Some(cause.to_owned());
                self.advance(phase, look.at, sink);
            }
            _ => {}
        }
    }

    pub(super) fn application_reached(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.advance(Phase::Application, look.at, sink);
        let first = ApplicationLine { text: shown(look.line), at: look.at };
        self.boot.application = Some(first.clone());
        sink(Sighting::Application(first));
    }

    fn banner(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.boots += 1;
        // That of a reset which was seen is allowed already.
        if self.boots > self.boots_allowed && self.takes_expected_reboot() {
            self.boots_allowed = self.boots;
        }
        let loops = self.boots > self.boots_allowed && !std::mem::take(&mut self.loop_told);
        if loops {
            self.context.last_words(look.before);
        }
        // Where nothing came in between that would have ended the phases of the boot before.
        let current = self.boot.phases.current();
        if current > Some(Phase::Bootstrap) || self.boot.banner_seen {
            self.phases_before = std::mem::take(&mut self.boot.phases);
            self.next_boot();
        }
        self.boot.banner_seen = true;
        self.reboot_requested &= self.boots < self.boots_allowed;
        self.image_of_boot();
        if loops {
            self.looping(AGAIN, look, sink);
        }
        self.context.forget_last_words();
        self.advance(Phase::Bootstrap, look.at, sink);
        sink(Sighting::Boot(self.boots));
    }

    /// What is said of an image from now on is said of the one that boots now.
    fn image_of_boot(&mut self) {
        if std::mem::take(&mut self.image_is_old) {
            self.image = ImageInfo::default();
        }
    }

    fn mark(&mut self, mark: Mark, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let failed = mark.stage == MarkStage::Failed;
        self.boot.image_started = mark.stage == MarkStage::Boot;
        self.boot.parked = false;
        if !failed && mark.stage != MarkStage::Retry {
            self.advance(Phase::Download, look.at, sink);
        }
        match mark.stage {
            MarkStage::Start => {
                self.boot.cause = None;
                self.image_of_boot();
                if let Some(sum) = mark.get("image") {
                    self.image.sha256 = Some(sum.to_owned());
                    self.image.verified = None;
                }
            }
            MarkStage::Verify => {
                self.image.verified = mark.get("sum").map(str::to_owned);
                let wrong = mark.get("sum") == Some("wrong");
                self.boot.cause = wrong.then(|| WRONG_SUM.to_owned());
            }
            MarkStage::Boot => self.boot.cause = Some(STARTED.to_owned()),
            MarkStage::Retry | MarkStage::Failed => {
                self.boot.cause = reason(&mark).or(self.boot.cause.take())
            }
            MarkStage::Fetch => {}
        }
        sink(Sighting::Mark(mark));
        if failed {
            let why =
                self.boot.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
            let explanation = format!("the boot script gave up{why}");
            self.fault(FaultKind::BootScriptFailed, &explanation, look, sink);
        }
    }

    /// A fault that a line says.
    fn line_fault(
        &mut self,
        kind: FaultKind,
        explanation: &str,
        look: Look<'_>,
        sink: &mut dyn FnMut(Sighting),
    ) {
        let current = self.boot.phases.current();
        let kind = match kind {
            // The bootstrapper's own words may begin like the kernel's.
            FaultKind::KernelPanic if current == Some(Phase::Bootstrap) => {
                FaultKind::BootstrapPanic
            }
            kind => kind,
        };
        match kind {
            FaultKind::Ipxe if self.boot.parked => return,
            FaultKind::Ipxe => {
                let phase = line::ipxe_phase(look.line).map(Meaning::IpxePhase);
                if let Some(phase) = phase.filter(|phase| self.is_meant(phase)) {
                    self.apply(phase, look, sink);
                }
                let before = self.boot.cause.take().filter(|_| explanation == SHELL);
                let before = before.map(|cause| format!("; before that: {cause}"));
                self.boot.cause = Some(format!("{explanation}{}", before.unwrap_or_default()));
            }
            FaultKind::NedScript | FaultKind::ApplicationExit => {
                let explanation = format!("{explanation}: {}", shown(look.line));
                self.boot.cause = Some(explanation.clone());
                return self.fault(kind, &explanation, look, sink);
            }
            FaultKind::RootTaskDied if explanation == INIT && self.boot.application.is_some() => {
                return self.fault(kind, INIT_RAN, look, sink);
            }
            FaultKind::UnhandledException => {
                let explanation = format!("{explanation}: {}", shown(look.line));
                return self.fault(kind, &explanation, look, sink);
            }
            // Later ones are not shown; a console full of prompts must not cost more than that.
            FaultKind::Debugger if !self.context.is_faulted() => {
                let said = self.context.latest(look.before);
                let reason = said.iter().rev().find_map(|line| entry_reason(line));
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                return self.fault(kind, &format!("{explanation}{reason}"), look, sink);
            }
            FaultKind::KernelPanic | FaultKind::BootstrapPanic => {
                let said = shown(look.line);
                let reasons = ["Panic: ", "PANIC: ", "Assertion failed at "];
                let reason = reasons.iter().find_map(|begin| said.strip_prefix(begin));
                let reason = reason.map(|reason| format!(": {}", reason.trim()));
                let explanation = format!("{explanation}{}", reason.unwrap_or_default());
                return self.fault(kind, &explanation, look, sink);
            }
            _ => {}
        }
        self.fault(kind, explanation, look, sink);
    }

    fn bootstrap_waits(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        if self.boot.panicked {
            return;
        }
        let said = self.context.latest(look.before);
        let known = BOOTSTRAP_CAUSES.iter().find_map(|(text, explanation)| {
            let line = said.iter().rev().find(|line| line.contains(text))?;
            Some((line.as_str(), *explanation))
        });
        let last = said.last().map_or("", String::as_str);
        let unknown = || (last, format!("{KEY_WAIT}: {}", last.trim()));
        let (line, explanation) =
            known.map_or_else(unknown, |(line, explanation)| (line, explanation.to_owned()));
        self.fault_of(FaultKind::BootstrapPanic, line.trim(), &explanation, look, sink);
    }

    fn fault(
        &mut self,
        kind: FaultKind,
        explanation: &str,
        look: Look<'_>,
        sink: &mut dyn FnMut(Sighting),
    ) {
        self.fault_of(kind, &shown(look.line), explanation, look, sink);
    }

    /// A fault that `line` says, which need not be the one that is looked at.
    fn fault_of(
        &mut self,
        kind: FaultKind,
        line: &str,
        explanation: &str,
        look: Look<'_>,
        sink: &mut dyn FnMut(Sighting),
    ) {
        // The debugger's own way out asks the question that a panic asks.
        let asks = line.starts_with("Return reboots") || line.starts_with("Press any key");
        if self.debugger_requested && (kind == FaultKind::Debugger || asks) {
            return;
        }
        self.boot.panicked |= kind == FaultKind::BootstrapPanic;
        if kind.is_final() {
            let reset = kind == FaultKind::RebootLoop;
            self.context.fault(look.before, look.line, look.after, reset);
        }
        let (line, explanation) = (line.to_owned(), explanation.to_owned());
        sink(Sighting::Fault(Fault { kind, line, explanation, at: look.at }));
    }

    fn firmware_loads(&mut self, option: String, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let current = self.boot.phases.current();
        // The same option once more: all begins anew. Another one: iPXE gave up.
        let again = match &self.boot.first_option {
            Some(first) => *first == option,
            None => current >= Some(Phase::Bootstrap),
        };
        if again {
            self.reset(Phase::Firmware, look, sink);
        }
        self.advance(Phase::Firmware, look.at, sink);
        self.boot.first_option.get_or_insert(option);
    }

    /// Firmware or iPXE begins: is that a machine that was reset?
    ///
    /// Firmware comes once in a boot, and before iPXE; iPXE may chain to another iPXE. Where
    /// the twin stands in for iPXE, firmware comes only when the image was started.
    fn reset(&mut self, phase: Phase, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let current = self.boot.phases.current();
        let ran = current >= Some(Phase::Bootstrap);
        let reset = match phase {
            Phase::Firmware if self.boot.image_started && !self.boot.powered_on => ran,
            Phase::Firmware => current > Some(Phase::Ipxe),
            _ => ran,
        };
        if reset {
            self.was_reset(ran, look, sink);
        }
        self.boot.powered_on |= phase == Phase::Firmware;
        self.advance(phase, look.at, sink);
    }

    fn was_reset(&mut self, ran: bool, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.context.last_words(look.before);
        let silent = !ran && self.boot.image_started;
        // What a boot lacks the next one may lack as well.
        let cause = self.boot.cause.take().filter(|_| !ran);
        // Who is in the debugger may reboot there.
        let asked = std::mem::take(&mut self.reboot_requested)
            || self.debugger_requested
            || ((ran || silent) && self.takes_expected_reboot());
        if asked {
            self.boots_allowed = self.boots_allowed.max(self.boots + 1);
        }
        self.restarts = if ran || asked { 0 } else { self.restarts + 1 };
        self.phases_before = std::mem::take(&mut self.boot.phases);
        self.next_boot();
        let again = cause.as_ref().map(|cause| format!("{AGAIN}: {cause}"));
        self.boot.cause = cause;
        match () {
            () if asked => {}
            () if ran => return self.looping(RESET, look, sink),
            () if silent => return self.looping(SILENT, look, sink),
            () if self.restarts == RESTARTS => {
                return self.looping(again.as_deref().unwrap_or(AGAIN), look, sink);
            }
            () => {}
        }
        self.context.forget_last_words();
    }

    fn takes_expected_reboot(&mut self) -> bool {
        let left = self.reboots_left.checked_sub(1);
        self.reboots_left = left.unwrap_or_default();
        left.is_some()
    }

    /// Tells of a loop, with what the system before said last.
    fn looping(&mut self, explanation: &str, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.loop_told = true;
        self.context.restore_last_words();
        self.fault(FaultKind::RebootLoop, explanation, look, sink);
    }

    /// A reboot was asked for: the next boot is not a loop and gets its own phases.
    pub fn reboot_requested(&mut self) {
        self.boots_allowed = self.boots + 1;
        self.reboot_requested = true;
        // What the old system still prints must not count as firmware of the new one.
        self.start = Start::Attached;
        self.next_boot();
        self.context.forget_last_words();
    }

    /// Forgets what was known of the boot before; of its image not yet, as the next one may be
    /// the same.
    fn next_boot(&mut self) {
        self.boot = Boot::default();
        self.image_is_old = true;
    }
}

/// Why a processor is in the debugger: `    CPU 0 [ffffffff0030a4c8]: user "abort"`.
fn entry_reason(line: &str) -> Option<&str> {
    let (_, reason) = line.trim_start().strip_prefix("CPU")?.split_once("]: ")?;
    Some(reason.trim()).filter(|reason| !reason.is_empty())
}

/// Why the boot script tries again, where its mark says so.
fn reason(mark: &Mark) -> Option<String> {
    if mark.get("why") == Some("wrong-sum") {
        return Some(WRONG_SUM.to_owned());
    }
    let code = mark.get("error")?.strip_prefix("0x")?;
    let code = u32::from_str_radix(code, 16).ok().filter(|code| *code != 0)?;
    Some(explain(code).to_owned())
}
