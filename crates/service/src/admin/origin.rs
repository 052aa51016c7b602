//! Which requests that start something were not sent by the page itself. A browser adds its reader's
//! rights to requests that another site made it send (cross-site request forgery), and says where they
//! come from; what is no browser says nothing, and has only the rights that it was given.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// By Fetch Metadata; browsers send it to addresses that they trust, such as `localhost`.
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a browser says that another site had it send this request.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    match (headers.get(FETCH_SITE), headers.get(ORIGIN)) {
        // What is in front of this address may have changed the host.
        (Some(site), _) => site != "same-origin",
        (None, Some(origin)) => !is_own(origin.as_bytes(), headers),
        (None, None) => false,
    }
}

/// Whether an origin has the host and port that the request was sent to.
fn is_own(origin: &[u8], headers: &HeaderMap) -> bool {
    let own = ["http://", "https://"].iter();
    let host = own.filter_map(|scheme| origin.strip_prefix(scheme.as_bytes()));
    let Some(asked) = headers.get(HOST) else {
        return false;
    };
    host.into_iter()
        .any(|host| host.eq_ignore_ascii_case(asked.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_page_itself_and_programs_may_ask() {
        let own = [
            vec![("host", "localhost:1")],
            vec![("host", "localhost:1"), ("origin", "http://LOCALHOST:1")],
            vec![("host", "ops.example"), ("origin", "https://ops.example")],
            vec![
                ("host", "[::1]:1"),
                ("origin", "http://[::1]:1"),
                ("sec-fetch-site", "same-origin"),
            ],
            vec![
                ("host", "10.0.0.5:9180"),
                ("origin", "https://ops.example"),
                ("sec-fetch-site", "same-origin"),
            ],
        ];
        for pairs in own {
            assert!(!is_from_elsewhere(&headers(&pairs)), "{pairs:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_or_port_may_not() {
        let others = [
            vec![("host", "localhost:1"), ("origin", "http://localhost:2")],
            vec![("host", "localhost:1"), ("origin", "http://localhost")],
            vec![("host", "localhost:1"), ("origin", "null")],
            vec![("host", "localhost:1"), ("origin", "https://evil.example")],
            vec![("host", "localhost:1"), ("origin", "ftp://localhost:1")],
            vec![("origin", "http://localhost:1")],
            vec![("host", "localhost:1"), ("sec-fetch-site", "cross-site")],
            vec![("host", "localhost:1"), ("sec-fetch-site", "same-site")],
            vec![("host", "localhost:1"), ("sec-fetch-site", "none")],
            vec![
                ("host", "localhost:1"),
                ("origin", "http://localhost:1"),
                ("sec-fetch-site", "cross-site"),
            ],
        ];
        for pairs in others {
            assert!(is_from_elsewhere(&headers(&pairs)), "{pairs:?}");
        }
    }
}
