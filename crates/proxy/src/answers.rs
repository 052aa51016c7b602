//! The answers of the proxy itself. Each begins with a code of its own, names the command and the cause, and contains no
//! argument and no value.

use waxseal_compute::{Dialect, Product, ServerError};
use waxseal_core::{OpenError, SealError};
use waxseal_lua::{MAX_ELEMENTS, TOO_MANY_ELEMENTS};
use waxseal_policy::{ProtectedNames, Refusal};
use waxseal_resp::{RequestError, write_error, write_error_bytes};

use crate::login::LoginError;
use crate::remedy::Remedy;
use crate::server_limits::MaxValue;

/// The answer to a transaction with a command that was refused with this answer, worded as Redis does when it names the
/// cause: many clients show only this error. An empty one was the server's.
pub(crate) fn exec_abort(refusal: &[u8]) -> Vec<u8> {
    if refusal.is_empty() {
        return b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec();
    }
    let cause = refusal.strip_prefix(b"-").unwrap_or(refusal);
    [&b"-EXECABORT Transaction discarded because of: "[..], cause].concat()
}

/// The answers of Redis to what cannot be queued, and to what was.
const NESTED_MULTI: &[u8] = b"-ERR MULTI calls can not be nested\r\n";
const WATCH_IN_MULTI: &[u8] = b"-ERR WATCH inside MULTI is not allowed\r\n";
pub(crate) const QUEUED: &[u8] = b"+QUEUED\r\n";

/// True for an error between MULTI and EXEC after which servers still execute the transaction: they refuse no command to be
/// queued, but a step of the transaction.
pub(crate) fn aborts_nothing(error: &[u8]) -> bool {
    [NESTED_MULTI, WATCH_IN_MULTI].contains(&error)
}

/// A server's answer to `MULTI` or `WATCH` in a transaction, and true if it then aborts the transaction.
pub(crate) fn step_in_transaction(command: &str, dialect: Dialect) -> (Vec<u8>, bool) {
    match (dialect.product(), dialect.version()) {
        (Product::Valkey, (9.., _)) => {
            let text = format!("ERR Command '{command}' not allowed inside a transaction");
            (error(&text), true)
        }
        (Product::Valkey, (8, _)) => (error("ERR Command not allowed inside a transaction"), true),
        _ if command == "multi" => (NESTED_MULTI.to_vec(), false),
        _ => (WATCH_IN_MULTI.to_vec(), false),
    }
}

/// A server's answer to a command with a wrong number of arguments.
pub(crate) fn wrong_arity(command: &str) -> Vec<u8> {
    error(&format!(
        "ERR wrong number of arguments for '{command}' command"
    ))
}

/// The answer to QUIT.
pub(crate) const OK: &[u8] = b"+OK\r\n";

/// The answer of Redis when `maxclients` is reached.
pub(crate) const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// The policy refuses this command on a protected record.
pub(crate) fn refused(refusal: &Refusal, remedy: &Remedy, names: &ProtectedNames) -> Vec<u8> {
    let statement = refusal.statement();
    let remedy = remedy.for_client(refusal.reason, names);
    error(&format!("SEALREFUSED {statement}: {remedy}"))
}

/// The expected reply to each command of a transaction is remembered until its end.
pub(crate) fn transaction_too_large() -> Vec<u8> {
    error("SEALREFUSED the transaction is too large for this proxy: send it in parts")
}

/// Within a transaction, this command would change the connection in the middle of a reply.
pub(crate) fn refused_in_transaction(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command} inside a transaction is not supported by this proxy: send it before MULTI"
    ))
}

/// The server has a wider prefix of sealed names, and refuses one that overlaps with it.
pub(crate) fn tracking_of_more_names() -> Vec<u8> {
    error(
        "SEALREFUSED CLIENT TRACKING with one more prefix of names that are sealed: send CLIENT TRACKING OFF first, then all prefixes at once",
    )
}

/// More prefixes than can be compared with each other.
pub(crate) fn too_many_prefixes(max: usize) -> Vec<u8> {
    error(&format!(
        "SEALREFUSED CLIENT TRACKING with more than {max} prefixes is not supported by this proxy where names are sealed"
    ))
}

