//! Who may see the status page. From this machine everybody, as long as no token is set; from elsewhere
//! only who knows the token. A browser that another site has led here sees nothing: what it asks for names
//! that site's host.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use waxseal_core::fingerprint;

/// Guesses of a shorter one would come to an end.
const LEAST: usize = 16;
const LABEL: &str = "waxseal admin token";

/// The token that lets a reader in. Kept as its hash: two hashes can be compared without telling by the
/// time it takes how much of a guess was right.
pub struct Token(String);

/// A token that is too short to keep anybody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin token is shorter than {LEAST} characters")]
pub struct TokenTooShort;

impl Token {
    /// From its text.
    pub fn new(text: &str) -> Result<Self, TokenTooShort> {
        match text.len() {
            0..LEAST => Err(TokenTooShort),
            _ => Ok(Self(fingerprint(LABEL, text.as_bytes()))),
        }
    }

    fn is(&self, guess: &[u8]) -> bool {
        self.0 == fingerprint(LABEL, guess)
    }
}

/// Decides about readers of one address.
pub(super) struct Guard {
    token: Option<Token>,
    is_local: bool,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Self {
        Self {
            token,
            is_local: address.ip().is_loopback(),
        }
    }

    /// The answer for somebody who may not see the page.
    pub(super) fn refuses(&self, headers: &HeaderMap) -> Option<Response> {
        match &self.token {
            Some(token) => (!shows(headers, token)).then(ask),
            None if !self.is_local => Some(off()),
            None => (!asks_this_machine(headers)).then(elsewhere),
        }
    }
}

/// Whether the token is there: as `Bearer`, or as the password of whatever user (RFC 6750, RFC 7617).
fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return false;
    };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.is(rest.as_bytes());
    }
    let Ok(pair) = STANDARD.decode_to_vec(rest) else {
        return false;
    };
    let mut halves = pair.splitn(2, |byte| *byte == b':');
    let password = halves.nth(1);
    scheme.eq_ignore_ascii_case("basic") && password.is_some_and(|password| token.is(password))
}

/// Whether the host of the request is this machine: what a browser sends when the reader typed it.
fn asks_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

fn ask() -> Response {
    let challenge = [(
        WWW_AUTHENTICATE,
        "Basic realm=\"waxseal\", charset=\"UTF-8\"",
    )];
    let text = "the admin token is missing or wrong: give it as the password, with any user name, or as a \
                bearer token\n";
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

fn off() -> Response {
    let text = "the status page is off: this address can be reached from other machines, and no \
                WAXSEAL_ADMIN_TOKEN is set\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn elsewhere() -> Response {
    let text = "the status page answers to localhost, 127.0.0.1 and [::1]: for other names set \
                WAXSEAL_ADMIN_TOKEN\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "open sesame, please";

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    fn status(guard: &Guard, headers: &HeaderMap) -> Option<u16> {
        guard.refuses(headers).map(|it| it.status().as_u16())
    }

    fn guard(address: &str, token: Option<&str>) -> Guard {
        let token = token.map(|text| Token::new(text).unwrap());
        Guard::new(address.parse().unwrap(), token)
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        let guard = guard("127.0.0.1:1", None);
        for host in [
            "localhost",
            "LOCALHOST:99",
            "127.0.0.1:1",
            "127.3.2.1",
            "[::1]:80",
        ] {
            assert_eq!(status(&guard, &headers(HOST, host)), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:1",
            "10.0.0.1",
            "[::2]",
            "",
        ] {
            assert_eq!(status(&guard, &headers(HOST, host)), Some(421), "{host}");
        }
        assert_eq!(status(&guard, &HeaderMap::new()), Some(421));
    }

    #[test]
    fn an_address_that_others_reach_shows_nothing_without_a_token() {
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
            let guard = guard(address, None);
            assert_eq!(
                status(&guard, &headers(HOST, "localhost")),
                Some(403),
                "{address}"
            );
        }
    }

    #[test]
    fn the_token_opens_as_a_password_or_as_a_bearer_and_nothing_else_does() {
        let guard = guard("0.0.0.0:1", Some(TOKEN));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode_to_string(text));
        let right = [
            format!("Bearer {TOKEN}"),
            basic(&format!("any:{TOKEN}")),
            basic(&format!(":{TOKEN}")),
        ];
        for value in right {
            assert_eq!(
                status(&guard, &headers(AUTHORIZATION, &value)),
                None,
                "{value}"
            );
        }
        let wrong = [
            "Bearer open sesame".to_owned(),
            TOKEN.to_owned(),
            basic(TOKEN),
            basic(&format!("{TOKEN}:")),
            basic(&format!("any:{TOKEN}x")),
            format!("Digest {TOKEN}"),
            "Basic %".to_owned(),
        ];
        for value in wrong {
            assert_eq!(
                status(&guard, &headers(AUTHORIZATION, &value)),
                Some(401),
                "{value}"
            );
        }
        assert_eq!(status(&guard, &headers(HOST, "localhost")), Some(401));
    }

    #[test]
    fn a_short_token_is_none() {
        assert!(Token::new("fifteen letters").is_err());
        assert!(Token::new("sixteen letters!").is_ok());
    }
}
