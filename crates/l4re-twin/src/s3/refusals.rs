//! What S3 refuses before s3s looks at it, or in words where s3s has none: its own texts for its
//! codes, and what the twin does not keep, which is refused so that nobody believes it kept.
//!
//! Invariant: each error in XML has a message and the id that the answer's headers have.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use s3s::{S3ErrorCode, S3Result, s3_error};

use crate::endpoint::{Answer, header, s3_refusal, with_s3_request_id};
use crate::fault::Fault;

/// S3's limit for presigned URLs, in seconds.
const WEEK: i64 = 7 * 24 * 60 * 60;
/// S3's limit for an object's own metadata.
const MAX_METADATA: usize = 2 * 1024;
/// S3's storage classes, of which one is played.
const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
];
/// An error's document is small; more is none.
const MAX_DOCUMENT: usize = 64 * 1024;

/// Texts of S3 for codes that s3s gives without one.
const MESSAGES: &[(&str, &str)] = &[
    ("AccessDenied", "Access Denied"),
    ("InvalidBucketName", "The specified bucket is not valid."),
    ("InvalidRange", "The requested range is not satisfiable"),
    ("KeyTooLongError", "Your key is too long"),
    (
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
    (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    ),
    ("MethodNotAllowed", "The specified method is not allowed against this resource."),
    ("InternalError", "We encountered an internal error. Please try again."),
    ("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."),
    ("MissingContentLength", "You must provide the Content-Length HTTP header."),
    (
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
];

/// How a text of s3s begins, and S3's.
const OTHERWISE: &[(&str, &str)] = &[
    ("Signature is required", "Access Denied"),
    ("invalid header: x-amz-copy-source:", "Invalid copy source object key"),
];

/// Gives an error of s3s what S3 says besides the code.
pub(crate) async fn complete(answer: Answer) -> Answer {
    let failed = answer.status().is_client_error() || answer.status().is_server_error();
    let xml = header(answer.headers(), "content-type").is_some_and(|kind| kind.contains("xml"));
    if !failed || !xml {
        return answer;
    }
    let mut answer = with_s3_request_id(answer);
    let id = header(answer.headers(), "x-amz-request-id").unwrap_or_default().to_owned();
    let body = std::mem::take(answer.body_mut());
    let Ok(body) = http_body_util::Limited::new(body, MAX_DOCUMENT).collect().await else {
        return answer;
    };
    let document = completed(&String::from_utf8_lossy(&body.to_bytes()), &id);
    answer.headers_mut().remove(http::header::CONTENT_LENGTH);
    *answer.body_mut() = s3s::Body::from(Bytes::from(document));
    answer
}

fn completed(document: &str, id: &str) -> String {
    let code = document.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let text = code.and_then(|(code, _)| MESSAGES.iter().find(|(known, _)| *known == code));
    let message = match text {
        Some((_, text)) if !document.contains("<Message>") => format!("<Message>{text}</Message>"),
        _ => String::new(),
    };
    let document = OTHERWISE
        .iter()
        .find_map(|(theirs, ours)| {
            let (before, rest) = document.split_once(&format!("<Message>{theirs}"))?;
            let (_, after) = rest.split_once("</Message>")?;
            Some(format!("{before}<Message>{ours}</Message>{after}"))
        })
        .unwrap_or_else(|| document.to_owned());
    let ids = format!("{message}<RequestId>{id}</RequestId><HostId>{id}</HostId></Error>");
    document.replacen("</Error>", &ids, 1)
}

/// Drops a range that S3 passes over: one in another form than its own, several at once. Where it
/// is signed the signature would not hold without it, and it is refused.
pub(crate) fn drop_odd_range<B>(request: &mut Request<B>) {
    let Some(range) = header(request.headers(), "range") else { return };
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let plain = bounds.is_some_and(|(first, last)| {
        number(first) && (last.is_empty() || number(last)) || first.is_empty() && number(last)
    });
    let signed = header(request.headers(), "authorization")
        .and_then(|it| it.split("SignedHeaders=").nth(1)?.split(',').next())
        .is_some_and(|names| names.split(';').any(|name| name.trim() == "range"));
    if !plain && !signed {
        request.headers_mut().remove("range");
    }
}

/// Refuses what is signed in a way that S3 does not take.
pub(crate) fn refuse_signature<B>(request: &Request<B>) -> Option<Answer> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    let old = header(request.headers(), "authorization").is_some_and(|it| it.starts_with("AWS "));
    if old || parameter("AWSAccessKeyId").is_some() {
        let message = "The authorization mechanism you have provided is not supported. Please use \
                       AWS4-HMAC-SHA256.";
        return Some(s3_refusal(Fault::client("InvalidRequest", message)));
    }
    let seconds = parameter("X-Amz-Expires").and_then(|seconds| seconds.parse::<i64>().ok());
    if seconds.is_some_and(|seconds| seconds > WEEK) {
        let message = "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                       X-Amz-Expires must be less than 604800 seconds";
        let code = "AuthorizationQueryParametersError";
        return Some(s3_refusal(Fault::client(code, message)));
    }
    let token = "x-amz-security-token";
    let session =
        request.headers().contains_key(token) || parameter("X-Amz-Security-Token").is_some();
    session.then(|| {
        let message = "The provided token is malformed or otherwise invalid.";
        s3_refusal(Fault::client("InvalidToken", message))
    })
}

/// Refuses an object that shall have what the twin does not keep.
pub(super) fn refuse_unkept(headers: &HeaderMap) -> S3Result<()> {
    let given = |name: &str| header(headers, name);
    let own = ["private", "bucket-owner-full-control"];
    let grants = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    if grants || given("x-amz-acl").is_some_and(|acl| !own.contains(&acl)) {
        let mut error = s3s::S3Error::with_message(
            S3ErrorCode::Custom("AccessControlListNotSupported".into()),
            "The bucket does not allow ACLs",
        );
        error.set_status_code(StatusCode::BAD_REQUEST);
        return Err(error);
    }
    if given("x-amz-server-side-encryption-customer-algorithm").is_some() {
        return Err(s3_error!(
            InvalidRequest,
            "Requests specifying Server Side Encryption with Customer provided keys must be made \
             over a secure connection."
        ));
    }
    let classes = given("x-amz-storage-class");
    if classes.is_some_and(|class| !STORAGE_CLASSES.contains(&class)) {
        return Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid"));
    }
    let own = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-amz-meta-")?;
        Some(name.len() + value.len())
    });
    if own.sum::<usize>() > MAX_METADATA {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    let unkept = [
        ("x-amz-storage-class", "STANDARD", "the storage class STANDARD only"),
        ("x-amz-server-side-encryption", "AES256", "encryption by AES256 only"),
        ("x-amz-tagging", "", "no tags of objects"),
        ("x-amz-object-lock-mode", "", "no locks on objects"),
        ("x-amz-object-lock-legal-hold", "", "no locks on objects"),
        ("x-amz-website-redirect-location", "", "no websites"),
    ];
    for (name, kept, has) in unkept {
        if given(name).is_some_and(|value| value != kept) {
            return Err(s3_error!(NotImplemented, "The twin has {has} ({name})"));
        }
    }
    Ok(())
}