/// A server's answer to a prefix that overlaps with one of these.
pub(crate) fn overlapping_prefixes(prefix: &[u8], which: &str, other: &[u8]) -> Vec<u8> {
    let text = [
        b"ERR Prefix '",
        prefix,
        b"' overlaps with ",
        which.as_bytes(),
        b" prefix '",
        other,
        b"'. Prefixes for a single client must not overlap.",
    ];
    let mut answer = Vec::new();
    write_error_bytes(&mut answer, &text.concat());
    answer
}

/// Connections to the server that clients share match this filter of `CLIENT KILL`, whichever client is selected.
pub(crate) fn matches_shared_connections(filter: &str) -> Vec<u8> {
    error(&format!(
        "SEALREFUSED CLIENT KILL {filter} matches connections that this proxy shares between clients: name the clients, by ID, ADDR or NAME"
    ))
}

/// The answer of Redis to a digest that it does not know: clients then send the script's text.
pub(crate) const NO_SCRIPT: &[u8] = b"-NOSCRIPT No matching script. Please use EVAL.\r\n";

/// The server's error about the proxy's own `GET`, as one about the command that the client sent.
pub(crate) fn read_failed(command: &str, error: &[u8]) -> Vec<u8> {
    const OWN: &[u8] = b"'get'";
    let is_own = |word: &[u8]| word.eq_ignore_ascii_case(OWN);
    let Some(at) = error.windows(OWN.len()).position(is_own) else {
        return error.to_vec();
    };
    let (before, tail) = error.split_at(at);
    let after = tail.get(OWN.len()..).unwrap_or_default();
    [before, format!("'{command}'").as_bytes(), after].concat()
}

/// A known script compares a value that was read before, and in a transaction nothing is read before EXEC.
pub(crate) fn script_in_transaction(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the script of a lock on a protected record is not run inside a transaction: send it outside MULTI and EXEC, or leave the lock's records out of the pattern with except"
    ))
}

/// `MATCH` takes too long on the members of a page.
pub(crate) fn glob_too_costly(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: MATCH takes too many steps on this page: use a glob with fewer wildcards, or a smaller COUNT"
    ))
}

/// The script that gives members the form in which they are written failed, and the command behind it was carried out
/// all the same: in a transaction the server goes on.
pub(crate) fn carried_out_without_prelude(command: &str, cause: &[u8]) -> Vec<u8> {
    let command = display_name(command);
    let rights = is_about_rights(cause);
    let cause = without_position(cause);
    let cause = String::from_utf8_lossy(cause.strip_prefix(b"-").unwrap_or(&cause));
    let code = match rights {
        true => "NOPERM",
        false => cause.split(' ').next().unwrap_or("ERR"),
    };
    error(&format!(
        "{code} {command}: the command was carried out, but members may still be stored in another form, and the script that replaces them before it failed: {}",
        cause.trim_end()
    ))
}

/// The script that gives members the form in which they are written did not run, and neither did the command.
pub(crate) fn prelude_failed(command: &str, cause: &[u8]) -> Vec<u8> {
    if is_about_rights(cause) {
        let command = display_name(command);
        return error(&format!(
            "NOPERM {command}: members may still be stored in another form, which EVAL replaces before the command runs, and this user may not run it: allow EVAL, TYPE, SISMEMBER, SADD, SREM, ZSCORE, ZADD, ZREM, LPOS and LSET on the record, or run `waxseal migrate` and use mode required"
        ));
    }
    if cause.starts_with(TOO_MANY_ELEMENTS.as_bytes()) {
        let command = display_name(command);
        return error(&format!(
            "SEALREFUSED {command}: nothing was changed: the list holds more than {MAX_ELEMENTS} of these elements in another form than the one that is written: run `waxseal migrate` if they are plaintext, else `waxseal rotate`"
        ));
    }
    without_position(cause)
}

