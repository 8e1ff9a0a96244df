//! From the SDK's errors to ours: by the service's code where there is one, by the chain of
//! causes where the call never arrived.
//!
//! Invariant: the only file that knows the services' error codes, but for those that mean
//! "elsewhere" at a launch. Codes: "Error codes for the Amazon EC2 API" and "S3 Error
//! responses".

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ebs::operation::start_snapshot::StartSnapshotError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};

use crate::denied::read_denial;
use crate::error::CloudError;
use crate::launch::is_elsewhere;

/// Says in our terms how `call` (`ec2:RunInstances`) at `endpoint` failed.
pub(crate) fn classify<E>(
    call: &'static str,
    endpoint: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => refused(&Answer {
            call,
            endpoint,
            code: service.err().code().unwrap_or_default(),
            message: service.err().message().unwrap_or_default(),
            status: service.raw().status().as_u16(),
            request_id: error.request_id(),
        }),
        SdkError::ResponseError(_) => CloudError::BadAnswer { call, cause: innermost(error) },
        SdkError::TimeoutError(_) => CloudError::TimedOut { call, cause: innermost(error) },
        _ => not_sent(call, endpoint, error),
    }
}

/// What the service said.
struct Answer<'a> {
    call: &'static str,
    endpoint: &'a str,
    code: &'a str,
    message: &'a str,
    status: u16,
    request_id: Option<&'a str>,
}

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationError",
    "UnauthorizedAccess",
    "UnauthorizedOperation",
];

const EXPIRED: &[&str] =
    &["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];

const BAD_CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
    "UnrecognizedClientException",
];

const ACCOUNT: &[&str] =
    &["AccountDisabled", "AccountProblem", "Blocked", "OptInRequired", "PendingVerification"];

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const UNSUPPORTED: &[&str] = &[
    "InvalidAction",
    "NotImplemented",
    "UnknownOperation",
    "UnknownOperationException",
    "UnsupportedAction",
];

fn refused(answer: &Answer<'_>) -> CloudError {
    let Answer { call, code, .. } = *answer;
    let message = answer.message.to_owned();
    let among = |codes: &[&str]| codes.contains(&code);
    if code.is_empty() {
        refused_without_code(answer)
    } else if among(DENIED) {
        CloudError::AccessDenied(Box::new(read_denial(call, answer.message)))
    } else if among(EXPIRED) {
        CloudError::Expired { cause: message }
    } else if among(BAD_CREDENTIALS) {
        CloudError::BadCredentials { cause: format!("{message} ({code})") }
    } else if among(ACCOUNT) {
        CloudError::Account { code: code.to_owned(), message }
    } else if among(THROTTLED) {
        CloudError::Throttled { call, code: code.to_owned() }
    } else if among(UNSUPPORTED) {
        unsupported(answer)
    } else if code.ends_with("LimitExceeded") || code == "TooManyBuckets" {
        CloudError::Quota { instance_type: None, code: code.to_owned(), message }
    } else if matches!(code, "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed") {
        CloudError::not_found(quoted(answer.message).unwrap_or(message))
    } else if matches!(code, "IncorrectInstanceState" | "IncorrectState") {
        CloudError::WrongState { call, message }
    } else {
        other(answer, code.to_owned())
    }
}

/// HEAD requests get no error in words, and emulators answer calls that they lack with a
/// page instead of an error.
fn refused_without_code(answer: &Answer<'_>) -> CloudError {
    let call = answer.call;
    match answer.status {
        403 => CloudError::AccessDenied(Box::new(read_denial(call, answer.message))),
        429 | 503 => CloudError::Throttled { call, code: format!("HTTP {}", answer.status) },
        404 | 405 | 500 | 501 if !call.starts_with("s3:") => unsupported(answer),
        status => other(answer, format!("HTTP {status}")),
    }
}

fn other(answer: &Answer<'_>, code: String) -> CloudError {
    CloudError::Service {
        call: answer.call,
        code,
        message: answer.message.to_owned(),
        request_id: answer.request_id.map(ToOwned::to_owned),
    }
}

fn unsupported(answer: &Answer<'_>) -> CloudError {
    CloudError::Unsupported { call: answer.call, endpoint: answer.endpoint.to_owned() }
}

/// `i-1` of "The instance ID 'i-1' does not exist".
fn quoted(message: &str) -> Option<String> {
    message.split('\'').nth(1).map(ToOwned::to_owned)
}

/// The request did not leave, or no answer came.
fn not_sent(call: &'static str, endpoint: &str, error: &(dyn Error + 'static)) -> CloudError {
    if let Some(credentials) = find::<CredentialsError>(error) {
        return no_credentials(credentials);
    }
    if let Some(connector) = find::<ConnectorError>(error) {
        let cause = innermost(error);
        if connector.is_timeout() && !is_hopeless(connector) {
            return CloudError::TimedOut { call, cause };
        }
        return CloudError::NetworkUnreachable { endpoint: endpoint.to_owned(), cause };
    }
    CloudError::BadAnswer { call, cause: innermost(error) }
}

