//! Logins: a PIN is never sent twice in vain, not by processes that start at the same moment either.

use std::fs;
use std::path::Path;
use std::thread;

use waxseal_testing::softhsm::{FaultMode, FaultyModule, Token};

use super::{URL, variables, with, wrapped};
use crate::talk::{Talk, Variables};

/// How many processes start at the same moment.
const PROCESSES: usize = 4;

/// The variables of a process whose calls are logged, in front of a module that fails on demand.
fn spied(variables: Variables, token: &Token, faulty: &FaultyModule, log: &Path) -> Variables {
    let mut spied = with(
        variables,
        "PKCS11_MODULE_PATH",
        token.spy().to_str().unwrap(),
    );
    spied.extend(token.spy_env(log));
    spied.extend(faulty.env());
    with(spied, "PKCS11SPY", faulty.module().to_str().unwrap())
}

/// How often a PIN was sent, as a log tells; a process that never loaded its module has none.
fn logins(log: &Path) -> usize {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.matches(": C_Login\n").count()
}

/// Starts processes at the same moment, each with a key to wrap, in a mode in which logins take so long
/// that all are there before the first is through. Returns what each said, and how many logins there
/// were.
fn wrap_at_once(mode: FaultMode, variables: &Variables, token: &Token) -> (Vec<String>, usize) {
    let directory = tempfile::tempdir().unwrap();
    let faulty = FaultyModule::new(token);
    faulty.set_mode(mode);
    let logs: Vec<_> = (0..PROCESSES)
        .map(|process| directory.path().join(process.to_string()))
        .collect();
    let said = thread::scope(|scope| {
        let processes: Vec<_> = logs
            .iter()
            .map(|log| spied(variables.clone(), token, &faulty, log))
            .map(|spied| scope.spawn(move || Talk::start(&[URL], &spied).say("wrap")))
            .collect();
        processes.into_iter().map(|it| it.join().unwrap()).collect()
    });
    (said, logs.iter().map(|log| logins(log)).sum())
}

#[test]
fn processes_that_start_at_once_log_in_one_after_the_other() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let (said, logins) = wrap_at_once(FaultMode::OneLogin, &right, &token);
    assert_eq!(said, ["ok"; PROCESSES]);
    assert_eq!(logins, PROCESSES);
}

#[test]
fn a_wrong_pin_is_given_once_by_all_processes_that_start_at_once() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let wrong = with(right, "PKCS11_PIN", "000000");
    let (said, logins) = wrap_at_once(FaultMode::SlowLogin, &wrong, &token);
    for said in &said {
        assert!(said.contains("does not take the PIN"), "{said}");
    }
    let told = |cause: &str| said.iter().filter(|it| it.contains(cause)).count();
    assert_eq!(told("it is wrong"), 1, "{said:?}");
    let others = told("a wrong one was given since the last login");
    assert_eq!(others, PROCESSES - 1, "{said:?}");
    assert_eq!(logins, 1);
}

#[test]
fn a_wrong_pin_is_given_once_and_never_again() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let mut spied = with(right.clone(), "PKCS11_PIN", "000000");
    spied.extend(token.spy_env(&log));
    let spied = with(spied, "PKCS11_MODULE_PATH", token.spy().to_str().unwrap());

    let mut talk = Talk::start(&[URL], &spied);
    for line in ["wrap", "wrap", "create-key", "wrap"] {
        let said = talk.say(line);
        assert!(said.contains("does not take the PIN"), "{line}: {said}");
        assert!(!said.contains("000000"), "{said}");
    }
    talk.end();
    // The custodian that `create-key` opens anew is told what the first one met.
    assert_eq!(logins(&log), 1);

    // A process that starts again and again, as under a supervisor, does not lock the token either.
    for _ in 0..5 {
        let said = Talk::start(&[URL], &spied).say("wrap");
        assert!(
            said.contains("a wrong one was given since the last login"),
            "{said}"
        );
    }
    assert_eq!(logins(&log), 1);
    assert!(token.has_counted_a_wrong_pin());

    // After a login by hand the right one is taken.
    token.unlock();
    let mut talk = Talk::start(&[URL], &right);
    assert_eq!(talk.say("wrap"), "ok");
}

#[test]
fn a_login_that_fails_for_no_reason_is_not_repeated_either() {
    let token = Token::new("waxseal");
    drop(wrapped(&variables(&token)));
    let faulty = FaultyModule::new(&token);
    faulty.set_mode(FaultMode::NoLogin);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let spied = spied(variables(&token), &token, &faulty, &log);
    let mut talk = Talk::start(&[URL], &spied);
    // The module sets no flag: the process alone knows, and each custodian of it.
    for line in ["wrap", "create-key", "wrap"] {
        let said = talk.say(line);
        // What is remembered of the PIN is not that it is wrong: nobody knows.
        let expected = "does not take the PIN: it refuses the login";
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(logins(&log), 1);
}
