//! What holds where no setting says otherwise.
//!
//! The schema says the same, from here.

use std::time::Duration;

use l4re_image::Arch;
use serde_json::Value;

use super::words::ArchKey;

/// Time to live of an instance.
pub const TTL: Duration = Duration::from_secs(2 * 60 * 60);
/// Time without work after which the twin ends itself.
pub const TWIN_IDLE: Duration = Duration::from_secs(30 * 60);

/// Instance types to try for a class and architecture, best first.
pub const fn types(arch: Arch, metal: bool) -> &'static [&'static str] {
    match (arch, metal) {
        (Arch::Arm64, true) => &["m7g.metal", "c7g.metal", "c6g.metal"],
        (Arch::Arm64, false) => &["c7g.medium", "m7g.medium"],
        (Arch::X86_64, true) => &["c5.metal", "m5.metal"],
        (Arch::X86_64, false) => &["c7i-flex.large", "m7i-flex.large"],
        _ => &[],
    }
}

/// The same for all architectures that EC2 has, by their keys.
pub fn all_types(metal: bool) -> Value {
    let arches = Arch::all().filter(|arch| !types(*arch, metal).is_empty());
    let pairs = arches.map(|arch| (ArchKey(arch).name().to_owned(), types(arch, metal).into()));
    Value::Object(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cloud")]
    #[test]
    fn each_type_has_a_price_without_asking() {
        for arch in Arch::all() {
            for name in types(arch, true).iter().chain(types(arch, false)) {
                assert!(l4re_cloud::price(name, "eu-central-1").is_some(), "{name}");
            }
        }
    }
}