/// An error of one of the proxy's own scripts without the position in the script, which some servers name, before the error
/// (Redis 6.2) or behind it.
pub(crate) fn without_position(error: &[u8]) -> Vec<u8> {
    const SCRIPT: &[u8] = b"@user_script:";
    let is_own_code = |rest: &[u8]| rest.first() == Some(&b'-');
    if let Some(rest) = error
        .strip_prefix(b"-")
        .and_then(|it| it.strip_prefix(SCRIPT))
    {
        let is_position = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b':');
        let len = rest.iter().take_while(|byte| is_position(byte)).count();
        let rest = rest.get(len..).unwrap_or_default();
        return match is_own_code(rest) {
            true => rest.to_vec(),
            false => [b"-ERR ", rest].concat(),
        };
    }
    let place = b" script: ";
    let at = error.windows(place.len()).rposition(|it| it == place);
    match at.map(|at| error.split_at(at)) {
        Some((before, behind)) if behind.windows(SCRIPT.len()).any(|it| it == SCRIPT) => {
            [before, b"\r\n"].concat()
        }
        _ => error.to_vec(),
    }
}

/// A request names more members than are given the written form at a time.
pub(crate) fn too_many_members(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: nothing was sent: it names more than {max} members, which may be stored in another form: name fewer at a time"
    ))
}

/// A known script found another value each time than had been read just before.
pub(crate) fn script_changed(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the value was replaced each time between reading it and running the script, nothing was changed: try again"
    ))
}

/// The user may not read the record that a known script compares.
pub(crate) fn script_may_not_read(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "NOPERM {command}: the value is read with GET before the script of a lock runs, and this user may not read it: allow the user GET on the record"
    ))
}

/// An error as the server words it.
pub(crate) fn server_error(cause: ServerError) -> Vec<u8> {
    error(&cause.to_string())
}

/// True for an error about a missing right, of a request or of a command in a script, as any server words it.
pub(crate) fn is_about_rights(error: &[u8]) -> bool {
    /// Redis 7.0 and Valkey; Redis since 7.2.
    const IN_SCRIPTS: [&[u8]; 2] = [
        b"The user executing the script can't ",
        b"ACL failure in script: ",
    ];
    let contains = |words: &[u8]| error.windows(words.len()).any(|it| it == words);
    error.starts_with(b"-NOPERM") || IN_SCRIPTS.into_iter().any(contains)
}

/// The user may not send what a computed command needs.
pub(crate) fn computed_not_permitted(command: &str, is_field: bool) -> Vec<u8> {
    let command = display_name(command);
    let needed = match is_field {
        true => "HGET, HSET, HSETEX (before Redis 8: HPEXPIRETIME and HPEXPIREAT) and EVAL",
        false => "GET, SET, DEL and EVAL",
    };
    error(&format!(
        "NOPERM {command}: the value is read, computed by this proxy and written back, for which this user needs {needed} on the record"
    ))
}

/// The value was replaced each time between reading it and writing the result.
pub(crate) fn computed_changed(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the value was replaced each time between reading it and writing the result, nothing was changed: try again"
    ))
}

/// A computed command inside a transaction whose replies the client does not want.
pub(crate) fn computed_without_replies(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command} inside a transaction needs replies: send CLIENT REPLY ON before MULTI"
    ))
}

/// A computed command inside a transaction, behind a command that may leave any value.
pub(crate) fn computed_after_change(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command} inside a transaction is not possible after a command that may have changed its value in a way that this proxy cannot follow: send it before that one, or outside the transaction"
    ))
}

/// The server's error about watching the values of a transaction.
pub(crate) fn watch_failed(cause: &[u8]) -> Vec<u8> {
    if is_about_rights(cause) {
        return error(
            "NOPERM EXEC: the values that the transaction computes on are watched, and this user may not do so: allow the user WATCH on the records",
        );
    }
    exec_abort(cause)
}

/// The result of a computed command would be longer than a value may be.
pub(crate) fn computed_too_large(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: nothing was written: the value would be larger than {max} bytes: raise --max-value"
    ))
}

/// The result of a computed command was sent for several clients, and the connection ended before the answer.
pub(crate) fn computed_unknown(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "ERR waxseal cannot tell whether {command} was carried out: the connection to the store ended before its answer: read the value"
    ))
}

/// A move inside a transaction, behind a command that may leave values which are not known.
pub(crate) fn move_after_change(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command} inside a transaction is not possible after a command that may have put values into its record which this proxy does not know: send it before that one, or outside the transaction; or give both records one group with bind = \"group\""
    ))
}

/// A command of a transaction was not carried out, because one before it had another outcome than was foreseen.
pub(crate) fn unforeseen_in_transaction(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: it changed nothing: a command before it in the transaction had another outcome than this proxy could foresee: send it outside the transaction"
    ))
}

