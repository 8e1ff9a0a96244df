//! The calls that a command would make, worked out without making any that changes anything.
//!
//! Invariant: what is shown of RunInstances is read from the request itself, so that it cannot
//! differ from what would be sent. Nothing shown holds user data or a signature.

use aws_sdk_ec2::types::TagSpecification;
use jiff::Timestamp;
use l4re_image::Image;

use crate::attempt::{Attempt, attempts};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::expiry::PREFIX;
use crate::instance::{Instance, InstanceState};
use crate::multipart;
use crate::park::{ParkOptions, Slot};
use crate::prepare::Prepared;
use crate::publish::PublishOptions;
use crate::store::{Stored, status};
use crate::tags;
use crate::warm::Warm;

/// A call as it would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCall {
    /// `ec2:RunInstances`.
    pub name: &'static str,
    /// Its parameters in the service's words, in order.
    pub parameters: Vec<(String, String)>,
}

/// What can be done to an instance as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// Stop at once.
    Stop,
    /// Start again.
    Start,
    /// Reset.
    Reboot,
    /// End for good.
    Terminate,
}

impl PlannedCall {
    pub(crate) fn new(name: &'static str, parameters: &[(&str, &str)]) -> Self {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self { name, parameters: parameters.iter().map(own).collect() }
    }
}

impl Cloud {
    /// What [`Cloud::publish`] would send; only looks.
    pub async fn planned_upload(
        &self,
        image: &Image,
        options: &PublishOptions,
    ) -> Result<Vec<PlannedCall>, CloudError> {
        let target = self.target(image, options).await?;
        let place = [("Bucket", target.bucket.as_str()), ("Key", target.key.as_str())];
        let stored = self.stored(&target, image).await?;
        let mut calls = vec![PlannedCall::new("s3:HeadObject", &place)];
        match stored {
            Stored::Same => return Ok(calls),
            Stored::Expired => {
                calls.push(PlannedCall::new("s3:CopyObject", &place));
                return Ok(calls);
            }
            Stored::Absent | Stored::Other => {}
        }
        let head = self.s3().head_bucket().bucket(&target.bucket).send().await;
        if head.err().as_ref().and_then(status) == Some(404) {
            calls.extend(self.planned_bucket(&target.bucket, options.make_bucket));
        }
        let (size, parts) = (image.size.to_string(), multipart::parts(image.size));
        let mut sent = place.to_vec();
        if stored == Stored::Absent {
            sent.push(("IfNoneMatch", "*"));
        }
        if parts == 1 {
            sent.extend([("ContentLength", size.as_str()), ("SHA256", image.sha256.as_str())]);
            calls.push(PlannedCall::new("s3:PutObject", &sent));
            return Ok(calls);
        }
        let count = parts.to_string();
        calls.push(PlannedCall::new("s3:CreateMultipartUpload", &place));
        let all = [("Parts", count.as_str()), ("Bytes", size.as_str())];
        calls.push(PlannedCall::new("s3:UploadPart", &all));
        calls.push(PlannedCall::new("s3:CompleteMultipartUpload", &sent));
        Ok(calls)
    }

    /// What [`Cloud::park`] would launch, and the calls before that; only looks.
    pub async fn planned_park(
        &self,
        prepared: &Prepared,
        options: &ParkOptions,
    ) -> Result<(Vec<Attempt>, Vec<PlannedCall>), CloudError> {
        let bucket = self.park_bucket_name(&options.publish).await?;
        let parking = self.parking(prepared, options, bucket.clone()).await?;
        let image = options.image(prepared);
        let now = Timestamp::now();
        let attempts = attempts(prepared, &image, &parking.object, &parking.launch, now)?;
        let mut calls = vec![PlannedCall::new("s3:HeadBucket", &[("Bucket", &bucket)])];
        let head = self.s3().head_bucket().bucket(&bucket).send().await;
        if head.err().as_ref().and_then(status) == Some(404) {
            calls.extend(self.planned_bucket(&bucket, options.publish.make_bucket));
        }
        Ok((attempts, calls))
    }

