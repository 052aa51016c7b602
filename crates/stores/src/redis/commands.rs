//! The commands that the store sends, and which of them a server lacks: renamed, switched off, or denied to
//! the user. Each is tried in a form that changes nothing.

use std::sync::PoisonError;

use redis::{Arg, Cmd, Pipeline, RedisError, Value, cmd};

use super::RedisStore;
use super::right::right_of;
use crate::commands::{Effect, MissingCommand};
use crate::error::StoreError;
use crate::generation;

/// All commands that are sent, scripts and connections included: no other word of a server's text is
/// repeated.
const NAMES: [&str; 38] = [
    "AUTH",
    "CLIENT",
    "CONFIG",
    "DBSIZE",
    "DEL",
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
    "PEXPIRETIME",
    "PING",
    "PTTL",
    "SCAN",
    "SELECT",
    "SET",
    "STRLEN",
    "TIME",
    "TYPE",
    "UNWATCH",
    "WAIT",
    "WATCH",
    "DISCARD",
];

/// In place of the name where a script calls a command that the server lacks: it does not say which.
const OF_A_SCRIPT: &str = "GET, SET, DEL or EXISTS";

/// The command of an error that says there is none of its name.
pub(super) fn unknown(detail: &str) -> Option<&'static str> {
    if detail.starts_with("Unknown Redis command called from") {
        return Some(OF_A_SCRIPT);
    }
    let rest = detail.strip_prefix("unknown command ")?;
    let rest = rest.strip_prefix(['\'', '`'])?;
    let (name, _) = rest.split_once(['\'', '`'])?;
    let known = NAMES.into_iter();
    known.into_iter().find(|it| it.eq_ignore_ascii_case(name))
}

/// The result of trying a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    Works,
    Unknown,
    Denied,
}

/// Needed, whatever is done. The word, its arguments behind the name of a record, and what fails without.
const NEEDED: [(&str, &[&str], &str); 6] = [
    ("GET", &[], "reading records"),
    ("SET", &["", "XX"], "writing records"),
    (
        "TYPE",
        &[],
        "telling hashes and lists apart from records that are gone",
    ),
    ("DEL", &[], "deleting records, and quarantine"),
    ("EXISTS", &[], "writing a record only where there is none"),
    (
        "SCAN",
        &["COUNT", "1"],
        "whatever looks for records: sweeps, audit, quarantine",
    ),
];

/// Done without. The word, its arguments behind the name of a record, and what is done then.
const REPLACED: [(&str, &[&str], &str); 4] = [
    ("MGET", &[], "each record is read with a GET of its own"),
    ("STRLEN", &[], "records are read a few at a time"),
    (
        "DBSIZE",
        &[],
        "the progress of a sweep is told without an estimate",
    ),
    (
        "INFO",
        &[],
        "less is known of the server, and a sweep starts its scan again after a lost connection",
    ),
];

/// Needed where such records are; a user without the right may have none of them.
const OF_SLOTS: [(&str, &[&str], &str); 6] = [
    ("HGET", &["field"], "values in hash records"),
    ("HSCAN", &["0"], "values in hash records"),
    // Tells an unknown command without writing.
    ("HSET", &[], "values in hash records"),
    ("LINDEX", &["0"], "values in list records"),
    ("LRANGE", &["0", "0"], "values in list records"),
    ("LSET", &["0", ""], "values in list records"),
];

const BY_SCRIPT: [(&str, &[&str]); 2] = [
    ("EVAL", &["return 'waxseal'", "0"]),
    (
        "EVALSHA",
        &["0000000000000000000000000000000000000000", "0"],
    ),
];
const BY_TRANSACTION: [&str; 4] = ["WATCH", "UNWATCH", "MULTI", "EXEC"];

/// Whether these can stand in an error of the server, which is text.
pub(super) fn are_text<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut arguments = arguments.into_iter();
    arguments.all(|it| std::str::from_utf8(it).is_ok())
}

/// The name of a command that has arguments which are not text.
pub(super) fn word_with_bytes(command: &Cmd) -> Option<&'static str> {
    let mut arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let word = arguments.next()?;
    let known = NAMES.into_iter().find(|it| it.as_bytes() == word)?;
    (!are_text(arguments)).then_some(known)
}

