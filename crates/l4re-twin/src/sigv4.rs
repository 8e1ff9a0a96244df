//! Checks AWS Signature Version 4 in the `Authorization` header, for the services that
//! s3s does not check itself (EC2, STS, EC2 Instance Connect).
//!
//! Invariant: a request reaches an action only if the HMAC over its canonical form, body
//! included, was made with this twin's secret no longer than 15 minutes ago.
//! Spec: "Signature Version 4 signing process", AWS General Reference.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// The twin's one pair of credentials.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

/// A request as far as its signature covers it.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Whether the operation is one of those whose bodies need not be signed.
    pub(crate) unsigned_body: bool,
}

/// What stands for the sum of a body that is not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The parts of an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let fields = value.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            fields.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = field("Credential")?.rsplitn(5, '/');
        if scope.next()? != "aws4_request" {
            return None;
        }
        let service = scope.next()?;
        let region = scope.next()?;
        let date = scope.next()?;
        Some(Self {
            access_key_id: scope.next()?,
            date,
            region,
            service,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }

    /// The service named in a request's headers, before anything is checked.
    pub(crate) fn service_of(headers: &HeaderMap) -> Option<String> {
        let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
        Authorization::parse(value).map(|authorization| authorization.service.to_owned())
    }
}

/// Refuses a request whose signature is missing, wrong, foreign or old.
pub(crate) fn verify(
    request: &Signed<'_>,
    credentials: &Credentials,
    regions: &[&str],
    now: jiff::Timestamp,
) -> Result<(), Fault> {
    let header = text(request.headers, "authorization").ok_or_else(|| {
        Fault::new(401, "MissingAuthenticationToken", "Request is missing Authentication Token")
    })?;
    let authorization = Authorization::parse(header).ok_or_else(|| {
        Fault::new(400, "IncompleteSignature", "the Authorization header is not of SigV4's form")
    })?;
    if authorization.access_key_id != credentials.access_key_id {
        return Err(Fault::new(
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        ));
    }
    if !regions.contains(&authorization.region) {
        return Err(Fault::new(
            400,
            "SignatureDoesNotMatch",
            format!("Credential should be scoped to region '{}'", regions.join("' or '")),
        ));
    }
    let stamp = fresh_stamp(request.headers, authorization.date, now)?;
    let secret = &credentials.secret_access_key;
    let mut right = false;
    for sum in body_sums(request)? {
        let signature = signature(request, &authorization, stamp, secret, &sum)?;
        right |= same(signature.as_bytes(), authorization.signature.as_bytes());
    }
    if !right {
        return Err(Fault::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method.",
        ));
    }
    Ok(())
}

fn fresh_stamp<'a>(
    headers: &'a HeaderMap,
    scope_date: &str,
    now: jiff::Timestamp,
) -> Result<&'a str, Fault> {
    let stale = |detail: &str| Fault::new(400, "RequestExpired", detail);
    let stamp = text(headers, "x-amz-date").ok_or_else(|| stale("no X-Amz-Date header"))?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp)
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|_| stale("X-Amz-Date is not of the form YYYYMMDDTHHMMSSZ"))?
        .timestamp();
    if (now.as_second() - time.as_second()).abs() > MAX_SKEW_SECONDS {
        return Err(stale("Request has expired."));
    }
    if !stamp.starts_with(scope_date) {
        return Err(stale("the credential's date is not the request's"));
    }
    Ok(stamp)
}

/// What may stand for the body in what is signed. Clients need not say which they chose.
fn body_sums(request: &Signed<'_>) -> Result<Vec<String>, Fault> {
    let sum = hex::encode(Sha256::digest(request.body));
    let said = text(request.headers, "x-amz-content-sha256");
    let mut sums = vec![sum.clone()];
    if request.unsigned_body {
        sums.push(UNSIGNED_PAYLOAD.to_owned());
    }
    if said.is_some_and(|said| !sums.iter().any(|sum| sum == said)) {
        let message = "The X-Amz-Content-SHA256 you specified did not match what was received.";
        return Err(Fault::new(403, "SignatureDoesNotMatch", message));
    }
    Ok(sums)
}

fn signature(
    request: &Signed<'_>,
    authorization: &Authorization<'_>,
    stamp: &str,
    secret: &str,
    body_sum: &str,
) -> Result<String, Fault> {
    let canonical = canonical_request(request, authorization.signed_headers, body_sum)?;
    let Authorization { date, region, service, .. } = authorization;
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{date}/{region}/{service}/aws4_request\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mut key = keyed(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    for part in [region, service, "aws4_request"] {
        key = keyed(&key, part.as_bytes());
    }
    Ok(hex::encode(keyed(&key, to_sign.as_bytes())))
}

fn canonical_request(
    request: &Signed<'_>,
    signed_headers: &str,
    body_sum: &str,
) -> Result<String, Fault> {
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let values: Vec<String> = request
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        if values.is_empty() {
            let message = format!("the signed header '{name}' is not in the request");
            return Err(Fault::new(403, "SignatureDoesNotMatch", message));
        }
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    let mut query: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    Ok(format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{body_sum}",
        request.method,
        canonical_path(request.path),
        query.join("&"),
    ))
}

/// The path as it was sent, encoded once more, as all services but S3 have it.
fn canonical_path(path: &str) -> String {
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
    if path.is_empty() { "/".to_owned() } else { utf8_percent_encode(path, KEPT).to_string() }
}

/// HMAC-SHA256.
pub(crate) fn keyed(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// Compares without telling by its duration where the difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own worked example (IAM `ListUsers`, General Reference).
    fn example() -> (HeaderMap, Credentials) {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &'static str| {
            headers.insert(name, http::HeaderValue::from_static(value));
        };
        put("host", "iam.amazonaws.com");
        put("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        put("x-amz-date", "20150830T123600Z");
        put(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        );
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        (headers, credentials)
    }

    fn check(query: &str, body: &[u8], now: &str, region: &str) -> Result<(), Fault> {
        let (headers, credentials) = example();
        let (method, path, unsigned_body) = ("GET", "/", false);
        let request = Signed { method, path, query, headers: &headers, body, unsigned_body };
        verify(&request, &credentials, &[region], now.parse().unwrap())
    }

    #[test]
    fn the_published_vector_is_accepted_whatever_the_order_of_its_query() {
        let now = "2015-08-30T12:40:00Z";
        check("Action=ListUsers&Version=2010-05-08", b"", now, "us-east-1").unwrap();
        check("Version=2010-05-08&Action=ListUsers", b"", now, "us-east-1").unwrap();
    }

    #[test]
    fn a_changed_body_or_query_an_old_date_and_another_region_are_refused() {
        let query = "Action=ListUsers&Version=2010-05-08";
        let now = "2015-08-30T12:40:00Z";
        let code = |result: Result<(), Fault>| result.unwrap_err().code;
        assert_eq!(code(check(query, b"x", now, "us-east-1")), "SignatureDoesNotMatch");
        assert_eq!(code(check("Action=X", b"", now, "us-east-1")), "SignatureDoesNotMatch");
        assert_eq!(code(check(query, b"", "2015-08-30T12:51:01Z", "us-east-1")), "RequestExpired");
        assert_eq!(code(check(query, b"", now, "eu-west-1")), "SignatureDoesNotMatch");
    }

    #[test]
    fn headers_that_are_not_of_the_form_are_refused() {
        for bad in ["", "Basic xyz", "AWS4-HMAC-SHA256 Credential=a/b/c", "AWS4-HMAC-SHA256 ,,,"] {
            assert_eq!(Authorization::parse(bad), None, "{bad}");
        }
    }
}