    /// What [`Cloud::redeploy`] would do with the machine as it is.
    pub fn planned_redeploy(&self, warm: &Warm) -> Vec<PlannedCall> {
        let instance = &warm.instance;
        let id = [("InstanceIds", instance.id.as_str())];
        let mut calls = vec![tagging(instance, &[tags::NEXT_IMAGE])];
        let noted = tagging(instance, &[tags::IMAGE, tags::LAUNCH]);
        let start = PlannedCall::new("ec2:StartInstances", &id);
        let stopped = matches!(instance.state, InstanceState::Stopped | InstanceState::Stopping);
        match Slot::of(instance) {
            Some(slot) => {
                let place = [("Bucket", slot.bucket.as_str()), ("Key", slot.key.as_str())];
                calls.push(PlannedCall::new("s3:PutObject", &place));
                // One that waits does so for the object and for nothing else.
                if !stopped && instance.image.is_some() {
                    calls.push(PlannedCall::new("ec2:RebootInstances", &id));
                }
                calls.push(noted);
                calls.extend(stopped.then_some(start));
            }
            None => {
                if !stopped {
                    calls.extend(self.planned_power(Power::Stop, instance));
                }
                let script = [("InstanceId", instance.id.as_str()), ("UserData", "a new script")];
                calls.push(PlannedCall::new("ec2:ModifyInstanceAttribute", &script));
                calls.extend([noted, start]);
            }
        }
        calls
    }

    /// What [`Cloud::stop`] and its kin would do.
    pub fn planned_power(&self, power: Power, instance: &Instance) -> Vec<PlannedCall> {
        let id = ("InstanceIds", instance.id.as_str());
        let forced = [id, ("Force", "true"), ("SkipOsShutdown", "true")];
        match power {
            Power::Start => vec![PlannedCall::new("ec2:StartInstances", &[id])],
            Power::Reboot => vec![PlannedCall::new("ec2:RebootInstances", &[id])],
            Power::Stop => vec![
                PlannedCall::new("ec2:StopInstances", &forced),
                tagging(instance, &[tags::RUNS]),
            ],
            Power::Terminate => {
                let mut calls = vec![PlannedCall::new("ec2:TerminateInstances", &forced)];
                if let Some(request) = &instance.spot_request {
                    let request = [("SpotInstanceRequestIds", request.as_str())];
                    calls.push(PlannedCall::new("ec2:CancelSpotInstanceRequests", &request));
                }
                if instance.end_is_scheduled() {
                    let name = format!("{PREFIX}{}", instance.id);
                    calls.push(PlannedCall::new("scheduler:DeleteSchedule", &[("Name", &name)]));
                }
                calls
            }
        }
    }

    /// What makes the AMI of an image that starts from its disk, where there is none yet.
    pub fn planned_disk(&self, image: &Image) -> Vec<PlannedCall> {
        let of = [("Image", image.sha256.as_str())];
        let names = [
            "ebs:StartSnapshot",
            "ebs:PutSnapshotBlock",
            "ebs:CompleteSnapshot",
            "ec2:RegisterImage",
        ];
        names.map(|name| PlannedCall::new(name, &of)).to_vec()
    }

    /// What makes the bucket, or that nothing will.
    fn planned_bucket(&self, bucket: &str, make: bool) -> Vec<PlannedCall> {
        if !make {
            let text = format!("bucket `{bucket}` does not exist, and is not to be made");
            self.tell(Event::Warning { text });
            return Vec::new();
        }
        let names = ["s3:CreateBucket", "s3:PutPublicAccessBlock", "s3:PutLifecycleConfiguration"];
        names.map(|name| PlannedCall::new(name, &[("Bucket", bucket)])).to_vec()
    }

