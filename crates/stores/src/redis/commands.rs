//! The commands that the store sends, and which of them a server lacks: renamed, disabled, or
//! denied to the user. Each is tried in a form that changes nothing.

use std::sync::PoisonError;

use redis::{Arg, Cmd, Pipeline, RedisError, Value, cmd};

use super::RedisStore;
use super::acl::right_in;
use crate::commands::{Effect, MissingCommand};
use crate::error::StoreError;
use crate::generation;

/// All commands that are sent, by scripts and connections as well: no other word of a server's text
/// is repeated.
const COMMANDS: [&str; 60] = [
    "AUTH",
    "CLIENT",
    "CONFIG",
    "DBSIZE",
    "DEL",
    "DISCARD",
    "EVAL",
    "EVALSHA",
    "EXEC",
    "EXISTS",
    "GET",
    "HELLO",
    "HGET",
    "HLEN",
    "HPEXPIREAT",
    "HPEXPIRETIME",
    "HSCAN",
    "HSET",
    "HSETEX",
    "INFO",
    "LINDEX",
    "LLEN",
    "LRANGE",
    "LSET",
    "MGET",
    "MULTI",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PEXPIRETIME",
    "PING",
    "PTTL",
    "RENAME",
    "RENAMENX",
    "SADD",
    "SCAN",
    "SCARD",
    "SELECT",
    "SET",
    "SISMEMBER",
    "SREM",
    "SSCAN",
    "STRLEN",
    "TIME",
    "TYPE",
    "UNWATCH",
    "WAIT",
    "WATCH",
    "XADD",
    "XDEL",
    "XINFO",
    "XLEN",
    "XRANGE",
    "XSETID",
    "ZADD",
    "ZCARD",
    "ZRANGE",
    "ZREM",
    "ZSCAN",
    "ZSCORE",
];

/// Used instead of the name when a script calls a command that the server lacks: the error does not
/// say which.
const SCRIPT_COMMANDS: &str = "GET, SET, DEL or EXISTS";

/// The command named by an "unknown command" error.
pub(super) fn unknown_command(detail: &str) -> Option<&'static str> {
    if detail.starts_with("Unknown Redis command called from") {
        return Some(SCRIPT_COMMANDS);
    }
    let tail = detail.strip_prefix("unknown command ")?;
    let tail = tail.strip_prefix(['\'', '`'])?;
    let (name, _) = tail.split_once(['\'', '`'])?;
    let known = COMMANDS.into_iter();
    known.into_iter().find(|it| it.eq_ignore_ascii_case(name))
}

/// The result of trying a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    Works,
    Unknown,
    Denied,
}

/// Always required. Command, arguments after the record name, and what fails without it.
const REQUIRED: [(&str, &[&str], &str); 6] = [
    ("GET", &[], "reading records"),
    ("SET", &["", "XX"], "writing records"),
    (
        "TYPE",
        &[],
        "telling hashes and lists apart from absent records",
    ),
    ("DEL", &[], "deleting records, and quarantine"),
    ("EXISTS", &[], "writing a record only if it is absent"),
    (
        "SCAN",
        &["COUNT", "1"],
        "everything that searches for records: sweeps, audit, quarantine",
    ),
];

/// Optional. Command, arguments after the record name, and what happens without it.
const OPTIONAL: [(&str, &[&str], &str); 4] = [
    ("MGET", &[], "each record is read with a GET of its own"),
    ("STRLEN", &[], "records are read a few at a time"),
    (
        "DBSIZE",
        &[],
        "the progress of a sweep is reported without an estimate",
    ),
    (
        "INFO",
        &[],
        "less is known of the server, and a sweep restarts its scan after a lost connection",
    ),
];

