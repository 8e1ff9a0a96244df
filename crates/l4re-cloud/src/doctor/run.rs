//! The examination: who we are first, then everything else at once.

use jiff::Timestamp;
use l4re_image::{Arch, Kind};

use super::clock::SeeDate;
use super::{Examination, Finding, Level, account, permission};
use crate::attempt::{LaunchOptions, Market, attempts};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::plan::{ImageFacts, PlanError};
use crate::prepare::{PrepareOptions, Prepared};
use crate::publish::Object;

/// What a deploy would be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorOptions {
    /// For images of this architecture.
    pub arch: Arch,
    /// For this kind of image; the one that suits the machine if none.
    pub kind: Option<Kind>,
    /// Types in the order of preference.
    pub types: Vec<String>,
    /// As spot capacity.
    pub spot: bool,
    /// The subnet, instead of the default VPC's.
    pub subnet: Option<String>,
    /// Whether machines get a public address; `None` lets it follow from the subnet.
    pub public_address: Option<bool>,
    /// The bucket; `l4re-<account>-<region>` if none.
    pub bucket: Option<String>,
    /// Whether guests fetch by https.
    pub https: bool,
    /// The role as which AWS ends instances, if one is set.
    pub scheduler_role: Option<String>,
}

impl Cloud {
    /// Looks at everything that a deploy depends on.
    pub async fn doctor(&self, options: &DoctorOptions) -> Examination {
        let mut findings = Vec::new();
        let clock = SeeDate::default();
        let who = self.sts().get_caller_identity().customize().interceptor(clock.clone());
        let known = match self.call("sts:GetCallerIdentity", who.send()).await {
            Ok(answer) => {
                let who = answer.arn.unwrap_or_default();
                findings.push(Finding::good("credentials", format!("{who} in {}", self.region())));
                true
            }
            Err(error) => {
                findings.push(Finding::failed("credentials", error));
                false
            }
        };
        findings.push(clock.finding());
        if !known {
            return Examination { findings, machines: Vec::new() };
        }
        if let Some(end) = self.credentials_end().await {
            let text = format!("they end at {}", end.strftime("%Y-%m-%d %H:%M UTC"));
            findings.push(Finding::note("credentials", text));
        }
        let wanted = PrepareOptions {
            name: "doctor".to_owned(),
            types: options.types.clone(),
            zones: Vec::new(),
            subnet: options.subnet.clone(),
            public_address: options.public_address,
        };
        let (prepared, rights, bucket, schedules) = tokio::join!(
            Box::pin(self.prepare(&wanted)),
            Box::pin(self.examine_rights()),
            Box::pin(self.examine_bucket(options.bucket.as_deref(), options.https)),
            Box::pin(self.examine_expiry(options.scheduler_role.as_deref())),
        );
        let machines = match prepared {
            Ok(prepared) => {
                findings.extend(Box::pin(self.examine_machines(&prepared, options)).await);
                prepared.types
            }
            Err(error) => {
                findings.push(Finding::failed("machines", error));
                Vec::new()
            }
        };
        findings.extend(rights);
        findings.extend(bucket);
        findings.push(schedules);
        Examination { findings, machines }
    }

    async fn examine_machines(&self, prepared: &Prepared, options: &DoctorOptions) -> Vec<Finding> {
        let names: Vec<&str> = prepared.types.iter().map(|machine| machine.name.as_str()).collect();
        let places = prepared.places.len();
        let text = format!("{}: {places} places in {}", names.join(", "), prepared.region);
        let mut findings = vec![Finding::good("machines", text)];
        let kind = options.kind.unwrap_or_else(|| prepared.best_kind(options.arch).kind);
        let image =
            ImageFacts { arch: options.arch, kind, size: None, sha256: None, wants_el2: None };
        let market = if options.spot { Market::Spot } else { Market::OnDemand };
        let launch = LaunchOptions { market, ..LaunchOptions::default() };
        findings.extend(account::ami(prepared.plan(&image, &launch.plan)));
        let object = Object::at_url("http://localhost/none", None);
        let mut launches = None;
        match attempts(prepared, &image, &object, &launch, Timestamp::now()) {
            Ok(attempts) => {
                if let Some(first) = attempts.first() {
                    launches = Some(permission::launch(self.launch_permitted(first).await));
                }
            }
            Err(CloudError::Plan(refusal)) if matches!(*refusal, PlanError::NoSpot { .. }) => {
                findings.push(Finding::failed("spot", *refusal));
            }
            // The plan's refusal is told above.
            Err(_) => {}
        }
        let (metadata, quota) = tokio::join!(self.examine_metadata(&prepared.amis), async {
            match prepared.types.first() {
                Some(machine) => Some(self.examine_quota(machine, options.spot).await),
                None => None,
            }
        });
        // The quota's own finding has the numbers.
        let known = quota.as_ref().is_some_and(|quota| quota.level == Level::Problem);
        findings.extend(launches.filter(|launch| !(known && launch.check == "quota")));
        findings.extend(quota);
        findings.push(account::serial(prepared.serial, &prepared.region));
        findings.push(metadata);
        findings
    }

    async fn examine_expiry(&self, role: Option<&str>) -> Finding {
        const CHECK: &str = "expiry";
        let Some(role) = role else {
            let text = "no `scheduler-role` is set: what is past its expiry runs on until `gc`";
            let fix = "have a role that trusts scheduler.amazonaws.com and may \
                       ec2:TerminateInstances, and set `scheduler-role`";
            return Finding { fix: Some(fix.to_owned()), ..Finding::note(CHECK, text) };
        };
        match self.schedules().await {
            Ok(_) => Finding::good(CHECK, format!("AWS ends instances as {role}")),
            Err(error @ CloudError::AccessDenied(_)) => Finding::failed(CHECK, error),
            Err(error) => Finding::unknown(CHECK, &error),
        }
    }
}
