//! The ACL right that a user lacks, from the server's refusal and the refused command. Only a
//! command's name is taken from the server's text, and nothing from record names: which part of a
//! name identifies a user is known to patterns alone.

use redis::{Arg, Cmd};

/// The longest name of a command, subcommands included.
const MAX_COMMAND: usize = 32;
/// The prefix of Waxseal's own names.
const OWN_PREFIX: &[u8] = b"waxseal:";
/// Stands for the right to a record: its pattern is not known here.
const SOME_KEY: &str = "~PATTERN";
/// The same for a channel.
const SOME_CHANNEL: &str = "&CHANNEL";
/// Commands whose arguments are all record names.
const MULTI_KEY_COMMANDS: [&[u8]; 5] = [b"mget", b"del", b"unlink", b"exists", b"touch"];

/// The right that a refusal names: `+scan`, [`SOME_KEY`] for a record, [`SOME_CHANNEL`] for a channel.
pub(super) fn right_in(detail: &str) -> Option<String> {
    if let Some((_, tail)) = detail.split_once(" run the '") {
        let (name, _) = tail.split_once('\'')?;
        return command_right(name);
    }
    if detail.contains("channel") {
        return Some(SOME_CHANNEL.to_owned());
    }
    let of_key = ["access a key", "one of the keys"];
    of_key
        .iter()
        .any(|text| detail.contains(text))
        .then(|| SOME_KEY.to_owned())
}

/// The right that one refused command needs, where the server did not report it precisely.
pub(super) fn missing_right(named: Option<String>, command: &Cmd) -> Option<String> {
    let mut arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let name = arguments.next()?.to_ascii_lowercase();
    match named {
        Some(right) if right != SOME_KEY => Some(right),
        // Scripts take a number of records, then their names.
        Some(_) if name.starts_with(b"eval") => {
            let count = arguments.nth(1)?;
            let count = std::str::from_utf8(count).ok()?.parse().ok()?;
            Some(right_to_records(arguments.take(count)))
        }
        Some(_) if MULTI_KEY_COMMANDS.contains(&name.as_slice()) => {
            Some(right_to_records(arguments))
        }
        Some(_) => Some(right_to_records(arguments.take(1))),
        None => command_right(std::str::from_utf8(&name).ok()?),
    }
}

fn command_right(name: &str) -> Option<String> {
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"|-_.".contains(&b);
    (!name.is_empty() && name.len() <= MAX_COMMAND && name.bytes().all(is_name))
        .then(|| format!("+{name}"))
}

/// The right to all of these records, any of which may be the refused one.
fn right_to_records<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> String {
    match names.all(|name| name.starts_with(OWN_PREFIX)) {
        true => "~waxseal:*".to_owned(),
        false => SOME_KEY.to_owned(),
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
            (
                "this user has no permissions to access one of the channels used as arguments",
                Some(SOME_CHANNEL),
            ),
            ("User x may not run the 's3cret PASSWORD' command", None),
            ("anything", None),
        ] {
            assert_eq!(right_in(detail).as_deref(), right, "{detail}");
        }
    }

    #[test]
    fn no_part_of_a_record_name_but_our_own_prefix_is_revealed() {
        let right = |parts: &[&str]| {
            let mut command = redis::cmd(parts[0]);
            command.arg(&parts[1..]);
            missing_right(Some(SOME_KEY.to_owned()), &command)
        };
        for (parts, expected) in [
            (&["GET", "waxseal:canary"][..], "~waxseal:*"),
            (&["SET", "waxseal:canary", "value"], "~waxseal:*"),
            (&["GET", "5215512345678:state"], SOME_KEY),
            (&["GET", "wa:5215512345678"], SOME_KEY),
            (&["EVALSHA", "a", "1", "waxseal:canary", "x"], "~waxseal:*"),
            (&["EVALSHA", "a", "1", "wa:1"], SOME_KEY),
            (
                &["EVALSHA", "a", "2", "waxseal:quarantine:1", "wa:1"],
                SOME_KEY,
            ),
            (&["MGET", "waxseal:canary", "wa:1"], SOME_KEY),
            (&["DEL", "waxseal:canary", "waxseal:keyring"], "~waxseal:*"),
        ] {
            assert_eq!(right(parts).as_deref(), Some(expected), "{parts:?}");
        }
        let get = redis::cmd("GET").arg("wa:1").clone();
        assert_eq!(missing_right(None, &get).as_deref(), Some("+get"));
        let subscribe = redis::cmd("SUBSCRIBE").arg("news").clone();
        let named = right_in("No permissions to access a channel");
        assert_eq!(
            missing_right(named, &subscribe).as_deref(),
            Some(SOME_CHANNEL)
        );
    }
}