/// Required for such records; a user without the right may have none of them.
const SLOT_COMMANDS: [(&str, &[&str], &str); 15] = [
    ("HGET", &["field"], "values in hash records"),
    ("HSCAN", &["0"], "values in hash records"),
    // Without arguments an unknown command is detected, and nothing is written.
    ("HSET", &[], "values in hash records"),
    ("LINDEX", &["0"], "values in list records"),
    ("LRANGE", &["0", "0"], "values in list records"),
    ("LSET", &["0", ""], "values in list records"),
    ("SSCAN", &["0"], "members of set records"),
    ("SISMEMBER", &[""], "members of set records"),
    ("SADD", &[], "members of set records"),
    ("SREM", &[""], "members of set records"),
    ("ZSCAN", &["0"], "members of sorted set records"),
    ("ZSCORE", &[""], "members of sorted set records"),
    ("ZADD", &[], "members of sorted set records"),
    ("ZREM", &[""], "members of sorted set records"),
    ("XRANGE", &["-", "+"], "values in stream records"),
];

const SCRIPTING: [(&str, &[&str]); 2] = [
    ("EVAL", &["return 'waxseal'", "0"]),
    (
        "EVALSHA",
        &["0000000000000000000000000000000000000000", "0"],
    ),
];
const TRANSACTIONS: [&str; 4] = ["WATCH", "UNWATCH", "MULTI", "EXEC"];

/// True if these arguments can be quoted in an error of the server, which is text.
pub(super) fn are_all_text<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut arguments = arguments.into_iter();
    arguments.all(|it| std::str::from_utf8(it).is_ok())
}

/// The name of a command with arguments that are not text.
pub(super) fn name_if_binary(command: &Cmd) -> Option<&'static str> {
    let mut arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let name = arguments.next()?;
    let known = COMMANDS.into_iter().find(|it| it.as_bytes() == name)?;
    (!are_all_text(arguments)).then_some(known)
}

impl RedisStore {
    /// True if the server lacks a command that is about to be sent with arguments that may not be
    /// text. A server that lacks it quotes them, and its error cannot be parsed: so it is probed
    /// once, without arguments.
    pub(super) async fn lacks(
        &self,
        name: &'static str,
        are_all_text: bool,
    ) -> Result<bool, StoreError> {
        let known = || {
            self.known_commands
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if are_all_text || known().contains(&name) {
            return Ok(false);
        }
        match self.link.send(&cmd(name)).await {
            Err(StoreError::NoCommand { .. }) => Ok(true),
            Err(error) if error.is_transient() => Err(error),
            // An error about the missing arguments.
            _ => {
                known().push(name);
                Ok(false)
            }
        }
    }

    /// Tries every command, and returns those that do not work.
    pub(super) async fn try_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        let record = format!("waxseal:probe:{}", generation::fresh());
        let probe_of = |name: &str, arguments: &[&str]| match name {
            "DBSIZE" | "INFO" | "TIME" => cmd(name),
            "SCAN" => cmd(name).arg("0").arg(arguments).clone(),
            _ => cmd(name).arg(&record).arg(arguments).clone(),
        };
        let mut probes: Vec<(&str, Cmd)> = Vec::new();
        for (name, arguments, _) in REQUIRED.iter().chain(&OPTIONAL).chain(&SLOT_COMMANDS) {
            probes.push((name, probe_of(name, arguments)));
        }
        for (name, arguments) in SCRIPTING {
            probes.push((name, cmd(name).arg(arguments).clone()));
        }
        for name in ["PEXPIRETIME", "PTTL", "TIME"] {
            probes.push((name, probe_of(name, &[])));
        }
        // In this order they form an empty transaction.
        for name in TRANSACTIONS {
            let mut probe = cmd(name);
            if name == "WATCH" {
                probe.arg(&record);
            }
            probes.push((name, probe));
        }
        let trials = self.run_trials(&probes).await?;
        let trial = |name: &str| {
            let found = trials.iter().find(|(of, _)| *of == name);
            found.map_or(Trial::Works, |(_, trial)| *trial)
        };
        Ok(report(&trial))
    }

