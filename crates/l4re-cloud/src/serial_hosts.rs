//! The hosts of EC2's serial console, and the keys by which they are known.
//!
//! From "EC2 Serial Console endpoints and fingerprints" of the EC2 user guide (as of late 2025),
//! whole. A region that is newer than this table has no key here: it is trusted on first use,
//! under the names of its partition. All newer names end in the partition's suffix for both IP
//! versions, as the SDK's table of partitions has it.

use crate::serial::SerialEndpoint;

/// How a host's name is made of its region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Older,
    Newer,
    China,
    GovCloud,
    Sovereign,
}

use Form::{China, GovCloud, Newer, Older, Sovereign};

/// Region, form of the name, and the SHA-256 fingerprint of the host's key.
const HOSTS: [(&str, Form, &str); 38] = [
    ("af-south-1", Newer, "RMWWZ2fVePeJUqzjO5jL2KIgXsczoHlz21Ed00biiWI"),
    ("ap-east-1", Newer, "T0Q1lpiXxChoZHplnAkjbP7tkm2xXViC9bJFsjYnifk"),
    ("ap-east-2", Newer, "z1rsF5DE8aQqsHwBr/D40tR2GnyMqnScCUa1z1eFwDQ"),
    ("ap-northeast-1", Older, "RQfsDCZTOfQawewTRDV1t9Em/HMrFQe+CRlIOT5um4k"),
    ("ap-northeast-2", Older, "FoqWXNX+DZ++GuNTztg9PK49WYMqBX+FrcZM2dSrqrI"),
    ("ap-northeast-3", Newer, "Am0/jiBKBnBuFnHr9aXsgEV3G8Tu/vVHFXE/3UcyjsQ"),
    ("ap-south-1", Older, "oBLXcYmklqHHEbliARxEgH8IsO51rezTPiSM35BsU40"),
    ("ap-south-2", Newer, "WJgPBSwV4/shN+OPITValoewAuYj15DVW845JEhDKRs"),
    ("ap-southeast-1", Older, "PLFNn7WnCQDHx3qmwLu1Gy/O8TUX7LQgZuaC6L45CoY"),
    ("ap-southeast-2", Older, "yFvMwUK9lEUQjQTRoXXzuN+cW9/VSe9W984Cf5Tgzo4"),
    ("ap-southeast-3", Newer, "5ZwgrCh+lfns32XITqL/4O0zIfbx4bZgsYFqy3o8mIk"),
    ("ap-southeast-4", Newer, "Avaq27hFgLvjn5gTSShZ0oV7h90p0GG46wfOeT6ZJvM"),
    ("ap-southeast-5", Newer, "cQXTHQMRcqRdIjmAGoAMBSExeoRobYyRwT67yTjnEiA"),
    ("ap-southeast-6", Newer, "wNltdH0gVfM5uHJKjrw+ElFuKoJgalcSKqjCS+lLkv4"),
    ("ap-southeast-7", Newer, "KCAZiRYrR1Q2lqsg7vTwixWmvc2wmjVT31XRgSdEfDY"),
    ("ca-central-1", Older, "P2O2jOZwmpMwkpO6YW738FIOTHdUTyEv2gczYMMO7s4"),
    ("ca-west-1", Newer, "s3rc8lI2xhbhr3iedjJNxGAFLPGOLjx7IxxXrGckk6Q"),
    ("cn-north-1", China, "2gHVFy4H7uU3+WaFUxD28v/ggMeqjvSlgngpgLgGT+Y"),
    ("cn-northwest-1", China, "TdgrNZkiQOdVfYEBUhO4SzUA09VWI5rYOZGTogpwmiM"),
    ("eu-central-1", Older, "aCMFS/yIcOdOlkXvOl8AmZ1Toe+bBnrJJ3Fy0k0De2c"),
    ("eu-central-2", Newer, "8Ppx2mBMf6WdCw0NUlzKfwM4/IfRz4OaXFutQXWp6mk"),
    ("eu-north-1", Older, "tkGFFUVUDvocDiGSS3Cu8Gdl6w2uI32EPNpKFKLwX84"),
    ("eu-south-1", Newer, "lC0kOVJnpgFyBVrxn0A7n99ecLbXSX95cuuS7X7QK30"),
    ("eu-south-2", Newer, "GoCW2DFRlu669QNxqFxEcsR6fZUz/4F4n7T45ZcwoEc"),
    ("eu-west-1", Older, "h2AaGAWO4Hathhtm6ezs3Bj7udgUxi2qTrHjZAwCW6E"),
    ("eu-west-2", Older, "a69rd5CE/AEG4Amm53I6lkD1ZPvS/BCV3tTPW2RnJg8"),
    ("eu-west-3", Older, "q8ldnAf9pymeNe8BnFVngY3RPAr/kxswJUzfrlxeEWs"),
    ("il-central-1", Newer, "JR6q8v6kNNPi8+QSFQ4dj5dimNmZPTgwgsM1SNvtYyU"),
    ("me-central-1", Newer, "zpb5duKiBZ+l0dFwPeyykB4MPBYhI/XzXNeFSDKBvLE"),
    ("me-south-1", Newer, "nPjLLKHu2QnLdUq2kVArsoK5xvPJOMRJKCBzCDqC3k8"),
    ("mx-central-1", Newer, "BCuVl13iQNk+CcVnt18Ef4p2ZHUrBBAOxlFetB32GS0"),
    ("sa-east-1", Older, "rd2+/32Ognjew1yVIemENaQzC+Botbih62OqAPDq1dI"),
    ("us-east-1", Older, "dXwn5ma/xadVMeBZGEru5l2gx+yI5LDiJaLUcz0FMmw"),
    ("us-east-2", Older, "EhwPkTzRtTY7TRSzz26XbB0/HvV9jRM7mCZN0xw/d/0"),
    ("us-gov-east-1", GovCloud, "tIwe19GWsoyLClrtvu38YEEh+DHIkqnDcZnmtebvF28"),
    ("us-gov-west-1", GovCloud, "kfOFRWLaOZfB+utbd3bRf8OlPf8nGO2YZLqXZiIw5DQ"),
    ("us-west-1", Older, "OHldlcMET8u7QLSX3jmRTRAPFHVtqbyoLZBMUCqiH3Y"),
    ("us-west-2", Older, "EMCIe23TqKaBI6yGHainqZcMwqNkDhhAVHa1O2JxVUc"),
];

