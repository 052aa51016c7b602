//! Access to the status page. Without a token it is open to this machine only; with a token, to those who present it. A
//! browser that another site has redirected here (DNS rebinding) is refused, since its request names that site's host.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use waxseal_core::fingerprint;

/// The minimal length: a shorter token could be guessed.
const MIN_LENGTH: usize = 16;
const LABEL: &str = "waxseal admin token";
/// The names of this machine in requests of a browser on it.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The token that grants access. It is kept as a hash: the time that a comparison of hashes takes reveals nothing about the
/// token.
pub(super) struct Token(String);

/// The token is too short to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin token is shorter than {MIN_LENGTH} characters")]
pub(super) struct TokenTooShort;

impl Token {
    /// Creates it from its text.
    pub(super) fn new(text: &str) -> Result<Self, TokenTooShort> {
        match text.len() {
            0..MIN_LENGTH => Err(TokenTooShort),
            _ => Ok(Self(fingerprint(LABEL, text.as_bytes()))),
        }
    }

    fn matches(&self, guess: &[u8]) -> bool {
        self.0 == fingerprint(LABEL, guess)
    }
}

/// The access rules of one address.
pub(super) struct Guard {
    token: Option<Token>,
    is_local: bool,
    /// The hosts that requests may name.
    hosts: Vec<String>,
}

impl Guard {
    /// The rules of an address; `named` is the host that the operator gave for it.
    pub(super) fn new(address: SocketAddr, named: &str, token: Option<Token>) -> Self {
        let mut hosts = LOCAL_HOSTS.map(str::to_owned).to_vec();
        hosts.push(match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        if !named.is_empty() {
            hosts.push(named.to_owned());
        }
        Self {
            token,
            is_local: address.ip().is_loopback(),
            hosts,
        }
    }

    /// The response to a request without access.
    pub(super) fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        match &self.token {
            Some(token) => (!has_token(headers, token)).then(unauthorized),
            None if !self.is_local => Some(disabled()),
            None => (!self.names_this_host(headers)).then(misdirected),
        }
    }
}

impl Guard {
    /// True if the host of the request is exactly one of this address, as a browser sends it when its user typed the
    /// address. Any port is accepted, since ports may be forwarded.
    fn names_this_host(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return false;
        };
        let Some((name, port)) = host.to_str().ok().map(split_port) else {
            return false;
        };
        let is_port = |port: &str| port.bytes().all(|it| it.is_ascii_digit());
        let is_host = |known: &String| known.eq_ignore_ascii_case(name);
        port.is_none_or(|it| is_port(it) && it.parse::<u16>().is_ok())
            && self.hosts.iter().any(is_host)
    }
}

/// The host, with its brackets, and the port.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let after_brackets = host.rfind(']').map_or(0, |at| at + 1);
    match host[after_brackets..].find(':') {
        Some(at) => {
            let (name, port) = host.split_at(after_brackets + at);
            (name, port.strip_prefix(':'))
        }
        None => (host, None),
    }
}

/// True if the token is presented: as `Bearer`, or as the password of any user (RFC 6750, RFC 7617).
fn has_token(headers: &HeaderMap, token: &Token) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return false;
    };
    let Some((scheme, credentials)) = value.to_str().ok().and_then(|text| text.split_once(' '))
    else {
        return false;
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.matches(credentials.as_bytes());
    }
    let Ok(pair) = STANDARD.decode_to_vec(credentials) else {
        return false;
    };
    let mut halves = pair.splitn(2, |byte| *byte == b':');
    let password = halves.nth(1);
    scheme.eq_ignore_ascii_case("basic") && password.is_some_and(|password| token.matches(password))
}

fn unauthorized() -> Response {
    let challenge = [(
        WWW_AUTHENTICATE,
        "Basic realm=\"waxseal\", charset=\"UTF-8\"",
    )];
    let text = "the admin token is missing or wrong: give it as the password, with any user name, or as a \
                bearer token\n";
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

fn disabled() -> Response {
    let text = "the status page is off: this address can be reached from other machines, and no \
                WAXSEAL_ADMIN_TOKEN is set\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn misdirected() -> Response {
    let text = "the status page answers to localhost, 127.0.0.1, [::1] and the host of --admin: for other \
                names set WAXSEAL_ADMIN_TOKEN\n";
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
        guard.refusal(headers).map(|it| it.status().as_u16())
    }

    fn guard(address: &str, token: Option<&str>) -> Guard {
        let token = token.map(|text| Token::new(text).unwrap());
        let address: SocketAddr = address.parse().unwrap();
        Guard::new(address, "Admin.internal", token)
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_accepted() {
        let guard = guard("127.0.0.1:1", None);
        for host in [
            "localhost",
            "LOCALHOST:99",
            "127.0.0.1:1",
            "127.0.0.1",
            "[::1]:80",
            "[::1]",
            "admin.INTERNAL:1",
        ] {
            assert_eq!(status(&guard, &headers(HOST, host)), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.com",
            "localhost.evil.example:1",
            "127.0.0.1.nip.io",
            "127.0.0.1.nip.io:1",
            "localhost.",
            "localhost.:1",
            "127.0.0.1.",
            "127.3.2.1",
            "127.1",
            "0.0.0.0",
            "0x7f000001",
            "2130706433",
            "localhost:",
            "localhost:http",
            "localhost:+1",
            "localhost:65536",
            "localhost:1:1",
            "localhost:1@evil.example",
            "evil@localhost",
            " localhost",
            "localhost/",
            "::1",
            "[::1",
            "[::1]x",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::1]:1]:1",
            "[::1%25lo]",
            "10.0.0.1",
            "[::2]",
            "",
        ] {
            assert_eq!(status(&guard, &headers(HOST, host)), Some(421), "{host}");
        }
        let mut twice = headers(HOST, "localhost");
        twice.append(HOST, "evil.example".parse().unwrap());
        assert_eq!(status(&guard, &twice), Some(421));
        assert_eq!(status(&guard, &HeaderMap::new()), Some(421));
    }

    #[test]
    fn the_listening_address_is_accepted() {
        let guard = guard("127.0.0.2:1", None);
        assert_eq!(status(&guard, &headers(HOST, "127.0.0.2:1")), None);
        assert_eq!(status(&guard, &headers(HOST, "127.0.0.3:1")), Some(421));
    }

    #[test]
    fn a_public_address_shows_nothing_without_a_token() {
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
    fn the_token_is_accepted_as_a_password_or_bearer_and_nothing_else_is() {
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
    fn a_short_token_is_refused() {
        assert!(Token::new("fifteen letters").is_err());
        assert!(Token::new("sixteen letters!").is_ok());
    }
}