    async fn run_trials<'a>(
        &self,
        probes: &[(&'a str, Cmd)],
    ) -> Result<Vec<(&'a str, Trial)>, StoreError> {
        let mut request = Pipeline::new();
        for (_, probe) in probes {
            request.add_command(probe.clone());
        }
        let wire = self.link.exclusive().await;
        let mut session = self.link.session(&wire, 0).await?;
        let answers = session.send_all(&request).await;
        // Without `EXEC` on the server, the transaction is still open.
        session.abandon();
        let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
        let names = probes.iter().map(|(name, _)| *name);
        let trials = answers.into_iter().map(Value::extract_error);
        Ok(names.zip(trials.map(|it| classify(&it))).collect())
    }
}

fn classify(answer: &Result<Value, RedisError>) -> Trial {
    let Err(error) = answer else {
        return Trial::Works;
    };
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("NOPERM") => Trial::Denied,
        Some("ERR") if unknown_command(detail).is_some() => Trial::Unknown,
        // Servers name denied rights differently.
        Some("ERR") if right_in(detail).is_some() => Trial::Denied,
        _ => Trial::Works,
    }
}

/// The commands that do not work, and the consequences.
fn report(trial: &dyn Fn(&str) -> Trial) -> Vec<MissingCommand> {
    let mut missing = Vec::new();
    let mut add = |command: &'static str, effect| {
        let trial = trial(command);
        if trial != Trial::Works {
            missing.push(MissingCommand {
                command,
                is_denied: trial == Trial::Denied,
                effect,
            });
        }
    };
    for (command, _, what) in REQUIRED {
        add(command, Effect::Fails(what));
    }
    for (command, _, instead) in OPTIONAL {
        add(command, Effect::Replaced(instead));
    }
    for (command, _, what) in SLOT_COMMANDS {
        if trial(command) == Trial::Unknown {
            add(command, Effect::Fails(what));
        }
    }
    let transactions = TRANSACTIONS.iter().all(|name| trial(name) == Trial::Works);
    for (command, _) in SCRIPTING {
        add(
            command,
            match transactions {
                true => Effect::Replaced(
                    "values are replaced between WATCH and EXEC, which takes two round trips more",
                ),
                false => Effect::Fails(
                    "replacing a value only if it is unchanged: sweeps, StateManager, quarantine \
                     (WATCH, MULTI, EXEC and UNWATCH would do as well)",
                ),
            },
        );
    }
    // Redis 6.2 has no PEXPIRETIME, and does not need it.
    let by_clock = trial("PTTL") == Trial::Works && trial("TIME") == Trial::Works;
    if !by_clock {
        add(
            "PEXPIRETIME",
            Effect::Fails("reading the expiry of records (PTTL and TIME would do as well)"),
        );
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_command_is_named_and_no_other_word_of_the_server() {
        for (detail, named) in [
            (
                "unknown command 'EVAL', with args beginning with: 'return 1' ",
                Some("EVAL"),
            ),
            (
                "unknown command `evalsha`, with args beginning with: `abc`, ",
                Some("EVALSHA"),
            ),
            (
                "unknown command 'SECRET', with args beginning with: 'x' ",
                None,
            ),
            ("unknown command", None),
            ("syntax error", None),
            (
                "Unknown Redis command called from script script: 0f, on @user_script:2.",
                Some(SCRIPT_COMMANDS),
            ),
        ] {
            assert_eq!(unknown_command(detail), named, "{detail}");
        }
    }

    #[test]
    fn scripts_are_replaced_only_where_transactions_work() {
        let without = |names: &'static [&'static str]| {
            report(&|name| match names.contains(&name) {
                true => Trial::Unknown,
                false => Trial::Works,
            })
        };
        assert!(without(&[]).is_empty());
        assert!(without(&["PEXPIRETIME"]).is_empty());
        let replaced = without(&["EVAL"]);
        assert!(matches!(
            replaced[..],
            [MissingCommand {
                effect: Effect::Replaced(_),
                ..
            }]
        ));
        let fails = without(&["EVAL", "EXEC"]);
        assert!(matches!(
            fails[..],
            [MissingCommand {
                effect: Effect::Fails(_),
                ..
            }]
        ));
        let fails = without(&["PEXPIRETIME", "TIME"]);
        assert!(matches!(
            fails[..],
            [MissingCommand {
                effect: Effect::Fails(_),
                ..
            }]
        ));
    }
}
