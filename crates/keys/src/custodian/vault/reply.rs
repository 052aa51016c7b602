//! The responses of Vault and OpenBao, as far as they are needed. They are read from a buffer that
//! is wiped, and nothing is copied out of it here.

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure::Cause;

/// A longer lease is renewed as if it were this long: no clock overflows.
const MAX_LEASE_SECS: u64 = 365 * 24 * 60 * 60;

/// The body of a reply.
pub(super) struct Reply(pub(super) Zeroizing<Vec<u8>>);

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    auth: Option<Auth<'a>>,
}

/// Data of the transit engine, or about a token.
#[derive(Deserialize)]
struct Data<'a> {
    ciphertext: Option<&'a str>,
    plaintext: Option<&'a str>,
    ttl: Option<u64>,
    #[serde(default)]
    renewable: bool,
}

/// A token, from a login or a renewal.
#[derive(Deserialize)]
pub(super) struct Auth<'a> {
    /// The token.
    pub(super) client_token: &'a str,
    lease_duration: u64,
    renewable: bool,
}

impl Auth<'_> {
    /// The time the token is valid, if it can be renewed and expires.
    pub(super) fn lease(&self) -> Option<Duration> {
        lease(self.lease_duration, self.renewable)
    }
}

impl Reply {
    /// The ciphertext that transit returned.
    pub(super) fn ciphertext(&self) -> Result<&str, Cause> {
        let data = self.body()?.data;
        data.and_then(|data| data.ciphertext)
            .ok_or(Cause::UNREADABLE)
    }

    /// The plaintext that transit returned, in Base64.
    pub(super) fn plaintext(&self) -> Result<&str, Cause> {
        let data = self.body()?.data;
        data.and_then(|data| data.plaintext)
            .ok_or(Cause::UNREADABLE)
    }

    /// The token that a login or a renewal returned.
    pub(super) fn auth(&self) -> Result<Auth<'_>, Cause> {
        let auth = self.body()?.auth.ok_or(Cause::UNREADABLE)?;
        // A login that waits for a second factor has an empty token.
        if auth.client_token.is_empty() {
            return Err(Cause::UNREADABLE);
        }
        Ok(auth)
    }

    /// The remaining time of a token that was looked up, if it can be renewed and expires.
    pub(super) fn looked_up_lease(&self) -> Result<Option<Duration>, Cause> {
        let data = self.body()?.data.ok_or(Cause::UNREADABLE)?;
        Ok(lease(data.ttl.unwrap_or_default(), data.renewable))
    }

    fn body(&self) -> Result<Body<'_>, Cause> {
        serde_json::from_slice(&self.0).map_err(|_| Cause::UNREADABLE)
    }
}

fn lease(seconds: u64, renewable: bool) -> Option<Duration> {
    (renewable && seconds > 0).then(|| Duration::from_secs(seconds.min(MAX_LEASE_SECS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_lease_counts_where_it_ends_and_can_be_renewed() {
        for (seconds, renewable, expected) in [
            (60, true, Some(60)),
            (u64::MAX, true, Some(MAX_LEASE_SECS)),
            (0, true, None),
            (60, false, None),
        ] {
            let auth = reply(&format!(
                r#"{{"auth":{{"client_token":"t","lease_duration":{seconds},"renewable":{renewable}}}}}"#
            ));
            let expected = expected.map(Duration::from_secs);
            assert_eq!(auth.auth().ok().unwrap().lease(), expected);
            let data = format!(r#"{{"data":{{"ttl":{seconds},"renewable":{renewable}}}}}"#);
            assert_eq!(reply(&data).looked_up_lease(), Ok(expected));
        }
    }

    #[test]
    fn what_is_not_there_or_no_json_cannot_be_read() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"data":null,"auth":null}"#,
            r#"{"data":{"ciphertext":5}}"#,
            r#"{"auth":{"client_token":"","lease_duration":1,"renewable":true}}"#,
            "\u{feff}{}",
        ] {
            let reply = reply(text);
            assert_eq!(reply.ciphertext(), Err(Cause::UNREADABLE), "{text}");
            assert_eq!(reply.plaintext(), Err(Cause::UNREADABLE), "{text}");
            assert_eq!(reply.auth().err(), Some(Cause::UNREADABLE), "{text}");
        }
    }
}
