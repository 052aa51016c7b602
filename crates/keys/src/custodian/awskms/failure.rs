//! Maps errors of AWS KMS, by their codes ("Common Error Types" and the errors of each operation,
//! AWS KMS API Reference). None of its texts is passed on: they name accounts, roles and keys.

use std::error::Error;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The input was not wrapped by this key for this context.
    Refused,
    /// A permanent refusal.
    Denied(&'static str),
    /// It may be temporary.
    Transient(String),
}

/// Codes about the input.
const REFUSED: &[&str] = &[
    "InvalidCiphertextException",
    "IncorrectKeyException",
    "ValidationException",
];

/// Codes that require an operator's action, with the text shown.
const DENIED: &[(&str, &str)] = &[
    ("AccessDeniedException", "AccessDeniedException"),
    ("NotAuthorized", "NotAuthorized"),
    ("OptInRequired", "OptInRequired"),
    ("DisabledException", "the key is disabled"),
    (
        "KMSInvalidStateException",
        "the key's state does not allow it",
    ),
    ("NotFoundException", "there is no such key"),
    ("InvalidArnException", "there is no such key"),
    (
        "InvalidKeyUsageException",
        "the key is not one that encrypts",
    ),
    ("InvalidGrantTokenException", "InvalidGrantTokenException"),
    (
        "UnsupportedOperationException",
        "UnsupportedOperationException",
    ),
    ("ExpiredTokenException", "the credentials have expired"),
    ("ExpiredToken", "the credentials have expired"),
    (
        "UnrecognizedClientException",
        "the credentials are not valid",
    ),
    ("InvalidClientTokenId", "the credentials are not valid"),
    ("InvalidSignatureException", "the credentials are not valid"),
    ("SignatureDoesNotMatch", "the credentials are not valid"),
    (
        "IncompleteSignatureException",
        "the credentials are not valid",
    ),
    ("IncompleteSignature", "the credentials are not valid"),
    (
        "MissingAuthenticationTokenException",
        "the credentials are not valid",
    ),
    (
        "MissingAuthenticationToken",
        "the credentials are not valid",
    ),
    ("AuthFailure", "the credentials are not valid"),
    ("RequestExpired", "the clock of this machine is wrong"),
    ("RequestTimeTooSkewed", "the clock of this machine is wrong"),
];

/// Codes of a service that is unhealthy or busy.
const TRANSIENT: &[(&str, &str)] = &[
    ("ThrottlingException", "rate-limited"),
    ("Throttling", "rate-limited"),
    ("ThrottledException", "rate-limited"),
    ("RequestThrottled", "rate-limited"),
    ("TooManyRequestsException", "rate-limited"),
    ("LimitExceededException", "rate-limited"),
    ("SlowDown", "rate-limited"),
    ("KMSInternalException", "an internal error of the service"),
    ("InternalFailure", "an internal error of the service"),
    ("InternalServerError", "an internal error of the service"),
    ("DependencyTimeoutException", "the service timed out"),
    ("KeyUnavailableException", "the key is not available now"),
    ("ServiceUnavailable", "the service is unavailable"),
    ("ServiceUnavailableException", "the service is unavailable"),
];

/// The cause of an error of the SDK.
pub(super) fn cause<E>(error: SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match &error {
        SdkError::TimeoutError(_) => transient("no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            transient("no answer in time")
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => transient("no connection"),
        SdkError::ServiceError(answer) => {
            from_code(answer.err().code(), answer.raw().status().as_u16())
        }
        SdkError::ResponseError(_) => transient("the answer cannot be read"),
        _ => from_credentials(&error),
    }
}

fn from_code(code: Option<&str>, status: u16) -> Cause {
    let code = code.unwrap_or_default();
    let lookup = |table: &'static [(&str, &'static str)]| {
        let row = table.iter().find(|(name, _)| *name == code);
        row.map(|(_, words)| *words)
    };
    if REFUSED.contains(&code) {
        return Cause::Refused;
    }
    if let Some(words) = lookup(DENIED) {
        return Cause::Denied(words);
    }
    if let Some(words) = lookup(TRANSIENT) {
        return transient(words);
    }
    // Not a response of KMS, or one unknown to this program: something in between, or an unhealthy
    // service. It may be temporary.
    match status {
        429 => transient("rate-limited"),
        _ => Cause::Transient(format!("the answer cannot be read ({status})")),
    }
}

/// Nothing was sent. Without credentials, waiting does not help; if the service that provides them
/// did not answer, it may.
fn from_credentials(error: &(dyn Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        // The SDK's type for it is in a separate crate, of which nothing else is needed; its text
        // is fixed.
        match error.to_string().as_str() {
            NOT_LOADED => return Cause::Denied("there are no credentials"),
            NOT_VALID => return Cause::Denied("the configuration of the credentials is not valid"),
            FAILED => return transient("the credentials cannot be obtained"),
            _ => next = error.source(),
        }
    }
    transient("the request cannot be sent")
}

const NOT_LOADED: &str = "the credential provider was not enabled";
const NOT_VALID: &str = "the credentials provider was not properly configured";
const FAILED: &str = "an error occurred while loading credentials";

fn transient(words: &str) -> Cause {
    Cause::Transient(words.to_owned())
}
