//! What the bootstrapper prints about the image that it is part of: the proof that what
//! runs is what was built.

/// The image as it names itself on the console. Times are as `l4image` wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageInfo {
    /// `L4Image sequence info`, without `#`.
    pub sequence: Option<String>,
    /// `L4Image creation info`.
    pub created: Option<String>,
    /// `Bootstrap build info`.
    pub bootstrap_built: Option<String>,
    /// The sum of the image that the boot script fetches: `image=` of `l4re: start`.
    pub sha256: Option<String>,
    /// What comparing the sum gave: `sum=` of `l4re: verify` (`ok`, `unchecked`, `unknown`).
    pub verified: Option<String>,
}

/// Whether an image that runs is the one that was built.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Agreement {
    /// All that both say is the same.
    Same {
        /// What that is.
        by: Vec<&'static str>,
    },
    /// They say different things.
    Different {
        /// Of what.
        what: &'static str,
        /// What the console says.
        runs: String,
        /// What the image's file says.
        built: String,
    },
    /// They have nothing in common to be compared.
    Unknown,
}

impl ImageInfo {
    /// Compares what the console said with what the image's file says.
    ///
    /// A sum is shown in part, and stands for the whole. What else is shown in part only, or has
    /// something in it that does not belong there, proves nothing.
    #[must_use]
    pub fn agreement_with(&self, built: &Self) -> Agreement {
        let facts = [
            ("sum", &self.sha256, &built.sha256),
            ("number", &self.sequence, &built.sequence),
            ("time", &self.created, &built.created),
            ("bootstrapper's time", &self.bootstrap_built, &built.bootstrap_built),
        ];
        let mut by = Vec::new();
        for (what, runs, built) in facts {
            let (Some(runs), Some(built)) = (runs, built) else { continue };
            let is_sum = runs.len() >= 16 && runs.bytes().all(|byte| byte.is_ascii_hexdigit());
            match what {
                "sum" if !is_sum => continue,
                // What the script was to fetch is no proof where it could not compare.
                "sum" if built.starts_with(runs.as_str()) => {
                    if self.verified.as_deref() != Some("ok") {
                        continue;
                    }
                }
                _ if runs == built => {}
                // Cut off, as by a gap.
                _ if built.starts_with(runs.as_str()) => continue,
                _ if what != "sum" && !same_shape(runs, built) => continue,
                _ => {
                    let (runs, built) = (runs.clone(), built.clone());
                    return Agreement::Different { what, runs, built };
                }
            }
            by.push(what);
        }
        if by.is_empty() { Agreement::Unknown } else { Agreement::Same { by } }
    }
}

/// Whether both are numbers, or have their digits in the same places: other shapes come of
/// bytes that were lost or that something else printed meanwhile.
fn same_shape(runs: &str, built: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let shape = |text: &str| text.replace(|digit: char| digit.is_ascii_digit(), "0");
    match is_number(built) {
        true => is_number(runs),
        false => shape(runs) == shape(built),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(sum: &str, sequence: &str) -> ImageInfo {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let verified = some("ok");
        ImageInfo { sha256: some(sum), sequence: some(sequence), verified, ..ImageInfo::default() }
    }

    #[test]
    fn what_both_say_is_compared() {
        let sum = "0123456789abcdef".repeat(4);
        let built = info(&sum, "17");
        let same = |by: &[&'static str]| Agreement::Same { by: by.to_vec() };
        assert_eq!(info(&sum[..32], "17").agreement_with(&built), same(&["sum", "number"]));
        let unchecked = ImageInfo { verified: Some("unchecked".into()), ..info(&sum, "17") };
        assert_eq!(unchecked.agreement_with(&built), same(&["number"]));
        assert_eq!(info("unknown", "17").agreement_with(&built), same(&["number"]));
        assert_eq!(info("", "").agreement_with(&built), Agreement::Unknown);
        assert_eq!(info("", "1").agreement_with(&built), Agreement::Unknown, "cut off");
        for mangled in ["1x7", "17BdsDxe: loading", "17 17"] {
            assert_eq!(info("", mangled).agreement_with(&built), Agreement::Unknown, "{mangled}");
        }
        let dated = |text: &str| ImageInfo { created: Some(text.into()), ..ImageInfo::default() };
        let dates = ["2026-11-24 00:43:51 UTC+0000", "2026-11-24 00:43:52 UTC+0000"].map(dated);
        assert!(matches!(dates[0].agreement_with(&dates[1]), Agreement::Different { .. }));
        let lost = dated("2026-11-24 0:43:52 UTC+0000");
        assert_eq!(lost.agreement_with(&dates[1]), Agreement::Unknown);
        let other = info("", "170").agreement_with(&built);
        assert!(matches!(other, Agreement::Different { .. }), "longer: {other:?}");
        let other = info(&sum[..32], "16").agreement_with(&built);
        let want = Agreement::Different { what: "number", runs: "16".into(), built: "17".into() };
        assert_eq!(other, want);
        let other = info("fedcba9876543210", "17").agreement_with(&built);
        assert!(matches!(other, Agreement::Different { what: "sum", .. }), "{other:?}");
    }
}
