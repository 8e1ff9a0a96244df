//! What stands behind errors of the cloud, and what to do about each: as words to type
//! wherever there are such.

use l4re_cloud::{CloudError, CutOff, Denied, PlanError, SerialError, quota_code};

use super::hint::did_you_mean;

const NAME_REGION: &str = "name one with `--region`, AWS_REGION, or `region` in the profile";

/// What stands behind an error, as further lines.
pub(super) fn causes(error: &CloudError) -> Vec<String> {
    let decision = match error {
        CloudError::AccessDenied(denied) => denied.decision.as_ref(),
        _ => None,
    };
    decision.map(ToString::to_string).into_iter().collect()
}

/// What to do about an error at AWS.
pub fn cloud_hints(error: &CloudError) -> Vec<String> {
    hints(error, "")
}

/// What to do about an error; `end` is what leads a command to the same end.
pub(super) fn hints(error: &CloudError, end: &str) -> Vec<String> {
    let hint = match error {
        CloudError::NoCredentials => {
            "`aws configure sso` or `aws configure` makes a profile, `--profile` or AWS_PROFILE \
             names one of `aws configure list-profiles`; `--local` needs no account"
        }
        CloudError::Expired { .. } => "`aws sso login` begins a new session",
        CloudError::BadCredentials { cause } => return credentials(cause),
        CloudError::Throttled { .. } | CloudError::TimedOut { .. } => {
            "try again in a while: what was begun is found and goes on"
        }
        CloudError::Stalled { .. } => {
            "look at the line to the store, and try again: nothing half-made was left there"
        }
        CloudError::NetworkUnreachable { .. } => {
            "look at the network and at AWS_ENDPOINT_URL; `--local` needs neither"
        }
        CloudError::BadOption { what: "endpoint", .. } => {
            "unset the variable, or set it to an address"
        }
        CloudError::Capacity(_) => "name further types with `--type TYPE`, or try again later",
        CloudError::NoRegion => {
            "name one with `--region`, AWS_REGION, or `region` in the profile (`aws configure \
             list-profiles` lists them, `--profile` or AWS_PROFILE names one)"
        }
        CloudError::NoProfile { nearest, .. } => return profile(nearest),
        CloudError::BadRegion { nearest, .. } => return region(nearest),
        CloudError::AccessDenied(denied) => return self::denied(denied),
        CloudError::Account { code, .. } => account(code),
        CloudError::NoSubnet { region, zones } => return no_subnet(region, zones),
        CloudError::NotInZone { .. } => {
            "leave `--zone` out to try all of them, or name other types with `--type TYPE`"
        }
        CloudError::NotOffered { .. } => "name others with `--type TYPE`, or use another region",
        CloudError::Quota { instance_type, code, .. } => {
            return quota(instance_type.as_deref(), code);
        }
        CloudError::UserDataTooLarge { .. } => "shorten `--command-line`",
        CloudError::BadOption { what: "command line", .. } => {
            "an iPXE hands one over: `--boot ipxe`"
        }
        CloudError::Script { field: "the image's URL", .. } => {
            return vec![format!("`cargo l4re upload{end} IMAGE` uploads one and prints its URL")];
        }
        CloudError::Plan(error) => return plan(error),
        CloudError::Serial(SerialError::Disabled { region }) => {
            return vec![format!(
                "an administrator can allow it: aws ec2 enable-serial-console-access --region {region}"
            )];
        }
        _ => return about_one(error, end),
    };
    vec![hint.to_owned()]
}

