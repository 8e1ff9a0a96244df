//! The plan of faults as people and tests write it: `faults.json` in the state directory.
//! A running daemon takes a changed file at its next call.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::TwinError;
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
