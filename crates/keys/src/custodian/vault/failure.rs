//! Maps responses of Vault or OpenBao, by their status ("HTTP status codes", Vault API) and, where
//! that is ambiguous, by fixed texts of transit; and requests without a response. No text of theirs
//! is passed on: they name paths, and could name more.

use std::error::Error;
use std::io;

use crate::custodian::CustodianError;

/// The operation of a failed login.
pub(super) const LOGIN: &str = "login";
const WRAP: &str = "wrap";
/// The text of transit, with 400, for a missing key.
const NO_KEY: &str = "encryption key not found";
/// The text of transit, with 500, for changed bytes, if the key is an RSA key.
const NOT_BY_RSA: &str = "failed to RSA decrypt";

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It rejects the input (400).
    BadRequest,
    /// The token does not permit it, or is invalid (403).
    Forbidden,
    /// Nothing has this name.
    Missing,
    /// It may be temporary.
    Transient(&'static str),
}

impl Cause {
    /// The cause of an error status.
    pub(super) fn of_status(status: u16, body: &[u8]) -> Self {
        let contains = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        match status {
            400 if contains(NO_KEY) => Self::Missing,
            500 if contains(NOT_BY_RSA) => Self::BadRequest,
            400 => Self::BadRequest,
            403 => Self::Forbidden,
            404 => Self::Missing,
            // Something in between, or a standby that does not forward requests to the active node.
            300..=399 => Self::Transient("it redirects, which is not followed"),
            412 => Self::Transient("it has not caught up with the others of its cluster"),
            429 => Self::Transient("rate-limited"),
            472 | 473 => Self::Transient("it is a standby"),
            503 => Self::Transient("it is sealed, or starts"),
            500..=599 => Self::Transient("an internal error of the service"),
            _ => Self::UNREADABLE,
        }
    }

    /// The response is not one of Vault.
    pub(super) const UNREADABLE: Self = Self::Transient("the answer cannot be read");
    /// No response in time.
    pub(super) const SILENT: Self = Self::Transient("no answer in time");

    /// The cause of a request without a response.
    pub(super) fn of_request(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::SILENT;
        }
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => {
                Self::Transient("its certificate is not trusted")
            }
            Some(_) => Self::Transient("the TLS handshake failed"),
            None if error.is_connect() => Self::Transient("no connection"),
            None => Self::Transient("the connection broke, or what answers is not HTTP"),
        }
    }

    /// The error of a custodian for an operation.
    pub(super) fn error(self, custodian: &str, operation: &'static str) -> CustodianError {
        let custodian = custodian.to_owned();
        let denied = |cause: &str| CustodianError::Denied {
            custodian: custodian.clone(),
            operation,
            cause: cause.to_owned(),
        };
        match (self, operation) {
            (Self::BadRequest, LOGIN) => denied("it rejects the credentials"),
            // Without a token, the service does not reveal which of the two it is.
            (Self::Forbidden, LOGIN) => {
                denied("it rejects the credentials, or nothing is mounted for them")
            }
            (Self::Missing, LOGIN) => denied("there is no such login method"),
            // There was no ciphertext that could be damaged: the request itself is rejected.
            (Self::BadRequest, WRAP) => denied("it rejects the request"),
            (Self::BadRequest, _) => CustodianError::Refused { custodian },
            (Self::Forbidden, _) => denied("permission denied"),
            (Self::Missing, _) => denied("there is no such key or mount"),
            (Self::Transient(cause), _) => CustodianError::Unavailable {
                custodian,
                cause: cause.to_owned(),
            },
        }
    }
}

/// The TLS error behind another error. An I/O error hides its inner error from `source`.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_for(status: u16, body: &str, operation: &'static str) -> CustodianError {
        Cause::of_status(status, body.as_bytes()).error("vault:transit/wax", operation)
    }

    #[test]
    fn only_a_damaged_key_is_refused() {
        for operation in ["unwrap", "rewrap"] {
            for (status, body) in [(400, "cipher: message"), (500, "failed to RSA decrypt it")] {
                let error = error_for(status, body, operation);
                assert!(matches!(error, CustodianError::Refused { .. }), "{error}");
            }
        }
        for (status, body, operation) in [
            (400, "", "wrap"),
            (400, r#"{"errors":["encryption key not found"]}"#, "unwrap"),
            (400, "", LOGIN),
            (403, "", LOGIN),
            (403, "", "unwrap"),
            (404, "", "unwrap"),
            (404, "", LOGIN),
        ] {
            let error = error_for(status, body, operation);
            assert!(matches!(error, CustodianError::Denied { .. }), "{error}");
            assert!(!error.to_string().contains("encryption key"), "{error}");
        }
    }

    #[test]
    fn what_may_pass_is_an_outage_whatever_was_asked() {
        for status in [
            100, 301, 307, 401, 405, 412, 418, 429, 472, 473, 500, 502, 503, 504,
        ] {
            for operation in ["wrap", "unwrap", "rewrap", LOGIN] {
                let error = error_for(status, "a text of theirs", operation);
                assert!(error.is_transient(), "{status} {operation}: {error}");
                assert!(!error.to_string().contains("theirs"), "{error}");
            }
        }
    }
}
