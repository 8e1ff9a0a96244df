//! The regions there are, and one that was mistyped, told apart from a network that is away.
//!
//! Invariant: no region is refused for being unknown here, as AWS opens new ones: only when
//! its hosts cannot be reached is it named, with those that are most like it.

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::serial_hosts::regions;

/// The regions that are known without asking: those of the published list of serial consoles.
pub fn known_regions() -> Vec<String> {
    regions().map(ToOwned::to_owned).collect()
}

impl Cloud {
    /// The regions that the account may use, by name.
    pub async fn regions(&self) -> Result<Vec<String>, CloudError> {
        let answer = self.call("ec2:DescribeRegions", self.ec2().describe_regions().send()).await?;
        let regions = answer.regions.unwrap_or_default().into_iter();
        let mut names: Vec<String> = regions.filter_map(|region| region.region_name).collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// Why a region cannot be used, with the known ones that are most like it.
pub(crate) fn unusable(region: &str, cause: String) -> CloudError {
    let nearest = l4re_image::nearest(region, regions());
    CloudError::BadRegion {
        region: region.to_owned(),
        cause,
        nearest: nearest.into_iter().map(ToOwned::to_owned).collect(),
    }
}

/// The error of a call, named after the region where that is what is likely to be wrong:
/// it is not known, and AWS's own hosts were asked.
pub(crate) fn blame(error: CloudError, region: &str, endpoint: Option<&str>) -> CloudError {
    match error {
        CloudError::NetworkUnreachable { cause, .. }
            if endpoint.is_none() && !regions().any(|known| known == region) =>
        {
            unusable(region, cause)
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> CloudError {
        let cause = "failed to lookup address".to_owned();
        CloudError::NetworkUnreachable { endpoint: "ec2".to_owned(), cause }
    }

    #[test]
    fn only_a_region_that_is_not_known_and_not_reached_is_blamed() {
        let code = |region, endpoint| blame(away(), region, endpoint).code();
        assert_eq!(code("eu-centrall-1", None), "bad-region");
        assert_eq!(code("eu-central-1", None), "network-unreachable");
        assert_eq!(code("garage", Some("http://127.0.0.1:1")), "network-unreachable");
        let other = CloudError::NoRegion;
        assert_eq!(blame(other, "eu-centrall-1", None).code(), "no-region");
    }

    #[test]
    fn the_nearest_come_first() {
        for (typed, meant) in [
            ("eu-centrall-1", "eu-central-1"),
            ("us-esat-1", "us-east-1"),
            ("eu-central1", "eu-central-1"),
            ("eu-west-9", "eu-west-1"),
        ] {
            let CloudError::BadRegion { nearest, .. } = unusable(typed, String::new()) else {
                panic!()
            };
            assert_eq!(nearest.first().map(String::as_str), Some(meant), "{typed}");
        }
    }
}
