//! Addresses to listen on, as they are typed: a port alone is the usual mistake.

use waxseal_service::Failure;

/// The host where none was given: only this machine reaches it.
const LOCAL: &str = "127.0.0.1";

/// Refuses an address that is not `HOST:PORT`, with an example. `forms`: what the flag takes.
pub(crate) fn check_host_port(
    flag: &str,
    forms: &str,
    text: &str,
    port: u16,
) -> Result<(), Failure> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let example = match text.rsplit_once(':') {
        Some((host, given)) if is_port(given) => match host {
            "" => format!("{LOCAL}:{given}"),
            _ if !host.contains('/') => return Ok(()),
            _ => format!("{LOCAL}:{port}"),
        },
        None if is_port(text) => format!("{LOCAL}:{text}"),
        None if is_host(text) => format!("{text}:{port}"),
        _ => format!("{LOCAL}:{port}"),
    };
    Err(Failure::usage(format!("{flag} takes {forms}"))
        .hint(format!("for example {flag} {example}")))
}

/// True if it can be the name or address of a host.
fn is_host(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_in_the_example() {
        let check = |text| check_host_port("--admin", "HOST:PORT", text, 9180);
        for text in ["127.0.0.1:0", "localhost:9180", "[::1]:9180", "0.0.0.0:1"] {
            assert!(check(text).is_ok(), "{text}");
        }
        for (text, example) in [
            ("23999", "--admin 127.0.0.1:23999"),
            (":23999", "--admin 127.0.0.1:23999"),
            ("localhost", "--admin localhost:9180"),
            ("http://localhost:9180", "--admin 127.0.0.1:9180"),
            ("127.0.0.1:99999", "--admin 127.0.0.1:9180"),
            ("", "--admin 127.0.0.1:9180"),
        ] {
            let failure = check(text).unwrap_err();
            assert_eq!(failure.text(), "--admin takes HOST:PORT");
            let hint = failure.advice().unwrap();
            assert_eq!(hint, format!("for example {example}"), "{text}");
        }
    }
}
