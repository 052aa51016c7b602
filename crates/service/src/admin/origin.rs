//! Detects cross-site requests. A browser adds its user's credentials to requests that another site makes it send
//! (cross-site request forgery) and names the origin of such requests. Other programs name none, and have only the
//! credentials that they were given.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// The header of Fetch Metadata; browsers send it to trustworthy addresses, such as `localhost`.
const FETCH_SITE: &str = "sec-fetch-site";

/// True if a browser says that another site made it send this request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    match (headers.get(FETCH_SITE), headers.get(ORIGIN)) {
        // A reverse proxy may have changed the host.
        (Some(site), _) => site != "same-origin",
        (None, Some(origin)) => !is_same_origin(origin.as_bytes(), headers),
        (None, None) => false,
    }
}

/// True if an origin has the host and port that the request was sent to.
fn is_same_origin(origin: &[u8], headers: &HeaderMap) -> bool {
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
    fn requests_of_the_page_itself_and_of_programs_are_accepted() {
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
            assert!(!is_cross_site(&headers(&pairs)), "{pairs:?}");
        }
    }

    #[test]
    fn requests_of_a_page_at_another_site_or_port_are_cross_site() {
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
            assert!(is_cross_site(&headers(&pairs)), "{pairs:?}");
        }
    }
}
