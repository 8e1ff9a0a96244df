//! What to look at when a boot stands still.

use std::time::Duration;

use super::Phase;

/// How long `phase` usually takes at most before a hint is due. None for a phase in which a
/// system may stay. The times hold for emulation on a busy machine as well.
#[must_use]
pub fn usual_limit(phase: Option<Phase>) -> Option<Duration> {
    let seconds = match phase {
        None | Some(Phase::Firmware | Phase::Download) => 60,
        Some(Phase::Ipxe | Phase::Network | Phase::Bootstrap) => 30,
        Some(Phase::Kernel | Phase::Sigma0 | Phase::Moe) => 20,
        Some(Phase::Application) => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// What probably is wrong when a boot stays in `phase`.
#[must_use]
pub fn hint_for(phase: Option<Phase>) -> &'static str {
    match phase {
        None => {
            "nothing was printed: a metal instance may take 20 minutes; else check that the \
             serial console is supported and its session is the only one"
        }
        Some(Phase::Firmware) => {
            "the firmware found nothing to start: check the AMI's boot mode and the disk"
        }
        Some(Phase::Ipxe) => {
            "iPXE has started and found no network card: check that this build has the driver \
             (ENA of 7th and 8th generation needs builds of 2025-10 and later)"
        }
        Some(Phase::Network) => super::rules::NO_DHCP,
        Some(Phase::Download) => {
            "the fetch does not end: check the URL, the route to S3, the security group's \
             egress and the expiry of a presigned URL"
        }
        Some(Phase::Bootstrap) => {
            "the bootstrapper does not reach the kernel: check memory size, modules and, on \
             arm64, that the kernel's exception level fits the machine"
        }
        Some(Phase::Kernel) => {
            "the kernel was started and the root pager is not there: check the kernel's \
             platform and serial port (-comport on x86, SPCR on arm64)"
        }
        Some(Phase::Sigma0) => "the root task does not start: check the roottask line of the entry",
        Some(Phase::Moe) => {
            "moe runs and no application has printed: check the program's name and its ned script"
        }
        Some(Phase::Application) => "",
    }
}

/// Decides when hints are due: at the usual limit of a phase and at each doubling.
#[derive(Clone, Debug, Default)]
pub struct HintClock {
    phase: Option<Phase>,
    since: Duration,
    waits: u32,
}

impl HintClock {
    /// The boot is in `phase` at `now`; a change starts the clock anew.
    pub fn phase(&mut self, phase: Option<Phase>, now: Duration) {
        if self.phase != phase {
            *self = Self { phase, since: now, waits: 0 };
        }
    }

    /// The boot could not be watched for so long: that does not count.
    pub fn put_off(&mut self, unseen: Duration) {
        self.since += unseen;
    }

    /// When the next hint is due.
    #[must_use]
    pub fn due_at(&self) -> Option<Duration> {
        Some(self.since + usual_limit(self.phase)? * 2u32.saturating_pow(self.waits.min(20)))
    }

    /// The time waited, if a hint is due at `now`.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        (self.due_at()? <= now).then(|| {
            self.waits += 1;
            now.saturating_sub(self.since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn hints_come_at_the_limit_and_at_each_doubling() {
        let mut clock = HintClock::default();
        clock.phase(Some(Phase::Network), S(10));
        assert_eq!(clock.take(S(39)), None);
        assert_eq!(clock.take(S(40)), Some(S(30)));
        assert_eq!(clock.take(S(69)), None);
        assert_eq!(clock.take(S(70)), Some(S(60)));
        assert_eq!(clock.due_at(), Some(S(130)));
    }

    #[test]
    fn a_new_phase_starts_the_clock_anew_and_an_application_has_none() {
        let mut clock = HintClock::default();
        assert_eq!(clock.due_at(), Some(S(60)));
        clock.phase(Some(Phase::Kernel), S(50));
        assert_eq!(clock.due_at(), Some(S(70)));
        clock.phase(Some(Phase::Application), S(55));
        assert_eq!(clock.take(S(100_000)), None);
    }

    #[test]
    fn every_phase_with_a_limit_has_a_hint() {
        for phase in Phase::ALL.map(Some).into_iter().chain([None]) {
            assert_eq!(usual_limit(phase).is_none(), hint_for(phase).is_empty(), "{phase:?}");
        }
    }
}