/// The same for errors about one bucket, instance or AMI.
fn about_one(error: &CloudError, end: &str) -> Vec<String> {
    let hint = match error {
        CloudError::NoSuchBucket { bucket, .. } => {
            return vec![
                format!("`--make-bucket` makes {bucket}"),
                "or name another: `--bucket NAME`, or `bucket = \"NAME\"` in the settings"
                    .to_owned(),
            ];
        }
        CloudError::AlreadyRunning(running) => {
            return vec![
                format!("its console: cargo l4re console{end} {}", running.name),
                format!("its end: cargo l4re rm{end} {}", running.name),
                "or launch another one beside it: `--name NAME`".to_owned(),
            ];
        }
        CloudError::NotFound { gone, nearest, .. } => return not_found(gone.as_deref(), nearest),
        CloudError::NoSuchAmi { .. } => {
            format!("`cargo l4re ami list{end}` lists what there is")
        }
        CloudError::SpotCannotStop { name, .. } => {
            format!("`cargo l4re rm{end} {name}` ends it")
        }
        CloudError::WrongFirmware { boots, .. } => {
            format!("`--kind {}` builds that", boots.to_string().to_lowercase())
        }
        _ => return Vec::new(),
    };
    vec![hint]
}

fn plan(error: &PlanError) -> Vec<String> {
    let hint = match error {
        PlanError::NoUefi { disk: true, .. } => {
            "leave `--boot disk` out: iPXE fetches an ELF image, which boots there"
        }
        PlanError::NoUefi { disk: false, .. } => {
            "`cargo l4re elfimage ENTRY` builds the ELF image; `deploy ENTRY --metal` does so by itself"
        }
        PlanError::NoBios { .. } => "`cargo l4re efiimage ENTRY` builds the EFI image",
        PlanError::NoOwnAmi { .. } => {
            return vec![
                "`cargo l4re ami build --ipxe FILE` makes one of a UEFI iPXE's EFI binary"
                    .to_owned(),
                "or start the image from a disk: `--boot disk`".to_owned(),
                "or launch the ELF image: `--kind elf`, or one from `cargo l4re elfimage`"
                    .to_owned(),
            ];
        }
        PlanError::NoDiskAmi => "`cargo l4re ami build IMAGE` makes one",
        PlanError::ElfOnDisk => "`--boot ipxe`, or build the EFI image: `--kind efi`",
        PlanError::NoOfficialAmi { disk: true, .. } => {
            "use another region, or start the image from a disk: `--boot disk`"
        }
        PlanError::NoOfficialAmi { disk: false, .. } => "use another region",
        PlanError::ImdsV2Enforced { .. } => {
            return vec![
                "an iPXE that speaks it makes an AMI: `cargo l4re ami build --ipxe FILE --imds-v2`"
                    .to_owned(),
                "or start an EFI image from a disk, which asks for no metadata: `--boot disk`"
                    .to_owned(),
            ];
        }
        PlanError::NoMachine => "name types with `--type TYPE`, or use another region",
        PlanError::NoSpot { .. } => "leave `--spot` out, or name other types with `--type TYPE`",
        PlanError::CutOff { why, vpc, table, region, .. } => {
            return cut_off(*why, vpc.as_deref(), table.as_deref(), region);
        }
        PlanError::NoNested { .. } => {
            "types that have it: c7i, c8i, m7i, m8i, r7i, r8i and their -flex kin, such as \
             `--type c7i-flex.large`"
        }
        PlanError::ArchMismatch { .. } => {
            "leave `--type` out for a machine that fits the image, or build for that machine (`--arch`)"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// What leads a machine to its image, or says that something does.
fn cut_off(why: CutOff, vpc: Option<&str>, table: Option<&str>, region: &str) -> Vec<String> {
    let (vpc, table) = (vpc.unwrap_or("VPC"), table.unwrap_or("ROUTE-TABLE"));
    let endpoint = format!(
        "or give its VPC S3's own endpoint, which is free: aws ec2 create-vpc-endpoint --region \
         {region} --vpc-id {vpc} --service-name com.amazonaws.{region}.s3 --route-table-ids {table}"
    );
    let first = match why {
        CutOff::NoRoute => "name another subnet: `--subnet ID`",
        CutOff::NoAddress => "let it have an address: `--config public-address=true`",
        CutOff::Unknown => {
            return vec![
                "have ec2:DescribeRouteTables granted: `cargo l4re doctor --policy`".to_owned(),
                "or say what holds: `--config public-address=false` where NAT or an endpoint of \
                 S3 is there, `--config public-address=true` where only an internet gateway is"
                    .to_owned(),
            ];
        }
    };
    let elsewhere = "or, where machines reach the store in another way, say which: \
                     `--config fetch-endpoint=http://HOST`";
    vec![first.to_owned(), endpoint, elsewhere.to_owned()]
}

fn credentials(cause: &str) -> Vec<String> {
    let hint = if cause.contains("Skewed") || cause.contains("clock") {
        "set the clock: `timedatectl set-ntp true`"
    } else if cause.contains("region") {
        NAME_REGION
    } else {
        "`aws sts get-caller-identity` should say who you are: look at the profile and its keys"
    };
    vec![hint.to_owned()]
}

fn not_found(gone: Option<&str>, nearest: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(id) = gone {
        hints.push(format!("{id} had that name and is terminated: it can only be launched anew"));
    }
    hints.extend(did_you_mean(nearest));
    hints.push("`cargo l4re ps` lists what there is (`--local`: on the twin)".to_owned());
    hints
}

/// Who can grant what was denied, and how.
fn denied(denied: &Denied) -> Vec<String> {
    let decision = denied.decision.as_ref();
    let says = |word: &str| denied.cause.contains(word);
    let mut hints = Vec::new();
    if says("service control policy") || says("resource control policy") {
        hints.push("the organisation denies it: ask who manages its policies".to_owned());
    } else if says("explicit deny") || decision.is_some_and(|decision| decision.explicit_deny) {
        let text = "a deny outweighs whatever is granted: ask who manages the policy to take \
                    this out of it";
        hints.push(text.to_owned());
    } else {
        let to = denied.principal.as_deref().map(|who| format!(" to {who}")).unwrap_or_default();
        hints.push(format!(
            "`cargo l4re doctor --policy` prints all rights that are needed: have them granted{to}"
        ));
    }
    if denied.encoded.is_some() && decision.is_none() {
        let text = "with the right to sts:DecodeAuthorizationMessage the reason would be shown";
        hints.push(text.to_owned());
    }
    hints
}

fn profile(nearest: &[String]) -> Vec<String> {
    let list = "`aws configure list-profiles` lists them, `aws configure --profile NAME` makes one";
    did_you_mean(nearest).into_iter().chain([list.to_owned()]).collect()
}

fn region(nearest: &[String]) -> Vec<String> {
    did_you_mean(nearest).into_iter().chain([NAME_REGION.to_owned()]).collect()
}

fn account(code: &str) -> &'static str {
    match code {
        "OptInRequired" => {
            "an administrator switches the region or the service on, in the account's settings"
        }
        "PendingVerification" => "AWS is looking at the account: try again in some hours",
        _ => "only AWS's support can help: https://console.aws.amazon.com/support",
    }
}

/// A subnet that is missing is made by one call of the aws command line.
fn no_subnet(region: &str, zones: &[String]) -> Vec<String> {
    let make = match zones.first() {
        None => format!("aws ec2 create-default-vpc --region {region}"),
        Some(zone) => format!("aws ec2 create-default-subnet --availability-zone {zone}"),
    };
    vec![format!("this makes one: {make}"), "or name a subnet: `--subnet ID`".to_owned()]
}

fn quota(instance_type: Option<&str>, code: &str) -> Vec<String> {
    let quota = instance_type.and_then(|name| quota_code(name, code.contains("Spot")));
    let ask = match quota {
        Some(quota) => format!(
            "ask for more: aws service-quotas request-service-quota-increase --service-code ec2 \
             --quota-code {quota} --desired-value PROCESSORS"
        ),
        None => "ask for more in the Service Quotas console".to_owned(),
    };
    vec![ask, "or name smaller machines with `--type TYPE`, or use another region".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use l4re_cloud::Decision;

    fn error(cause: &str, decision: Option<Decision>) -> CloudError {
        CloudError::AccessDenied(Box::new(Denied {
            action: "ec2:RunInstances".to_owned(),
            principal: Some("arn:aws:iam::1:user/ada".to_owned()),
            resource: None,
            cause: cause.to_owned(),
            encoded: Some("AbC".to_owned()),
            decision,
        }))
    }

    #[test]
    fn no_hint_is_what_was_typed() {
        let no_uefi = |disk| {
            let (instance_type, metal) = ("c5.metal".to_owned(), true);
            let error = PlanError::NoUefi { instance_type, metal, disk };
            hints(&CloudError::Plan(Box::new(error)), "").join("")
        };
        assert!(no_uefi(false).contains("deploy ENTRY --metal"));
        assert!(no_uefi(true).starts_with("leave `--boot disk` out"));
    }

    #[test]
    fn a_denial_names_its_cause_and_who_can_help() {
        let denied = error("m", None);
        assert!(causes(&denied).is_empty());
        let hints_of = |error| hints(error, "").join("\n");
        assert!(hints_of(&denied).contains("granted to arn:aws:iam::1:user/ada"));
        assert!(hints_of(&denied).contains("DecodeAuthorizationMessage"));
        let deny = Decision { explicit_deny: true, ..Decision::default() };
        let denied = error("m", Some(deny));
        assert_eq!(causes(&denied), ["a statement of a policy denies it"]);
        assert!(hints_of(&denied).contains("outweighs"), "{}", hints_of(&denied));
        let denied = error("no service control policy allows it", Some(Decision::default()));
        assert!(hints_of(&denied).contains("organisation"));
    }

    #[test]
    fn a_name_that_nobody_has_is_told_with_what_is_known() {
        let hints_of = |gone: Option<&str>, nearest: &[&str]| {
            let nearest: Vec<_> = nearest.iter().map(|name| (*name).to_owned()).collect();
            not_found(gone, &nearest).join("\n")
        };
        assert!(hints_of(Some("i-1"), &[]).starts_with("i-1 had that name and is terminated"));
        assert!(hints_of(None, &["hello"]).starts_with("did you mean `hello`?"));
        assert!(hints_of(None, &[]).starts_with("`cargo l4re ps`"));
    }

    #[test]
    fn a_subnet_that_is_cut_off_is_opened_by_what_can_be_typed() {
        let hints = cut_off(CutOff::NoRoute, Some("vpc-1"), Some("rtb-1"), "eu-north-1");
        assert!(hints[1].ends_with(
            "aws ec2 create-vpc-endpoint --region eu-north-1 --vpc-id vpc-1 --service-name \
             com.amazonaws.eu-north-1.s3 --route-table-ids rtb-1"
        ));
        assert!(cut_off(CutOff::Unknown, None, None, "r")[1].contains("public-address=false"));
    }

    #[test]
    fn quotas_subnets_and_regions_say_what_to_type() {
        let quota = CloudError::Quota {
            instance_type: Some("m7g.metal".to_owned()),
            code: "VcpuLimitExceeded".to_owned(),
            message: String::new(),
        };
        assert!(hints(&quota, "")[0].contains("--quota-code L-1216C47A"));
        let none = CloudError::NoSubnet { region: "eu-north-1".to_owned(), zones: Vec::new() };
        assert!(hints(&none, "")[0].ends_with("create-default-vpc --region eu-north-1"));
        let nearest = vec!["eu-central-1".to_owned()];
        let region = "eu-centrall-1".to_owned();
        let bad = CloudError::BadRegion { region, cause: String::new(), nearest };
        assert_eq!(hints(&bad, "")[0], "did you mean `eu-central-1`?");
    }
}
