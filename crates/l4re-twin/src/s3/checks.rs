//! Checksums of what is uploaded: MD5 for the entity tag, and whichever of S3's others the
//! client names, in a header or in a trailer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// The sums that S3 stores with an object, base64 (of a composite: with `-parts`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// An answer that names the sums of an object or of a part.
pub(crate) trait Summed: Sized {
    /// One that says nothing else.
    fn with(sums: Sums) -> Self;
}

macro_rules! summed {
    ($($answer:ident),*) => {
        $(impl Summed for s3s::dto::$answer {
            fn with(sums: Sums) -> Self {
                Self {
                    checksum_crc32: sums.crc32,
                    checksum_crc32c: sums.crc32c,
                    checksum_crc64nvme: sums.crc64nvme,
                    checksum_sha1: sums.sha1,
                    checksum_sha256: sums.sha256,
                    ..Self::default()
                }
            }
        })*
    };
}

summed!(
    Checksum,
    CompleteMultipartUploadOutput,
    CopyObjectResult,
    HeadObjectOutput,
    Part,
    PutObjectOutput,
    UploadPartOutput
);

impl Sums {
    /// Field by field with its name in headers.
    fn named(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("crc32", &self.crc32),
            ("crc32c", &self.crc32c),
            ("crc64nvme", &self.crc64nvme),
            ("sha1", &self.sha1),
            ("sha256", &self.sha256),
        ]
    }

    fn named_mut(&mut self) -> [(&'static str, &mut Option<String>); 5] {
        [
            ("crc32", &mut self.crc32),
            ("crc32c", &mut self.crc32c),
            ("crc64nvme", &mut self.crc64nvme),
            ("sha1", &mut self.sha1),
            ("sha256", &mut self.sha256),
        ]
    }

    /// Takes what the request's trailers say.
    pub(crate) fn read_trailers(&mut self, trailers: &http::HeaderMap) {
        for (name, sum) in self.named_mut() {
            let value = trailers.get(format!("x-amz-checksum-{name}"));
            if let Some(text) = value.and_then(|value| value.to_str().ok()) {
                *sum = Some(text.to_owned());
            }
        }
    }

    /// The sum of the parts' sums, as S3 has it for objects made of parts.
    pub(crate) fn composite(parts: &[Self]) -> Self {
        let mut composite = Self::default();
        for (index, (name, sum)) in composite.named_mut().into_iter().enumerate() {
            let digests: Option<Vec<Vec<u8>>> = parts
                .iter()
                .map(|part| STANDARD.decode(part.named()[index].1.as_deref()?).ok())
                .collect();
            if let Some(digests) = digests.filter(|digests| !digests.is_empty()) {
                let mut hasher = hasher([name]);
                digests.iter().for_each(|digest| hasher.update(digest));
                let of_parts = Self::from(hasher.finalize());
                *sum = of_parts.named()[index].1.as_ref().map(|s| format!("{s}-{}", parts.len()));
            }
        }
        composite
    }
}

impl From<Checksum> for Sums {
    fn from(sum: Checksum) -> Self {
        Self {
            crc32: sum.checksum_crc32,
            crc32c: sum.checksum_crc32c,
            crc64nvme: sum.checksum_crc64nvme,
            sha1: sum.checksum_sha1,
            sha256: sum.checksum_sha256,
        }
    }
}

fn hasher<'a>(names: impl IntoIterator<Item = &'a str>) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    for name in names {
        match name {
            "crc32" => hasher.crc32 = Some(Default::default()),
            "crc32c" => hasher.crc32c = Some(Default::default()),
            "crc64nvme" => hasher.crc64nvme = Some(Default::default()),
            "sha1" => hasher.sha1 = Some(Default::default()),
            "sha256" => hasher.sha256 = Some(Default::default()),
            _ => {}
        }
    }
    hasher
}

/// Sums that grow with the upload.
pub(crate) struct Checks {
    md5: Md5,
    others: ChecksumHasher,
}

impl Checks {
    /// Computes MD5, the sums that are `claimed`, and the one of `algorithm`, `CRC32` say.
    pub(crate) fn new(claimed: &Sums, algorithm: Option<&str>) -> Self {
        let claimed = claimed.named().into_iter().filter(|(_, sum)| sum.is_some());
        let algorithm = algorithm.map(str::to_ascii_lowercase);
        let names = claimed.map(|(name, _)| name).chain(algorithm.as_deref());
        Self { md5: Md5::new(), others: hasher(names) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.others.update(bytes);
    }

    /// The MD5 sum in hexadecimal and the others, if all that is claimed is true.
    pub(crate) fn finish(
        self,
        claimed: &Sums,
        content_md5: Option<&str>,
    ) -> S3Result<(String, Sums)> {
        refuse_malformed(claimed, content_md5)?;
        let md5 = self.md5.finalize();
        if content_md5.is_some_and(|claim| claim != STANDARD.encode(md5)) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        let sums = Sums::from(self.others.finalize());
        for ((name, sum), (_, claim)) in sums.named().into_iter().zip(claimed.named()) {
            // A claim that was computed is compared; one in a trailer not announced is not.
            if let (Some(sum), Some(claim)) = (sum, claim)
                && sum != claim
            {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    name.to_ascii_uppercase()
                ));
            }
        }
        Ok((hex::encode(md5), sums))
    }
}

/// What can be no sum is refused as such, however the bytes are.
fn refuse_malformed(claimed: &Sums, content_md5: Option<&str>) -> S3Result<()> {
    let length = |sum: &str| STANDARD.decode(sum).ok().map(|bytes| bytes.len());
    if content_md5.is_some_and(|sum| length(sum) != Some(16)) {
        return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."));
    }
    let lengths = [4, 4, 8, 20, 32];
    for ((name, sum), own) in claimed.named().into_iter().zip(lengths) {
        // That of an object made of parts ends in their number.
        let whole = sum.as_deref().map(|sum| sum.split_once('-').map_or(sum, |(sum, _)| sum));
        if whole.is_some_and(|sum| length(sum) != Some(own)) {
            let message = format!("Value for x-amz-checksum-{name} header is invalid.");
            return Err(s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidRequest, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(claimed: &Sums, algorithm: Option<&str>) -> S3Result<(String, Sums)> {
        let mut checks = Checks::new(claimed, algorithm);
        checks.update(b"hel");
        checks.update(b"lo");
        checks.finish(claimed, Some("XUFAKrxLKna5cZ2REBfFkg=="))
    }

    #[test]
    fn what_is_claimed_must_be_true() {
        let (md5, sums) = sum(&Sums::default(), Some("CRC32")).unwrap();
        assert_eq!(md5, "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(sums.crc32.as_deref(), Some("NhCmhg=="));
        let wrong = Sums { crc32: Some("AAAAAA==".to_owned()), ..Sums::default() };
        assert_eq!(sum(&wrong, None).unwrap_err().code().as_str(), "BadDigest");
        let malformed = Sums { sha256: Some("AAAA".to_owned()), ..Sums::default() };
        assert_eq!(sum(&malformed, None).unwrap_err().code().as_str(), "InvalidRequest");
        let short = Checks::new(&Sums::default(), None).finish(&Sums::default(), Some("foo"));
        assert_eq!(short.unwrap_err().code().as_str(), "InvalidDigest");
    }

    #[test]
    fn a_composite_is_the_sum_of_the_parts_sums() {
        let (_, part) = sum(&Sums::default(), Some("SHA256")).unwrap();
        let whole = Sums::composite(&[part.clone(), part]);
        assert!(whole.sha256.unwrap().ends_with("-2"));
        assert_eq!(whole.crc32, None);
    }
}
