//! What an answer of Vault or OpenBao means for us, told by its status ("HTTP status codes", Vault API)
//! and, where that says too little, by fixed texts of transit; and what a request means that got no
//! answer. No text of theirs is passed on: they name paths, and could name more.

use std::error::Error;
use std::io;

use crate::error::CustodianError;

/// What was asked for when a login failed.
pub(super) const LOGIN: &str = "login";
const WRAP: &str = "wrap";
/// What transit says, with 400, of a key that is not there.
const NO_KEY: &str = "encryption key not found";
/// What transit says, with 500, of bytes that were changed, where the key is one of RSA.
const NOT_BY_RSA: &str = "failed to RSA decrypt";

/// Why a request did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It does not take what it was given (400).
    NotTaken,
    /// The token does not allow it, or is none (403).
    Forbidden,
    /// There is nothing of this name.
    Missing,
    /// It may pass by itself.
    Passing(&'static str),
}

impl Cause {
    /// The cause of a status that is no success.
    pub(super) fn of_status(status: u16, body: &[u8]) -> Self {
        let says = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        match status {
            400 if says(NO_KEY) => Self::Missing,
            500 if says(NOT_BY_RSA) => Self::NotTaken,
            400 => Self::NotTaken,
            403 => Self::Forbidden,
            404 => Self::Missing,
            // Somebody in between, or a standby that does not pass requests on to the active one.
            300..=399 => Self::Passing("it redirects, which is not followed"),
            412 => Self::Passing("it has not caught up with the others of its cluster"),
            429 => Self::Passing("rate-limited"),
            472 | 473 => Self::Passing("it is a standby"),
            503 => Self::Passing("it is sealed, or starts"),
            500..=599 => Self::Passing("an internal error of the service"),
            _ => Self::UNREADABLE,
        }
    }

    /// Something that answers, and not as Vault does.
    pub(super) const UNREADABLE: Self = Self::Passing("answers something that cannot be read");
    /// Nobody that answers in time.
    pub(super) const SILENT: Self = Self::Passing("no answer in time");

    /// The cause of a request without an answer.
    pub(super) fn of_request(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::SILENT;
        }
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => {
                Self::Passing("its certificate is not trusted")
            }
            Some(_) => Self::Passing("TLS does not come about"),
            None if error.is_connect() => Self::Passing("no connection"),
            None => Self::Passing("the connection broke, or what answers is not HTTP"),
        }
    }

    /// As an error of a custodian that was asked for an operation.
    pub(super) fn error(self, custodian: &str, operation: &'static str) -> CustodianError {
        let custodian = custodian.to_owned();
        let denied = |cause: &str| CustodianError::Denied {
            custodian: custodian.clone(),
            operation,
            cause: cause.to_owned(),
        };
        match (self, operation) {
            (Self::NotTaken, LOGIN) => denied("it does not take the credentials"),
            // Whoever has no token yet is not told which of the two it is.
            (Self::Forbidden, LOGIN) => {
                denied("it does not take the credentials, or nothing is mounted for them")
            }
            (Self::Missing, LOGIN) => denied("there is no such way to log in"),
            // Nothing was given that could be damaged: it is the request that is not taken.
            (Self::NotTaken, WRAP) => denied("it does not take the request"),
            (Self::NotTaken, _) => CustodianError::Refused { custodian },
            (Self::Forbidden, _) => denied("permission denied"),
            (Self::Missing, _) => denied("there is no such key or mount"),
            (Self::Passing(cause), _) => CustodianError::Unavailable {
                custodian,
                cause: cause.to_owned(),
            },
        }
    }
}

/// The error of TLS behind another one. An I/O error hides what it was made of from `source`.
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

    fn told(status: u16, body: &str, operation: &'static str) -> CustodianError {
        Cause::of_status(status, body.as_bytes()).error("vault:transit/wax", operation)
    }

    #[test]
    fn only_a_damaged_key_is_refused() {
        for operation in ["unwrap", "rewrap"] {
            for (status, body) in [(400, "cipher: message"), (500, "failed to RSA decrypt it")] {
                let error = told(status, body, operation);
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
            let error = told(status, body, operation);
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
                let error = told(status, "a text of theirs", operation);
                assert!(error.is_transient(), "{status} {operation}: {error}");
                assert!(!error.to_string().contains("theirs"), "{error}");
            }
        }
    }
}
