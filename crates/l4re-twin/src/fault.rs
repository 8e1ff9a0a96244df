//! An error as AWS reports it: HTTP status, code, message. Each service writes it in its
//! own shape.

use std::borrow::Cow;

/// What an action answers instead of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    /// EBS direct's closer word for it.
    pub(crate) reason: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), reason: None }
    }

    /// The client's mistake, status 400: what nearly all of EC2's codes are.
    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// A parameter whose value EC2 does not take.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::client("InvalidParameterValue", message)
    }

    /// The same refusal as the JSON services word it, when it is about the signature.
    pub(crate) fn for_json(self) -> Self {
        let (status, code) = match self.code.as_ref() {
            "MissingAuthenticationToken" => (403, "MissingAuthenticationTokenException"),
            "IncompleteSignature" => (403, "IncompleteSignatureException"),
            "AuthFailure" => (403, "UnrecognizedClientException"),
            "SignatureDoesNotMatch" | "RequestExpired" => (403, "InvalidSignatureException"),
            "InternalError" => (500, "InternalServerException"),
            _ => return self,
        };
        Self { status, code: code.into(), ..self }
    }

    /// The twin's own trouble, such as a full disk or a missing QEMU.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }
}