fn no_credentials(error: &CredentialsError) -> CloudError {
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return CloudError::NoCredentials;
    }
    let cause = innermost(error);
    let text = chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let text = text.to_ascii_lowercase();
    // The metadata service is the chain's last resort: what it says is about a machine in
    // EC2, and off EC2 any answer comes from something else.
    if text.contains("imds") {
        return CloudError::NoCredentials;
    }
    if ["expired", "sso token", "sso session"].iter().any(|word| text.contains(word)) {
        return CloudError::Expired { cause };
    }
    CloudError::BadCredentials { cause }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|e| e.downcast_ref::<T>())
}

/// The cause that says most: the last of the chain.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Forbids retries that cannot help: a refused connection, an unknown host, a host that does
/// not answer the handshake, a place without room. The SDK takes them for passing faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoHopelessRetry;

impl ClassifyRetry for NoHopelessRetry {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = match context.output_or_error() {
            Some(Err(error)) => error,
            _ => return RetryAction::NoActionIndicated,
        };
        // EBS answers "this token was used otherwise" with HTTP 503.
        let conflict = error
            .as_operation_error()
            .and_then(|error| error.downcast_ref::<StartSnapshotError>())
            .is_some_and(StartSnapshotError::is_conflict_exception);
        // EC2 answers "no capacity" with HTTP 500, which the SDK would try again.
        let no_room = error
            .as_operation_error()
            .and_then(|error| error.downcast_ref::<RunInstancesError>())
            .and_then(ProvideErrorMetadata::code)
            .is_some_and(is_elsewhere);
        if no_room || conflict || error.as_connector_error().is_some_and(|e| is_hopeless(e)) {
            return RetryAction::RetryForbidden;
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "no hopeless retry"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

fn is_hopeless(error: &(dyn Error + 'static)) -> bool {
    let refused = find::<io::Error>(error).is_some_and(|e| {
        matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NetworkUnreachable)
    });
    refused
        || chain(error).any(|e| {
            let text = e.to_string();
            text.starts_with("HTTP connect timeout") || text.contains("failed to lookup address")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, message: &str, status: u16) -> CloudError {
        refused(&Answer {
            call: "ec2:RunInstances",
            endpoint: "here",
            code,
            message,
            status,
            request_id: Some("r-1"),
        })
    }

    #[test]
    fn codes_map_to_kinds() {
        let cases = [
            ("UnauthorizedOperation", 403, "access-denied"),
            ("ExpiredToken", 400, "expired"),
            ("RequestExpired", 400, "expired"),
            ("AuthFailure", 401, "bad-credentials"),
            ("OptInRequired", 401, "account"),
            ("RequestLimitExceeded", 503, "throttled"),
            ("VcpuLimitExceeded", 400, "quota"),
            ("InstanceLimitExceeded", 400, "quota"),
            ("InvalidInstanceID.NotFound", 400, "no-such-instance"),
            ("IncorrectInstanceState", 400, "wrong-state"),
            ("InvalidAction", 400, "unsupported-call"),
            ("", 500, "unsupported-call"),
            ("", 503, "throttled"),
            ("InvalidParameterValue", 400, "service"),
        ];
        for (code, status, kind) in cases {
            assert_eq!(answer(code, "text", status).code(), kind, "{code}");
        }
    }

    #[test]
    fn not_found_names_the_instance() {
        let error =
            answer("InvalidInstanceID.NotFound", "The instance ID 'i-12' does not exist", 400);
        assert!(matches!(error, CloudError::NotFound { name, .. } if name == "i-12"));
    }

    #[test]
    fn a_service_error_keeps_code_and_request() {
        let CloudError::Service { code, request_id, .. } =
            answer("InvalidAMIID.NotFound", "m", 400)
        else {
            panic!()
        };
        assert_eq!((code.as_str(), request_id.as_deref()), ("InvalidAMIID.NotFound", Some("r-1")));
    }

    #[test]
    fn an_expired_sso_session_is_told_from_a_broken_profile() {
        let expired = CredentialsError::provider_error("the SSO session has expired");
        assert_eq!(no_credentials(&expired).code(), "expired");
        let missing = CredentialsError::provider_error("failed to load the cached SSO token");
        assert_eq!(no_credentials(&missing).code(), "expired");
        let metadata = CredentialsError::provider_error("IMDS is disabled");
        assert_eq!(no_credentials(&metadata).code(), "no-credentials");
        let broken = CredentialsError::invalid_configuration("profile `x` was not defined");
        assert_eq!(no_credentials(&broken).code(), "bad-credentials");
        assert_eq!(
            no_credentials(&CredentialsError::not_loaded_no_source()).code(),
            "no-credentials"
        );
    }
}