/// All regions of the table.
pub(crate) fn regions() -> impl Iterator<Item = &'static str> {
    HOSTS.iter().map(|(region, ..)| *region)
}

/// The hosts of a region, the likeliest first.
pub(crate) fn endpoints(region: &str) -> Vec<SerialEndpoint> {
    let known = HOSTS.iter().find(|(name, ..)| *name == region);
    let forms: &[Form] = match known {
        Some((_, Older, _)) => &[Older, Newer],
        Some((_, China, _)) => &[China],
        Some((_, GovCloud, _)) => &[GovCloud, Newer],
        None if region.starts_with("cn-") => &[China],
        None if region.starts_with("us-gov-") => &[Newer, GovCloud],
        None if region.starts_with("eusc-") => &[Sovereign],
        Some((_, Newer | Sovereign, _)) | None => &[Newer, Older],
    };
    let fingerprints: Vec<String> = known.map(|(.., key)| (*key).to_owned()).into_iter().collect();
    let endpoint = |form: &Form| SerialEndpoint {
        host: host(*form, region),
        port: 22,
        fingerprints: fingerprints.clone(),
    };
    forms.iter().map(endpoint).collect()
}

fn host(form: Form, region: &str) -> String {
    match form {
        Older => format!("serial-console.ec2-instance-connect.{region}.aws"),
        Newer => format!("ec2-serial-console.{region}.api.aws"),
        China => format!("ec2-serial-console.{region}.api.amazonwebservices.com.cn"),
        Sovereign => format!("ec2-serial-console.{region}.api.amazonwebservices.eu"),
        GovCloud => format!("serial-console.ec2-instance-connect.{region}.amazonaws.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(region: &str) -> Vec<String> {
        endpoints(region).into_iter().map(|endpoint| endpoint.host).collect()
    }

    #[test]
    fn hosts_by_region() {
        assert_eq!(
            hosts("sa-east-1"),
            [
                "serial-console.ec2-instance-connect.sa-east-1.aws",
                "ec2-serial-console.sa-east-1.api.aws"
            ]
        );
        assert_eq!(hosts("eu-south-2")[0], "ec2-serial-console.eu-south-2.api.aws");
        assert_eq!(hosts("xy-new-9")[0], "ec2-serial-console.xy-new-9.api.aws");
        let gov = "serial-console.ec2-instance-connect.us-gov-west-1.amazonaws.com";
        assert_eq!(hosts("us-gov-west-1")[0], gov);
        assert_eq!(hosts("us-gov-new-9")[0], "ec2-serial-console.us-gov-new-9.api.aws");
        let sovereign = "ec2-serial-console.eusc-de-east-1.api.amazonwebservices.eu";
        assert_eq!(hosts("eusc-de-east-1"), [sovereign]);
        let china = "ec2-serial-console.cn-north-1.api.amazonwebservices.com.cn";
        assert_eq!(hosts("cn-north-1"), [china]);
        assert_eq!(hosts("cn-new-9").len(), 1);
    }

    #[test]
    fn published_keys_are_pinned_and_newer_regions_are_not() {
        let key = "tkGFFUVUDvocDiGSS3Cu8Gdl6w2uI32EPNpKFKLwX84";
        for endpoint in endpoints("eu-north-1") {
            assert_eq!(endpoint.fingerprints, [key]);
        }
        assert!(endpoints("xy-new-9")[0].fingerprints.is_empty());
    }

    #[test]
    fn each_key_is_a_sha256_of_its_own() {
        let mut keys: Vec<_> = HOSTS.iter().map(|(.., key)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), HOSTS.len());
        assert!(keys.iter().all(|key| key.len() == 43), "32 bytes in base64 without padding");
    }
}