impl RedisStore {
    /// Whether the server lacks a command that is to be sent arguments which may be no text. A server that does
    /// repeats them, and its answer cannot be read: so it is asked once, without any.
    pub(super) async fn lacks(
        &self,
        word: &'static str,
        are_text: bool,
    ) -> Result<bool, StoreError> {
        let known = || self.has.lock().unwrap_or_else(PoisonError::into_inner);
        if are_text || known().contains(&word) {
            return Ok(false);
        }
        match self.link.send(&cmd(word)).await {
            Err(StoreError::NoCommand { .. }) => Ok(true),
            Err(error) if error.is_transient() => Err(error),
            // Of the arguments that it misses.
            _ => {
                known().push(word);
                Ok(false)
            }
        }
    }

    /// Tries every command, and tells those that do not work.
    pub(super) async fn try_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        let name = format!("waxseal:probe:{}", generation::fresh());
        let of_record = |word: &str, arguments: &[&str]| match word {
            "DBSIZE" | "INFO" | "TIME" => cmd(word),
            "SCAN" => cmd(word).arg("0").arg(arguments).clone(),
            _ => cmd(word).arg(&name).arg(arguments).clone(),
        };
        let mut probes: Vec<(&str, Cmd)> = Vec::new();
        for (word, arguments, _) in NEEDED.iter().chain(&REPLACED).chain(&OF_SLOTS) {
            probes.push((word, of_record(word, arguments)));
        }
        for (word, arguments) in BY_SCRIPT {
            probes.push((word, cmd(word).arg(arguments).clone()));
        }
        for word in ["PEXPIRETIME", "PTTL", "TIME"] {
            probes.push((word, of_record(word, &[])));
        }
        // In this order they are a transaction of nothing.
        for word in BY_TRANSACTION {
            let mut probe = cmd(word);
            if word == "WATCH" {
                probe.arg(&name);
            }
            probes.push((word, probe));
        }
        let trials = self.run_trials(&probes).await?;
        let trial = |word: &str| {
            let found = trials.iter().find(|(of, _)| *of == word);
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
        // Where the server has no `EXEC`, the transaction is still open.
        session.give_up();
        let answers = answers.map_err(|failure| self.link.explain_failure(failure))?;
        let words = probes.iter().map(|(word, _)| *word);
        let trials = answers.into_iter().map(Value::extract_error);
        Ok(words.zip(trials.map(|it| of_answer(&it))).collect())
    }
}

fn of_answer(answer: &Result<Value, RedisError>) -> Trial {
    let Err(error) = answer else {
        return Trial::Works;
    };
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("NOPERM") => Trial::Denied,
        Some("ERR") if unknown(detail).is_some() => Trial::Unknown,
        // Servers differ in how they spell what a user may not do.
        Some("ERR") if right_of(detail).is_some() => Trial::Denied,
        _ => Trial::Works,
    }
}

/// The commands that do not work, and what follows.
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
    for (command, _, what) in NEEDED {
        add(command, Effect::Fails(what));
    }
    for (command, _, instead) in REPLACED {
        add(command, Effect::Replaced(instead));
    }
    for (command, _, what) in OF_SLOTS {
        if trial(command) == Trial::Unknown {
            add(command, Effect::Fails(what));
        }
    }
    let transactions = BY_TRANSACTION
        .iter()
        .all(|word| trial(word) == Trial::Works);
    for (command, _) in BY_SCRIPT {
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
    // Redis 6.2 has no PEXPIRETIME, and needs none.
    let by_clock = trial("PTTL") == Trial::Works && trial("TIME") == Trial::Works;
    if !by_clock {
        add(
            "PEXPIRETIME",
            Effect::Fails("telling until when records live (PTTL and TIME would do as well)"),
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
                Some(OF_A_SCRIPT),
            ),
        ] {
            assert_eq!(unknown(detail), named, "{detail}");
        }
    }

    #[test]
    fn scripts_are_replaced_only_where_transactions_work() {
        let without = |words: &'static [&'static str]| {
            report(&|word| match words.contains(&word) {
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
