//! Which right a user lacks, from the server's refusal and the command that it refused. Of a server's text
//! only the name of a command is taken, and of a record name only what it shares with others.

use redis::{Arg, Cmd};

/// No command is longer, subcommands included.
const MAX_COMMAND: usize = 32;
/// No prefix of record names that is told is longer.
const MAX_PREFIX: usize = 24;
/// The names that are Waxseal's own.
const OWN: &[u8] = b"waxseal:";
/// In place of the right to a record whose name shares nothing with others.
const SOME_KEY: &str = "~PATTERN";

/// The right that a refusal names: `+scan`, or [`SOME_KEY`] for a record.
pub(super) fn right_of(detail: &str) -> Option<String> {
    if let Some((_, rest)) = detail.split_once(" run the '") {
        let (name, _) = rest.split_once('\'')?;
        return command_right(name);
    }
    let of_key = ["access a key", "one of the keys"];
    of_key
        .iter()
        .any(|text| detail.contains(text))
        .then(|| SOME_KEY.to_owned())
}

/// The right that one refused command needs, where the server did not say it as precisely.
pub(super) fn missing_right(named: Option<String>, command: &Cmd) -> Option<String> {
    let mut arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let name = arguments.next()?.to_ascii_lowercase();
    match named {
        Some(right) if right != SOME_KEY => Some(right),
        // Scripts name their records behind themselves and a number.
        Some(_) if name.starts_with(b"eval") => arguments.nth(2).map(of_record),
        Some(_) => arguments.next().map(of_record),
        None => command_right(std::str::from_utf8(&name).ok()?),
    }
}

fn command_right(name: &str) -> Option<String> {
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"|-_.".contains(&b);
    (!name.is_empty() && name.len() <= MAX_COMMAND && name.bytes().all(is_name))
        .then(|| format!("+{name}"))
}

fn of_record(name: &[u8]) -> String {
    if name.starts_with(OWN) {
        return "~waxseal:*".to_owned();
    }
    let end = name.iter().position(|b| *b == b':').map_or(0, |at| at + 1);
    let prefix = name.get(..end).unwrap_or_default();
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
    match std::str::from_utf8(prefix) {
        Ok(text) if (1..=MAX_PREFIX).contains(&end) && prefix.iter().all(is_plain) => {
            format!("~{text}*")
        }
        _ => SOME_KEY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right_that_is_missing() {
        for (detail, right) in [
            (
                "User support has no permissions to run the 'scan' command",
                Some("+scan"),
            ),
            (
                "this user has no permissions to run the 'client|list' command",
                Some("+client|list"),
            ),
            ("No permissions to access a key", Some(SOME_KEY)),
            (
                "this user has no permissions to access one of the keys used as arguments",
                Some(SOME_KEY),
            ),
            ("User x may not run the 's3cret PASSWORD' command", None),
            ("anything", None),
        ] {
            assert_eq!(right_of(detail).as_deref(), right, "{detail}");
        }
    }

    #[test]
    fn a_record_is_named_by_what_it_shares_with_others() {
        assert_eq!(of_record(b"wa:5215512345678"), "~wa:*");
        assert_eq!(of_record(b"waxseal:canary"), "~waxseal:*");
        assert_eq!(of_record(b"5215512345678"), SOME_KEY);
        assert_eq!(
            of_record(b"5215512345678 and more than a prefix:1"),
            SOME_KEY
        );
        let some = || Some(SOME_KEY.to_owned());
        let get = redis::cmd("GET").arg("wa:1").clone();
        assert_eq!(missing_right(some(), &get).as_deref(), Some("~wa:*"));
        assert_eq!(missing_right(None, &get).as_deref(), Some("+get"));
        let eval = redis::cmd("EVALSHA").arg("a").arg(1).arg("wa:1").clone();
        assert_eq!(missing_right(some(), &eval).as_deref(), Some("~wa:*"));
    }
}
