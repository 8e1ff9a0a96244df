//! Publishes L4Re images to S3 and runs them on EC2, or on anything that speaks like it.
//!
//! Invariants of absence: never prints, reads no environment variable (the SDK's chain
//! does), knows neither QEMU nor the twin beyond an endpoint. The only crate with `aws-*`.

mod ami;
mod ami_build;
mod attempt;
mod blocks;
mod bucket;
mod chain;
mod classify;
mod connect;
mod console;
mod denied;
mod doctor;
mod egress;
mod error;
mod event;
mod expiry;
mod gc;
mod identity;
mod instance;
mod launch;
mod lifecycle;
mod multipart;
mod objects;
mod park;
mod parked;
mod place;
mod plan;
mod policy;
mod prepare;
mod price;
mod progress;
mod publish;
mod region;
mod rehearse;
mod runs;
mod script;
mod serial;
mod serial_hosts;
mod snapshot;
mod store;
mod tags;
#[cfg(test)]
mod testing;
mod token;
mod types;
mod unfinished;
mod wait;
mod warm;

pub use ami::{AmiFacts, AmiOwner, IPXE_OWNER};
pub use ami_build::{AmiContent, AmiRequest, BuiltAmi, OwnAmi};
pub use attempt::{Attempt, LaunchOptions, Market, attempts};
pub use chain::profiles;
pub use connect::{Cloud, ConnectOptions, Endpoint, Timeouts};
pub use doctor::{DoctorOptions, Examination, Finding, Level, quota_code};
pub use egress::Egress;
pub use error::{CloudError, Decision, Denied, Running, Tried};
pub use event::{Event, Events, silent};
pub use expiry::schedule_tag;
pub use gc::{GcOptions, Leftover, LeftoverKind};
pub use identity::Identity;
pub use instance::{Instance, InstanceFilter, InstanceState};
pub use launch::Launched;
pub use park::ParkOptions;
pub use place::{CutOff, Place, Subnet};
pub use plan::{
    AccountFacts, Boot, BootPlan, Chain, HttpTokens, ImageFacts, KindChoice, PlanError,
    PlanOptions, PlanWarning, best_kind, plan, usual_wait,
};
pub use policy::{PolicyOptions, policy};
pub use prepare::{PrepareOptions, Prepared};
pub use price::{PRICES_AS_OF, PRICES_REGION, Price, PriceSource, price};
pub use publish::{Object, PublishOptions};
pub use region::known_regions;
pub use rehearse::{PlannedCall, Power};
pub use runs::Runs;
pub use script::{AfterFailure, ScriptOptions, USER_DATA_LIMIT, file_name, script};
pub use serial::{SerialEndpoint, SerialError, SerialStatus};
pub use types::{BootMode, Hypervisor, InstanceTypeFacts};
pub use unfinished::Unfinished;
pub use warm::{RedeployOptions, Redeployed, Warm, Way};
