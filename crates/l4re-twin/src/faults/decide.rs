//! Which faults a call meets.
//!
//! Invariant: chance depends on the seed, the rule and how many calls have fitted it, and
//! on nothing else, so that a run can be repeated.

use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::Signal;

use crate::ec2::glob;
use crate::faults::plan::{self, Effect, FaultPlan, FaultRule};
use crate::state::files;

/// What a call meets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// How long it is held up.
    pub(crate) delay: Duration,
    /// What happens to it then, if anything.
    pub(crate) effect: Option<Effect>,
}

/// What a launch asks for, for rules about capacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launching<'a> {
    /// None: wherever that will be.
    pub(crate) zone: Option<&'a str>,
    pub(crate) instance_type: &'a str,
    /// Whether it asks for spot capacity.
    pub(crate) spot: bool,
}

/// The plan in force, with its counts.
#[derive(Debug)]
pub(crate) struct Faults {
    path: Utf8PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    /// What the file was when it was read: device, inode, size, times. The times alone do not
    /// tell a file that is being written from the whole one a moment later.
    version: Option<[i128; 5]>,
    plan: FaultPlan,
    counts: Vec<Count>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    fitted: u64,
    happened: u64,
}

impl Faults {
    pub(crate) fn new(dir: &Utf8Path) -> Self {
        Self { path: plan::path(dir), loaded: Mutex::default() }
    }

    /// What a call of this name meets.
    pub(crate) fn decide(&self, name: &str) -> Decision {
        self.meet(|rule| !rule.is_about_launches() && fits(&rule.on, name))
    }

    /// What a launch meets by what it launches, or in a zone: each rule counts the launch once.
    pub(crate) fn decide_launch(&self, launch: Launching<'_>) -> Decision {
        self.meet(|rule| {
            let kind = rule.instance_type.as_deref();
            rule.is_about_launches()
                && fits(&rule.on, "ec2:RunInstances")
                && rule.zone.as_deref() == launch.zone
                && (launch.spot || !rule.spot)
                && kind.is_none_or(|kind| glob(kind.as_bytes(), launch.instance_type.as_bytes()))
        })
    }

    fn meet(&self, fits: impl Fn(&FaultRule) -> bool) -> Decision {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.refresh(&self.path);
        let Loaded { plan, counts, .. } = &mut *loaded;
        let mut decision = Decision::default();
        for (index, (rule, count)) in plan.rules.iter().zip(counts).enumerate() {
            if !fits(rule) || !count.happens(rule, plan.seed, index as u64) {
                continue;
            }
            match &rule.effect {
                Effect::Delay { milliseconds } => {
                    decision.delay += Duration::from_millis(*milliseconds);
                }
                Effect::Kill => {
                    let plan = without(plan, index);
                    die(&self.path, &plan);
                }
                effect if decision.effect.is_none() => decision.effect = Some(effect.clone()),
                _ => {}
            }
        }
        decision
    }
}

/// The plan with one rule less.
fn without(plan: &FaultPlan, index: usize) -> FaultPlan {
    let mut plan = plan.clone();
    plan.rules.remove(index);
    plan
}

/// Ends this process as SIGKILL would, which is what it does; the next daemon has the rest of
/// the plan.
fn die(path: &Utf8Path, rest: &FaultPlan) {
    if let Err(error) = files::write_json(path, rest) {
        // A daemon that died at each start would be no fault but a broken twin.
        tracing::error!("the daemon is not killed: {error}");
        return;
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

impl Loaded {
    fn refresh(&mut self, path: &Utf8Path) {
        let version = std::fs::metadata(path).ok().map(|file| {
            let time = |seconds: i64, more: i64| i128::from(seconds) << 32 | i128::from(more);
            [
                file.dev().into(),
                file.ino().into(),
                file.size().into(),
                time(file.mtime(), file.mtime_nsec()),
                time(file.ctime(), file.ctime_nsec()),
            ]
        });
        if version == self.version {
            return;
        }
        self.version = version;
        self.plan = files::read_json(path).map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::error!("no faults are in force: {error}");
            FaultPlan::default()
        });
        self.counts = vec![Count::default(); self.plan.rules.len()];
    }
}

impl Count {
    fn happens(&mut self, rule: &FaultRule, seed: u64, index: u64) -> bool {
        self.fitted += 1;
        let due = rule.at_call.is_none_or(|call| call == self.fitted)
            && rule.times.is_none_or(|times| self.happened < times)
            && chance(seed, index, self.fitted) < rule.probability;
        self.happened += u64::from(due);
        due
    }
}

