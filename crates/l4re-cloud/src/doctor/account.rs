//! What the account and the region say: serial console, metadata defaults, iPXE AMIs.

use aws_sdk_ec2::types::{HttpTokensState, InstanceMetadataDefaultsResponse};

use super::Finding;
use crate::ami::AmiFacts;
use crate::connect::Cloud;
use crate::plan::{BootPlan, PlanError, PlanWarning};
use crate::serial::SerialStatus;

pub(super) fn serial(status: SerialStatus, region: &str) -> Finding {
    const CHECK: &str = "serial-console";
    let polled = "the serial console is off: output is polled, late and with gaps";
    match (status.enabled, status.by_policy) {
        (Some(true), _) => Finding::good(CHECK, "the serial console is on"),
        (Some(false), false) => {
            let fix = format!("aws ec2 enable-serial-console-access --region {region}");
            Finding::warning(CHECK, polled, fix)
        }
        (Some(false), true) => {
            let fix = "a declarative policy of the organisation holds the switch: ask who manages \
                       it";
            Finding::warning(CHECK, polled, fix)
        }
        (None, _) => Finding::note(CHECK, "whether the serial console is on is not known"),
    }
}

impl Cloud {
    /// What a launch gets that says nothing of tokens, and whether it may ask for less.
    pub(super) async fn examine_metadata(&self, amis: &[AmiFacts]) -> Finding {
        const CALL: &str = "ec2:GetInstanceMetadataDefaults";
        let request = self.ec2().get_instance_metadata_defaults();
        match self.call(CALL, request.send()).await {
            Ok(answer) => metadata(&answer.account_level.unwrap_or_else(no_defaults), amis),
            Err(error) => Finding::unknown("metadata", &error),
        }
    }
}

fn no_defaults() -> InstanceMetadataDefaultsResponse {
    InstanceMetadataDefaultsResponse::builder().build()
}

fn metadata(defaults: &InstanceMetadataDefaultsResponse, amis: &[AmiFacts]) -> Finding {
    const CHECK: &str = "metadata";
    let state = defaults.http_tokens_enforced.as_ref().map(|state| state.as_str());
    let by = defaults.managed_by.as_ref().map_or("account", |by| by.as_str());
    let required = defaults.http_tokens == Some(HttpTokensState::Required);
    let default = if required { "required" } else { "optional" };
    if state != Some("enabled") {
        let text = format!("tokens are {default} by default and not enforced ({by})");
        return Finding::good(CHECK, text);
    }
    let old: Vec<&str> =
        amis.iter().filter(|ami| !ami.speaks_imds_v2()).map(|ami| ami.name.as_str()).collect();
    match old.as_slice() {
        [] => Finding::good(CHECK, format!("IMDSv2 is enforced ({by}), and every iPXE speaks it")),
        old => Finding::warning(
            CHECK,
            format!("IMDSv2 is enforced ({by}), which {} does not speak", old.join(", ")),
            "use one built since 2026-07-14: `cargo l4re ami build --ipxe FILE --imds-v2`",
        ),
    }
}

/// The AMI that would be launched, and what may go wrong with it.
pub(super) fn ami(plan: Result<BootPlan, PlanError>) -> Vec<Finding> {
    const CHECK: &str = "ami";
    match plan {
        Ok(plan) => {
            let text = format!("{} starts {}", plan.ami.name, plan.instance_type);
            let mut findings = vec![Finding::good(CHECK, text)];
            let warning =
                |warning: &PlanWarning| Finding::warning(CHECK, warning.to_string(), fix(warning));
            findings.extend(plan.warnings.iter().map(warning));
            findings
        }
        Err(error) => vec![Finding::failed(CHECK, error)],
    }
}

fn fix(warning: &PlanWarning) -> &'static str {
    match warning {
        PlanWarning::NoSerialConsole { .. } => "name a type that has one with `--type TYPE`",
        PlanWarning::ImdsUnknown { .. } => {
            "have ec2:GetInstanceMetadataDefaults granted (`cargo l4re doctor --policy`)"
        }
        PlanWarning::WantsEl2 { .. } => "use metal: `--metal`",
        _ => {
            "wait for a newer one, or build your own of a newer iPXE: `cargo l4re ami build --ipxe FILE`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use aws_sdk_ec2::types::{HttpTokensEnforcedState, ManagedBy};

    #[test]
    fn the_switch_and_who_holds_it() {
        let status = |enabled, by_policy| serial(SerialStatus { enabled, by_policy }, "r");
        assert_eq!(status(Some(true), false).level, Level::Good);
        assert!(status(Some(false), false).fix.unwrap().contains("--region r"));
        assert!(status(Some(false), true).fix.unwrap().contains("declarative policy"));
        assert_eq!(status(None, false).level, Level::Note);
    }

    #[test]
    fn enforcement_counts_where_an_ami_is_too_old() {
        let old = AmiFacts { imds_v1_only: true, ..crate::testing::ami("arm64") };
        let enforced = InstanceMetadataDefaultsResponse::builder()
            .http_tokens_enforced(HttpTokensEnforcedState::Enabled)
            .managed_by(ManagedBy::DeclarativePolicy)
            .build();
        let found = metadata(&enforced, std::slice::from_ref(&old));
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.contains("declarative-policy"), "{}", found.text);
        assert_eq!(metadata(&enforced, &[crate::testing::ami("arm64")]).level, Level::Good);
        assert_eq!(metadata(&no_defaults(), &[old]).level, Level::Good);
    }
}