    /// The RunInstances of an attempt.
    pub fn planned_launch(&self, attempt: &Attempt) -> PlannedCall {
        let request = attempt.request(self.ec2(), &attempt.token);
        let input = request.as_input();
        let mut parameters = Vec::new();
        let mut say = |key: &str, value: Option<String>| {
            parameters.extend(value.map(|value| (key.to_owned(), value)));
        };
        let count = |count: &Option<i32>| count.map(|count| count.to_string());
        say("ImageId", input.get_image_id().clone());
        say("InstanceType", input.get_instance_type().as_ref().map(|name| name.to_string()));
        say("MinCount", count(input.get_min_count()));
        say("MaxCount", count(input.get_max_count()));
        say("ClientToken", input.get_client_token().clone());
        say("SubnetId", input.get_subnet_id().clone());
        let zone = input.get_placement().as_ref().and_then(|place| place.availability_zone.clone());
        say("Placement.AvailabilityZone", zone);
        for interface in input.get_network_interfaces().iter().flatten() {
            say("NetworkInterface.SubnetId", interface.subnet_id.clone());
            let address = interface.associate_public_ip_address.map(|yes| yes.to_string());
            say("NetworkInterface.AssociatePublicIpAddress", address);
        }
        let groups = input.get_security_group_ids().as_ref().map(|groups| groups.join(","));
        say("SecurityGroupIds", groups);
        let metadata = input.get_metadata_options().as_ref();
        let tokens = metadata.and_then(|metadata| metadata.http_tokens.as_ref());
        say("MetadataOptions.HttpTokens", tokens.map(|tokens| tokens.to_string()));
        let end = input.get_instance_initiated_shutdown_behavior().as_ref();
        say("InstanceInitiatedShutdownBehavior", end.map(|end| end.to_string()));
        let market = input.get_instance_market_options().as_ref();
        let market = market.and_then(|market| market.market_type.as_ref());
        say("InstanceMarketOptions.MarketType", market.map(|market| market.to_string()));
        let cpu = input.get_cpu_options().as_ref();
        let nested = cpu.and_then(|cpu| cpu.nested_virtualization.as_ref());
        say("CpuOptions.NestedVirtualization", nested.map(|nested| nested.to_string()));
        let encoded = input.get_user_data().as_ref().map(|data| data.len());
        say("UserData", encoded.map(|size| format!("{size} bytes of base64, below")));
        let tagged = input.get_tag_specifications().iter().flatten();
        say("TagSpecifications", Some(tagged.map(tagged_kind).collect::<Vec<_>>().join(",")));
        PlannedCall { name: "ec2:RunInstances", parameters }
    }

    /// The schedule that would end the instance, if one would.
    pub fn planned_end(&self, attempt: &Attempt, role: Option<&str>) -> Option<PlannedCall> {
        let expires = crate::tags::time(&attempt.tags, crate::tags::EXPIRES)?;
        let name = format!("{PREFIX}<instance id>");
        let parameters = [
            ("Name", name.as_str()),
            ("ScheduleExpression", &crate::expiry::at(expires)),
            ("RoleArn", role?),
            ("ActionAfterCompletion", "DELETE"),
        ];
        Some(PlannedCall::new("scheduler:CreateSchedule", &parameters))
    }
}

fn tagged_kind(tagged: &TagSpecification) -> String {
    tagged.resource_type.as_ref().map(|kind| kind.to_string()).unwrap_or_default()
}

