//! How EBS direct says no.

use crate::fault::Fault;

/// `ValidationException` with one of its reasons.
pub(super) fn invalid(reason: &'static str, message: impl Into<String>) -> Fault {
    Fault { reason: Some(reason), ..Fault::new(400, "ValidationException", message) }
}

/// A parameter that is not of its form.
pub(super) fn bad_parameter(message: impl Into<String>) -> Fault {
    invalid("INVALID_PARAMETER_VALUE", message)
}

/// A snapshot that is not there.
pub(super) fn no_snapshot(id: &str) -> Fault {
    let message = format!("The snapshot '{id}' does not exist.");
    let fault = Fault::new(404, "ResourceNotFoundException", message);
    Fault { reason: Some("SNAPSHOT_NOT_FOUND"), ..fault }
}