/// Refuses a version: each object has one, without a number.
pub(super) fn refuse_versions(id: Option<&str>) -> S3Result<()> {
    if id.is_none_or(|id| id == "null") {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Invalid version id specified"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_gets_the_words_that_it_lacks_and_its_id() {
        let bare = completed("<?xml?><Error><Code>InvalidRange</Code></Error>", "ID");
        assert_eq!(
            bare,
            "<?xml?><Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable\
             </Message><RequestId>ID</RequestId><HostId>ID</HostId></Error>"
        );
        let said = completed("<Error><Code>InvalidRange</Code><Message>m</Message></Error>", "ID");
        assert_eq!(said.matches("<Message>").count(), 1);
        let unsigned = "<Error><Message>Signature is required</Message></Error>";
        assert!(completed(unsigned, "ID").contains("<Message>Access Denied</Message>"));
    }

    #[test]
    fn signatures_that_s3_does_not_take() {
        let code = |uri: &str, name: &'static str, value: &str| {
            let request = Request::get(uri).header(name, value).body(()).unwrap();
            refuse_signature(&request).map(|answer| answer.status().as_u16())
        };
        let v4 = "AWS4-HMAC-SHA256 Credential=x";
        assert_eq!(code("/b/k", "authorization", v4), None);
        assert_eq!(code("/b/k?X-Amz-Expires=604800", "host", "h"), None);
        assert_eq!(code("/b/k?X-Amz-Expires=604801", "host", "h"), Some(400));
        assert_eq!(code("/b/k", "authorization", "AWS AK:sum"), Some(400));
        assert_eq!(code("/b/k?AWSAccessKeyId=AK", "host", "h"), Some(400));
        assert_eq!(code("/b/k", "x-amz-security-token", "t"), Some(400));
        assert_eq!(code("/b/k?X-Amz-Security-Token=t", "host", "h"), Some(400));
    }

    #[test]
    fn ranges_that_s3_passes_over_are_dropped() {
        let kept = |range: &str| {
            let mut request = Request::get("/").header("range", range).body(()).unwrap();
            drop_odd_range(&mut request);
            request.headers().contains_key("range")
        };
        assert!(["bytes=0-1", "bytes=5-", "bytes=-5"].into_iter().all(kept));
        assert!(!["bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=-"].into_iter().any(kept));
    }

    #[test]
    fn what_is_not_kept_is_refused() {
        let code = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )]);
            let result = refuse_unkept(&headers);
            result.map_or_else(|error| error.code().as_str().to_owned(), |()| "none".to_owned())
        };
        for (name, value, expected) in [
            ("x-amz-acl", "private", "none"),
            ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
            ("x-amz-grant-read", "id=1", "AccessControlListNotSupported"),
            ("x-amz-storage-class", "STANDARD", "none"),
            ("x-amz-storage-class", "GLACIER", "NotImplemented"),
            ("x-amz-storage-class", "COLD", "InvalidStorageClass"),
            ("x-amz-server-side-encryption", "AES256", "none"),
            ("x-amz-server-side-encryption", "aws:kms", "NotImplemented"),
            ("x-amz-server-side-encryption-customer-algorithm", "AES256", "InvalidRequest"),
            ("x-amz-tagging", "a=b", "NotImplemented"),
        ] {
            assert_eq!(code(name, value), expected, "{name}: {value}");
        }
        assert!(refuse_versions(Some("null")).is_ok() && refuse_versions(Some("1")).is_err());
    }
}
