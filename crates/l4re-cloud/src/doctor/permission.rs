//! Rights, asked with DryRun where EC2 has it, and by harmless calls elsewhere.
//!
//! EC2 answers a DryRun of a permitted call with the error `DryRunOperation`, or says that the
//! instance does not exist, and one that is not permitted with `UnauthorizedOperation`.

use aws_sdk_ec2::types::Tag;

use super::Finding;
use crate::connect::Cloud;
use crate::error::CloudError;

const CHECK: &str = "permissions";
const FIX: &str = "have the rights of `cargo l4re doctor --policy` granted";

/// An instance that there is none of: the calls would do nothing even if they were made.
const NOBODY: &str = "i-00000000000000000";

/// What the answer to a DryRun tells.
pub(super) fn permitted(call: &str, answer: Result<(), CloudError>) -> Result<bool, String> {
    match answer {
        Ok(()) | Err(CloudError::NotFound { .. }) => Ok(true),
        Err(CloudError::Service { code, .. })
            if code == "DryRunOperation" || code.contains("NotFound") =>
        {
            Ok(true)
        }
        Err(CloudError::AccessDenied(_)) => Ok(false),
        Err(error) => Err(format!("{call}: {error}")),
    }
}

impl Cloud {
    /// The calls of an instance's life after its launch.
    pub(super) async fn examine_rights(&self) -> Vec<Finding> {
        let ec2 = self.ec2();
        let tag = Tag::builder().key("l4re:image").value("none").build();
        let stop = ec2.stop_instances().instance_ids(NOBODY).dry_run(true).send();
        let start = ec2.start_instances().instance_ids(NOBODY).dry_run(true).send();
        let reboot = ec2.reboot_instances().instance_ids(NOBODY).dry_run(true).send();
        let end = ec2.terminate_instances().instance_ids(NOBODY).dry_run(true).send();
        let output = ec2.get_console_output().instance_id(NOBODY).dry_run(true).send();
        let tags = ec2.create_tags().resources(NOBODY).tags(tag).dry_run(true).send();
        let (stop, start, reboot, end, output, tags) = tokio::join!(
            self.call("ec2:StopInstances", stop),
            self.call("ec2:StartInstances", start),
            self.call("ec2:RebootInstances", reboot),
            self.call("ec2:TerminateInstances", end),
            self.call("ec2:GetConsoleOutput", output),
            self.call("ec2:CreateTags", tags),
        );
        let answers = [
            ("ec2:StopInstances", stop.map(drop)),
            ("ec2:StartInstances", start.map(drop)),
            ("ec2:RebootInstances", reboot.map(drop)),
            ("ec2:TerminateInstances", end.map(drop)),
            ("ec2:GetConsoleOutput", output.map(drop)),
            ("ec2:CreateTags", tags.map(drop)),
        ];
        summary(answers.map(|(call, answer)| (call, permitted(call, answer))))
    }
}

fn summary<const N: usize>(answers: [(&'static str, Result<bool, String>); N]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = |wanted: bool| {
        let matching = answers.iter().filter(move |(_, answer)| *answer == Ok(wanted));
        matching.map(|(call, _)| *call).collect::<Vec<_>>()
    };
    let (granted, denied) = (of(true), of(false));
    if !granted.is_empty() {
        findings.push(Finding::good(CHECK, format!("granted: {}", granted.join(", "))));
    }
    if !denied.is_empty() {
        findings.push(Finding::problem(CHECK, format!("denied: {}", denied.join(", ")), FIX));
    }
    let unknown = answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
    findings.extend(unknown.map(|text| Finding::note(CHECK, format!("not known: {text}"))));
    findings
}

/// A launch that was asked for with DryRun.
pub(super) fn launch(answer: Result<(), CloudError>) -> Finding {
    match answer {
        Ok(()) => Finding::good(CHECK, "granted: ec2:RunInstances, with all its tags"),
        Err(error) => {
            let quota = matches!(error, CloudError::Quota { .. });
            Finding::failed(if quota { "quota" } else { CHECK }, error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::error::Denied;

    fn service(code: &str) -> Result<(), CloudError> {
        Err(CloudError::Service {
            call: "ec2:StopInstances",
            code: code.to_owned(),
            message: String::new(),
            request_id: None,
        })
    }

    #[test]
    fn answers_to_a_dry_run() {
        let denied = Denied {
            action: "ec2:StopInstances".to_owned(),
            principal: None,
            resource: None,
            cause: String::new(),
            encoded: None,
            decision: None,
        };
        let denied = || Err(CloudError::AccessDenied(Box::new(denied.clone())));
        assert_eq!(permitted("c", service("DryRunOperation")), Ok(true));
        assert_eq!(permitted("c", service("InvalidInstanceID.NotFound")), Ok(true));
        assert_eq!(permitted("c", Ok(())), Ok(true));
        assert_eq!(permitted("c", denied()), Ok(false));
        assert!(permitted("c", service("InternalError")).is_err());
        let found = summary([("a", Ok(true)), ("b", Ok(false)), ("c", Ok(true))]);
        assert_eq!(found[0].text, "granted: a, c");
        assert_eq!((found[1].text.as_str(), found[1].level), ("denied: b", Level::Problem));
        assert_eq!(launch(denied()).level, Level::Problem);
    }
}