/// What was to be moved was changed each time between reading and moving it.
pub(crate) fn move_changed(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the record was changed each time between reading and moving it, nothing was moved: try again"
    ))
}

/// A record has so many values that moving them would hold up the server, or they are larger than a reply may be.
pub(crate) fn move_too_large(command: &str, values: usize, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: nothing has moved: each value is sealed again for the other name, and the record has more than {values} values or {max} bytes: raise --max-value if that is the reason, or give both records one group with bind = \"group\""
    ))
}

/// The record is of a type whose values cannot be sealed again.
pub(crate) fn move_of_other_type(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: values of strings, hashes, lists, sets and sorted sets are sealed again for the other name, and the record is of another type: give both records one group with bind = \"group\""
    ))
}

/// The user may not send what a move needs.
pub(crate) fn move_not_permitted(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "NOPERM {command}: the values are read, sealed again by this proxy and moved by a script, for which this user needs EVAL and the commands that read and write such a record: GET and SET, HGETALL, HSCAN and HSET, LINDEX, LRANGE, LSET, RPUSH and LTRIM, SMEMBERS, SSCAN, SISMEMBER, SADD and SREM, or ZRANGE, ZSCORE, ZADD and ZREM; TYPE, EXISTS, and STRLEN, HLEN, LLEN, SCARD or ZCARD; in a transaction WATCH"
    ))
}

/// Sorting takes several requests, and in a transaction nothing is read before EXEC.
pub(crate) fn sort_in_transaction(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command} with STORE, or with a pattern for BY or GET, reads values of protected records before it answers, which is not done inside a transaction: send it outside MULTI and EXEC"
    ))
}

/// What is sorted was changed each time between reading it and the end.
pub(crate) fn sort_changed(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: what it sorts was changed each time while it was read, nothing was stored: try again"
    ))
}

/// The user may not send what sorting needs.
pub(crate) fn sort_not_permitted(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "NOPERM {command}: values are read by a script, sorted by this proxy and stored by a script, for which this user needs EVAL and TYPE, GET and HGET for BY and GET, and RPUSH for STORE, on each record"
    ))
}

/// While MONITOR is on, replies cannot be distinguished from its reports.
pub(crate) fn refused_while_monitoring() -> Vec<u8> {
    error("SEALREFUSED only RESET and QUIT are possible while MONITOR is on")
}

/// A value or request that is too large to be held.
pub(crate) fn too_large(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the value of a protected record is larger than {max} bytes: raise --max-value"
    ))
}

/// The server would close the connection because of a value of this length.
pub(crate) fn too_large_for_server(command: &str, len: u64, max: MaxValue) -> Vec<u8> {
    let command = display_name(command);
    let MaxValue { bytes, setting } = max;
    error(&format!(
        "SEALREFUSED {command}: nothing was written: a value takes {len} bytes as it is stored, and the server accepts at most {bytes} ({setting}): store smaller values, or raise {setting}"
    ))
}

/// A request that would have to be held completely.
pub(crate) fn request_too_large(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the request is larger than {max} bytes and can only be judged whole: send it in parts, or raise --max-value"
    ))
}

/// A reply that would have to be held.
pub(crate) fn reply_too_large(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the reply with sealed values is larger than {max} bytes: ask for fewer at a time, or raise --max-value"
    ))
}

/// A reply with more names than may wait for one client.
pub(crate) fn too_many_names(command: &str, max: usize) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALREFUSED {command}: the names in the reply take more than {max} bytes: use SCAN"
    ))
}

/// The expected source of the key of a value that was not opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The variables that hold keys.
    Environment,
    /// The keyring.
    Ring,
    /// The keys of users.
    User,
    /// The keys of users, which were not reached.
    UserOutOfReach,
}

