//! The plan of faults as people and tests write it: `faults.json` in the state directory.
//! A running daemon takes a changed file at its next call.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::TwinError;
use crate::faults::calls;
use crate::faults::decide::fits;
use crate::state::files;

/// All rules, and the seed that makes a run with them repeatable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// Where chance begins. The same seed and the same calls give the same faults.
    #[serde(default)]
    pub seed: u64,
    /// Every rule that fits a call has its effect; of several errors the first counts.
    #[serde(default)]
    pub rules: Vec<FaultRule>,
}

/// One fault and when it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What it happens on, with `*` and `?`: `ec2:RunInstances`, `sts:*`,
    /// `connect:SendSerialConsoleSSHPublicKey`, `s3:GET` (a client's request, by method),
    /// `guest:GET` (a guest's download), `guest:metadata`, `console:session`,
    /// `machine:network`. Without a colon it is an action of whichever service.
    pub on: String,
    /// How likely it is at each call that fits, from 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// Only at this call of those that fit, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_call: Option<u64>,
    /// No more often than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Launches into this zone only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Launches of types that fit this only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Launches of spot capacity only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spot: bool,
    /// What happens.
    pub effect: Effect,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The call fails with a code of its service.
    Error {
        /// `InsufficientInstanceCapacity`, `RequestLimitExceeded`, `SlowDown`, …
        code: String,
        /// The HTTP status, 400 if not given.
        #[serde(default = "bad_request")]
        status: u16,
    },
    /// The call takes longer.
    Delay {
        /// By so many milliseconds.
        milliseconds: u64,
    },
    /// The connection is closed without an answer; the call itself has not happened.
    Reset,
    /// The call happens, and the connection is closed without an answer.
    LostAnswer,
    /// The answer breaks off.
    Truncate {
        /// After so many bytes of its body.
        bytes: u64,
    },
    /// With `machine:network`: the instance never gets an answer to DHCP.
    NoNetwork,
    /// With `console:session`: the session is dropped.
    DropConsole {
        /// After so many bytes of output.
        bytes: u64,
    },
    /// With `console:session`: the session comes to its limit, as after an hour on EC2.
    EndConsole {
        /// After so many seconds.
        seconds: u64,
    },
    /// The daemon is killed, as by SIGKILL, before the call happens. Once: the rule goes with
    /// it.
    Kill,
}

impl FaultRule {
    /// Whether it is about some launches, which are known only when the call has been read.
    pub(super) fn is_about_launches(&self) -> bool {
        self.zone.is_some() || self.instance_type.is_some() || self.spot
    }
}

impl FaultPlan {
    /// Whether the plan can be meant so.
    pub fn check(&self) -> Result<(), TwinError> {
        for (index, rule) in self.rules.iter().enumerate() {
            let wrong =
                |detail: &str| TwinError::Fault { number: index + 1, detail: detail.to_owned() };
            if !(0.0..=1.0).contains(&rule.probability) {
                return Err(wrong("its probability is not between 0 and 1"));
            }
            if !calls::exists(|call| fits(&rule.on, call)) {
                return Err(wrong(&format!("the twin has no call that fits `{}`", rule.on)));
            }
            if rule.at_call == Some(0) {
                return Err(wrong("calls are counted from 1"));
            }
            let only = match rule.effect {
                Effect::NoNetwork => "machine:network",
                Effect::DropConsole { .. } | Effect::EndConsole { .. } => "console:session",
                Effect::Error { status, .. } if !(400..600).contains(&status) => {
                    return Err(wrong("the status of an error is from 400 to 599"));
                }
                _ => continue,
            };
            if rule.on != only {
                return Err(wrong(&format!("its effect is one on `{only}` only")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.effect)?;
        if let Some(zone) = &self.zone {
            write!(f, ", in {zone}")?;
        }
        if let Some(kind) = &self.instance_type {
            write!(f, ", for {kind}")?;
        }
        if self.spot {
            f.write_str(", as spot capacity")?;
        }
        if self.probability < 1.0 {
            write!(f, ", with probability {}", self.probability)?;
        }
        if let Some(call) = self.at_call {
            write!(f, ", at call {call}")?;
        }
        self.times.map_or(Ok(()), |times| write!(f, ", {times} times at most"))
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { code, status } => write!(f, "error {code} ({status})"),
            Self::Delay { milliseconds } => write!(f, "{milliseconds} ms late"),
            Self::Reset => f.write_str("connection closed"),
            Self::LostAnswer => f.write_str("answer lost"),
            Self::Truncate { bytes } => write!(f, "answer cut after {bytes} bytes"),
            Self::NoNetwork => f.write_str("no network"),
            Self::DropConsole { bytes } => write!(f, "dropped after {bytes} bytes"),
            Self::EndConsole { seconds } => write!(f, "ended after {seconds} s"),
            Self::Kill => f.write_str("daemon killed"),
        }
    }
}

fn certain() -> f64 {
    1.0
}

fn bad_request() -> u16 {
    400
}

/// The plan that is in force for a state directory; empty if there is none.
pub fn faults(dir: &Utf8Path) -> Result<FaultPlan, TwinError> {
    Ok(files::read_json(&path(dir))?.unwrap_or_default())
}

/// Puts a plan in force, whether or not a daemon runs. Its counts begin anew.
pub fn set_faults(dir: &Utf8Path, plan: &FaultPlan) -> Result<(), TwinError> {
    fs_err::create_dir_all(dir).map_err(TwinError::file(dir))?;
    files::write_json(&path(dir), plan)
}

/// The file in a state directory.
pub(super) fn path(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join("faults.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<String, String> {
        let rule: FaultRule = serde_json::from_str(json).unwrap();
        let said = rule.to_string();
        let plan = FaultPlan { seed: 0, rules: vec![rule] };
        plan.check().map(|()| said).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_say_what_they_do() {
        let rule = r#"{"on": "RunInstances", "zone": "eu-central-1a", "probability": 0.5,
            "at_call": 2, "times": 1, "effect": {"error": {"code": "Unsupported"}}}"#;
        assert_eq!(
            check(rule).unwrap(),
            "RunInstances: error Unsupported (400), in eu-central-1a, with probability 0.5, \
             at call 2, 1 times at most"
        );
        assert_eq!(check(r#"{"on": "*", "effect": "kill"}"#).unwrap(), "*: daemon killed");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (rule, why) in [
            (r#"{"on": "x", "probability": 1.5, "effect": "reset"}"#, "between 0 and 1"),
            (r#"{"on": "*", "at_call": 0, "effect": "reset"}"#, "counted from 1"),
            (r#"{"on": "RunInstance", "effect": "reset"}"#, "no call that fits `RunInstance`"),
            (r#"{"on": "s3:RunInstances", "effect": "reset"}"#, "no call that fits"),
            (r#"{"on": "ec2:*", "effect": "no-network"}"#, "`machine:network` only"),
            (r#"{"on": "*", "effect": {"drop-console": {"bytes": 1}}}"#, "`console:session`"),
            (r#"{"on": "*", "effect": {"end-console": {"seconds": 1}}}"#, "`console:session`"),
            (r#"{"on": "*", "effect": {"error": {"code": "X", "status": 200}}}"#, "400 to 599"),
        ] {
            let error = check(rule).unwrap_err();
            assert!(error.starts_with("fault 1: ") && error.contains(why), "{error}");
        }
    }
}
