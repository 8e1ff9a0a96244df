//! The quota for a machine's family, which counts virtual processors.
//!
//! Codes: "Amazon EC2 instance type quotas" of the EC2 user guide (Service Quotas, `ec2`).

use aws_sdk_ec2::types::InstanceLifecycleType;

use super::Finding;
use crate::ami::filter;
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::types::InstanceTypeFacts;

const CHECK: &str = "quota";

/// Families by what their names begin with, longest first; the codes on demand and spot.
const QUOTAS: [(&str, &str, &str); 13] = [
    ("dl", "L-6E869C2A", "L-85EED4F7"),
    ("hpc", "L-F7808C92", ""),
    ("inf", "L-1945791B", "L-B5D1601B"),
    ("mac", "", ""),
    ("trn", "L-2C3B7624", "L-6B0D517C"),
    ("u-", "L-43DA4232", ""),
    ("u7", "L-43DA4232", ""),
    ("vt", "L-DB2E81BA", "L-3819A6DF"),
    ("f", "L-74FC7D96", "L-88CF9481"),
    ("g", "L-DB2E81BA", "L-3819A6DF"),
    ("p", "L-417A185B", "L-7212CCBC"),
    ("x", "L-7295265B", "L-E3A00192"),
    ("", "L-1216C47A", "L-34B43A08"),
];

/// The code of a type's quota in Service Quotas, on demand or of spot capacity; `None` where it
/// is not counted in processors.
pub fn quota_code(instance_type: &str, spot: bool) -> Option<&'static str> {
    let row = QUOTAS.iter().find(|(prefix, ..)| instance_type.starts_with(prefix))?;
    let code = if spot { row.2 } else { row.1 };
    (!code.is_empty()).then_some(code)
}

impl Cloud {
    /// Whether the first machine that a deploy would try fits beside what runs.
    pub(super) async fn examine_quota(&self, machine: &InstanceTypeFacts, spot: bool) -> Finding {
        let Some(code) = quota_code(&machine.name, spot) else {
            return Finding::note(CHECK, format!("{} is not counted by processors", machine.name));
        };
        let (limit, used) = tokio::join!(self.quota(code), self.processors_in_use(code, spot));
        match (limit, used) {
            (Ok(Some(limit)), Ok(used)) => judge(machine, code, limit, used),
            (Ok(None), _) => Finding::note(CHECK, format!("not known: {code} has no value")),
            (Err(error), _) | (_, Err(error)) => Finding::unknown(CHECK, &error),
        }
    }

    async fn quota(&self, code: &str) -> Result<Option<f64>, CloudError> {
        let request = self.quotas().get_service_quota().service_code("ec2").quota_code(code);
        let answer = self.call("servicequotas:GetServiceQuota", request.send()).await?;
        Ok(answer.quota.and_then(|quota| quota.value))
    }

    /// Virtual processors of all running instances that the quota counts.
    async fn processors_in_use(&self, wanted: &str, spot: bool) -> Result<u64, CloudError> {
        let running = aws_sdk_ec2::types::Filter::builder()
            .name("instance-state-name")
            .values("pending")
            .values("running")
            .build();
        let mut request = self.ec2().describe_instances().filters(running);
        if spot {
            request = request.filters(filter("instance-lifecycle", "spot"));
        }
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
        let found = self.call("ec2:DescribeInstances", pages).await?;
        let counted = found.iter().flat_map(|reservation| reservation.instances()).filter(|i| {
            let is_spot = i.instance_lifecycle == Some(InstanceLifecycleType::Spot);
            let name = i.instance_type.as_ref().map_or("", |name| name.as_str());
            is_spot == spot && quota_code(name, spot) == Some(wanted)
        });
        let processors = counted.map(|instance| {
            let cpu = instance.cpu_options.as_ref();
            let part = |count: Option<i32>| u64::try_from(count.unwrap_or(1)).unwrap_or(1);
            cpu.map_or(1, |cpu| part(cpu.core_count) * part(cpu.threads_per_core))
        });
        Ok(processors.sum())
    }
}

fn judge(machine: &InstanceTypeFacts, code: &str, limit: f64, used: u64) -> Finding {
    let wants = machine.vcpus;
    let text = format!(
        "{} wants {wants} processors; {used} of {limit:.0} that {code} allows are in use",
        machine.name
    );
    // Both are far below what a float holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "numbers of processors are small")]
    let fits = used as f64 + f64::from(wants) <= limit;
    match fits {
        true => Finding::good(CHECK, text),
        false => {
            let fix = format!(
                "ask for more: aws service-quotas request-service-quota-increase --service-code \
                 ec2 --quota-code {code} --desired-value {}",
                used + u64::from(wants)
            );
            Finding::problem(CHECK, text, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::testing::machine;

    #[test]
    fn families_and_their_codes() {
        assert_eq!(quota_code("m7g.metal", false), Some("L-1216C47A"));
        assert_eq!(quota_code("c7i-flex.large", true), Some("L-34B43A08"));
        assert_eq!(quota_code("p5.48xlarge", false), Some("L-417A185B"));
        assert_eq!(quota_code("trn1.2xlarge", false), Some("L-2C3B7624"));
        assert_eq!(quota_code("g5g.metal", false), Some("L-DB2E81BA"));
        assert_eq!(quota_code("hpc7g.4xlarge", true), None);
        assert_eq!(quota_code("mac2.metal", false), None);
    }

    #[test]
    fn what_does_not_fit_is_a_problem_with_a_number() {
        let metal = InstanceTypeFacts { vcpus: 64, ..machine("m7g.metal") };
        assert_eq!(judge(&metal, "L-1216C47A", 64.0, 0).level, Level::Good);
        let full = judge(&metal, "L-1216C47A", 64.0, 2);
        assert_eq!(full.level, Level::Problem);
        assert!(full.fix.unwrap().ends_with("--desired-value 66"));
    }
}