/// A value was not opened.
pub(crate) fn value_not_opened(command: &str, cause: &OpenError, key_source: KeySource) -> Vec<u8> {
    let command = display_name(command);
    let text = match cause {
        _ if key_source == KeySource::UserOutOfReach => {
            format!("SEALNOKEY {command}: the key of this user cannot be reached: try again")
        }
        OpenError::UnknownKey { .. } if key_source == KeySource::User => format!(
            "SEALNOKEY {command}: the value is sealed under a key of a user that this proxy cannot find"
        ),
        OpenError::UnknownKey { id } if key_source == KeySource::Ring => format!(
            "SEALNOKEY {command}: the value is sealed under key {id}, which is not in the keyring"
        ),
        OpenError::UnknownKey { id } => format!(
            "SEALNOKEY {command}: the value is sealed under key {id}, which this proxy does not have: add it to REDIS_ENCRYPTION_PREVIOUS_KEYS"
        ),
        OpenError::Plaintext => format!(
            "SEALPLAIN {command}: the value is plaintext and the mode is required: run `waxseal migrate`, or use mode on until it has run"
        ),
        OpenError::Erased { .. } => {
            format!("SEALERASED {command}: the key of this user was destroyed")
        }
        OpenError::Compromised { id } => format!(
            "SEALBROKEN {command}: the value is sealed under key {id}, which is marked as compromised: it is not opened"
        ),
        OpenError::Version { .. } => format!("SEALBROKEN {command}: {cause}"),
        _ => format!(
            "SEALBROKEN {command}: the stored value cannot be opened: it was damaged, copied from another record, or sealed under another key; `waxseal inspect` tells more"
        ),
    };
    error(&text)
}

/// The key of a user that a request concerns was not reached.
pub(crate) fn user_out_of_reach(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALNOKEY {command}: the key of this user cannot be reached, nothing was sent: try again"
    ))
}

/// The keyring could not be reached for so long that its sealing key may have been destroyed.
pub(crate) fn ring_out_of_reach(command: &str) -> Vec<u8> {
    let command = display_name(command);
    error(&format!(
        "SEALNOKEY {command}: the keyring could not be reached for too long, nothing was sent"
    ))
}

/// A value was not sealed.
pub(crate) fn not_sealed(command: &str, cause: &SealError) -> Vec<u8> {
    let command = display_name(command);
    let word = match cause {
        SealError::NoKey => "SEALNOKEY",
        SealError::Erased => "SEALERASED",
        _ => "SEALREFUSED",
    };
    error(&format!("{word} {command}: nothing was written: {cause}"))
}

/// The bytes from the client are not a request.
pub(crate) fn invalid_request(cause: RequestError) -> Vec<u8> {
    error(&format!("ERR {cause}"))
}

/// The upstream cannot be reached. The cause is a text of the proxy, never one of a server.
pub(crate) fn unreachable(cause: &str) -> Vec<u8> {
    error(&format!("ERR waxseal cannot reach the store: {cause}"))
}

/// The server does not accept the proxy's login.
pub(crate) fn refused_login(error: LoginError) -> Vec<u8> {
    match error {
        LoginError::TooManyClients => TOO_MANY.to_vec(),
        error => unreachable(error.description()),
    }
}

/// The answer of Redis to a subcommand that it does not know. It repeats the client's own word to that client, as far as
/// Redis does.
pub(crate) fn unknown_subcommand(container: &[u8], subcommand: &[u8]) -> Vec<u8> {
    const MAX_SHOWN: usize = 128;
    let shown = subcommand
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    let shown = shown.get(..MAX_SHOWN).unwrap_or(shown);
    let text = [
        b"ERR unknown subcommand '",
        shown,
        b"'. Try ",
        &container.to_ascii_uppercase(),
        b" HELP.",
    ];
    let mut out = Vec::new();
    write_error_bytes(&mut out, &text.concat());
    out
}

/// The name of a command of the table as users write it: `CLIENT REPLY` for `client|reply`.
pub(crate) fn display_name(command: &str) -> String {
    command.replace('|', " ").to_ascii_uppercase()
}

fn error(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(3));
    write_error(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_in_a_script_is_left_out() {
        for (error, expected) in [
            ("-OOM x\r\n", "-OOM x\r\n"),
            ("-@user_script: 87: -OOM x.\r\n", "-OOM x.\r\n"),
            ("-@user_script:8: x\r\n", "-ERR x\r\n"),
            (
                "-READONLY no. script: 870b, on @user_script:14.\r\n",
                "-READONLY no.\r\n",
            ),
            ("-ERR a script: b\r\n", "-ERR a script: b\r\n"),
        ] {
            let shown = without_position(error.as_bytes());
            assert_eq!(String::from_utf8_lossy(&shown), expected);
        }
    }
}