/// Setting tags of these keys on an instance.
fn tagging(instance: &Instance, keys: &[&str]) -> PlannedCall {
    let resources = ("Resources", instance.id.as_str());
    PlannedCall::new("ec2:CreateTags", &[resources, ("Tags", &keys.join(", "))])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use l4re_image::{Arch, Kind};

    use super::Power;
    use crate::attempt::{LaunchOptions, Market, attempts};
    use crate::publish::Object;
    use crate::testing::{ami, image, prepared};

    #[tokio::test]
    async fn the_call_is_shown_as_it_would_be_sent() {
        let prepared = prepared(&["m7g.metal"], &[ami("arm64")]);
        let object = Object::at_url("http://host/l4re/x?X-Amz-Signature=secret", None);
        let options = LaunchOptions {
            market: Market::Spot,
            expires: Some("2026-11-01T12:00:00Z".parse().unwrap()),
            ..LaunchOptions::default()
        };
        let image = image(Arch::Arm64, Kind::Efi);
        let now = Timestamp::UNIX_EPOCH;
        let attempts = attempts(&prepared, &image, &object, &options, now).unwrap();
        let (cloud, _) = crate::testing::connect("http://127.0.0.1:1").await;
        let call = cloud.planned_launch(&attempts[0]);
        let shown = |key: &str| {
            let found = call.parameters.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(shown("ImageId"), Some("ami-arm64"));
        assert_eq!(shown("InstanceType"), Some("m7g.metal"));
        assert_eq!(shown("ClientToken"), Some(attempts[0].token.as_str()));
        assert_eq!(shown("InstanceMarketOptions.MarketType"), Some("spot"));
        assert!(shown("TagSpecifications").unwrap().contains("spot-instances-request"));
        assert!(!format!("{call:?}").contains("secret"));
        assert_eq!(cloud.planned_end(&attempts[0], None), None);
        let end = cloud.planned_end(&attempts[0], Some("arn:aws:iam::1:role/r")).unwrap();
        assert!(format!("{end:?}").contains("at(2026-11-01T12:00:00)"));
    }

    #[tokio::test]
    async fn what_would_end_an_instance_ends_what_belongs_to_it() {
        let tag = aws_sdk_ec2::types::Tag::builder().key("l4re:schedule").value("yes").build();
        let found = aws_sdk_ec2::types::Instance::builder()
            .instance_id("i-1")
            .spot_instance_request_id("sir-1")
            .tags(tag)
            .build();
        let instance = crate::instance::Instance::from_ec2(&found).unwrap();
        let (cloud, _) = crate::testing::connect("http://127.0.0.1:1").await;
        let names = |power| -> Vec<&str> {
            cloud.planned_power(power, &instance).iter().map(|call| call.name).collect()
        };
        assert_eq!(
            names(Power::Terminate),
            [
                "ec2:TerminateInstances",
                "ec2:CancelSpotInstanceRequests",
                "scheduler:DeleteSchedule"
            ]
        );
        assert_eq!(names(Power::Start), ["ec2:StartInstances"]);
    }

    #[tokio::test]
    async fn another_image_is_noted_before_the_machine_starts() {
        let found = aws_sdk_ec2::types::Instance::builder().instance_id("i-1");
        let of = async |next: Option<&str>, image: Option<&str>| {
            let tag = |key: &str, value: &str| {
                aws_sdk_ec2::types::Tag::builder().key(key).value(value).build()
            };
            let tags = next.map(|next| tag("l4re:next", next));
            let tags = tags.into_iter().chain(image.map(|image| tag("l4re:image", image)));
            let found = found.clone().set_tags(Some(tags.collect())).build();
            let warm = crate::warm::Warm {
                instance: crate::instance::Instance::from_ec2(&found).unwrap(),
                machine: crate::testing::machine("m7g.metal"),
                firmware: crate::types::BootMode::Uefi,
            };
            let (cloud, _) = crate::testing::connect("http://127.0.0.1:1").await;
            let calls = cloud.planned_redeploy(&warm);
            calls.iter().map(|call| call.name.split_once(':').unwrap().1).collect::<Vec<_>>()
        };
        assert_eq!(
            of(None, Some("ab")).await,
            [
                "CreateTags",
                "StopInstances",
                "CreateTags",
                "ModifyInstanceAttribute",
                "CreateTags",
                "StartInstances"
            ]
        );
        let slot = Some("pics/l4re/next/1/next.ipxe");
        assert_eq!(of(slot, None).await, ["CreateTags", "PutObject", "CreateTags"]);
        let again = ["CreateTags", "PutObject", "RebootInstances", "CreateTags"];
        assert_eq!(of(slot, Some("ab")).await, again);
    }
}