/// A number from 0 up to 1 (SplitMix64).
fn chance(seed: u64, rule: u64, call: u64) -> f64 {
    let mut x = seed ^ rule.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ call.rotate_left(32);
    for multiplier in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(multiplier);
        x ^= x >> 27;
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

/// Whether a call's name fits a rule's pattern.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let name = if pattern.contains(':') {
        name
    } else {
        name.split_once(':').map_or(name, |(_, action)| action)
    };
    glob(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set_faults;

    fn plan(json: &str) -> (camino_tempfile::Utf8TempDir, Faults) {
        let dir = camino_tempfile::tempdir().unwrap();
        set_faults(dir.path(), &serde_json::from_str(json).unwrap()).unwrap();
        let faults = Faults::new(dir.path());
        (dir, faults)
    }

    #[test]
    fn rules_count_their_calls() {
        let (_dir, faults) = plan(
            r#"{"rules": [
                {"on": "RunInstances", "at_call": 2, "effect": {"error": {"code": "Unsupported"}}},
                {"on": "guest:GET", "times": 3, "effect": {"error": {"code": "SlowDown", "status": 503}}},
                {"on": "ec2:*", "effect": {"delay": {"milliseconds": 50}}}]}"#,
        );
        let hit = |name: &str| faults.decide(name).effect.is_some();
        assert_eq!([(); 3].map(|()| hit("ec2:RunInstances")), [false, true, false]);
        assert_eq!([(); 4].map(|()| hit("guest:GET")), [true, true, true, false]);
        assert_eq!(faults.decide("ec2:DescribeInstances").delay, Duration::from_millis(50));
        assert_eq!(faults.decide("s3:GET"), Decision::default());
    }

    #[test]
    fn chance_is_fair_and_repeatable() {
        let json = r#"{"seed": 7, "rules": [
            {"on": "*", "probability": 0.2, "effect": "reset"}]}"#;
        let run = || {
            let (_dir, faults) = plan(json);
            (0..1000).map(|_| faults.decide("ec2:X").effect.is_some()).collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((150..250).contains(&hits), "{hits}");
    }

    #[test]
    fn capacity_is_of_a_zone_and_a_type() {
        let (dir, faults) = plan(
            r#"{"rules": [{"on": "RunInstances", "zone": "eu-central-1a", "instance_type": "*.metal",
                "effect": {"error": {"code": "InsufficientInstanceCapacity"}}}]}"#,
        );
        let hit = |zone, instance_type| {
            faults
                .decide_launch(Launching { zone: Some(zone), instance_type, spot: false })
                .effect
                .is_some()
        };
        let anywhere = Launching { zone: None, instance_type: "m7g.metal", spot: false };
        assert_eq!(faults.decide_launch(anywhere).effect, None);
        assert!(hit("eu-central-1a", "m7g.metal"));
        assert!(!hit("eu-central-1b", "m7g.metal") && !hit("eu-central-1a", "t3.nano"));
        assert_eq!(faults.decide("ec2:RunInstances").effect, None);
        // A new plan is taken while the daemon runs.
        set_faults(dir.path(), &FaultPlan::default()).unwrap();
        assert!(!hit("eu-central-1a", "m7g.metal"));
        assert_eq!(crate::faults::faults(dir.path()).unwrap(), FaultPlan::default());
    }

    #[test]
    fn spot_capacity_can_be_gone_alone() {
        let (_dir, faults) = plan(
            r#"{"rules": [{"on": "RunInstances", "spot": true,
                "effect": {"error": {"code": "MaxSpotInstanceCountExceeded"}}}]}"#,
        );
        assert_eq!(faults.decide("ec2:RunInstances"), Decision::default());
        let hit = |spot| {
            let launching = Launching { zone: None, instance_type: "c7g.medium", spot };
            faults.decide_launch(launching).effect.is_some()
        };
        assert_eq!((hit(true), hit(false)), (true, false));
    }

    #[test]
    fn a_damaged_plan_is_none() {
        let (dir, faults) = plan("{}");
        fs_err::write(plan::path(dir.path()), "{\"rules\": [{\"on\": 1}]}").unwrap();
        assert_eq!(faults.decide("ec2:X"), Decision::default());
    }
}
