//! Logins: a refused PIN is never sent twice, even by processes that start at the same moment.

use std::fs;
use std::path::Path;
use std::thread;

use waxseal_testing::softhsm::{FaultMode, FaultyModule, Token};

use super::{URL, variables, with, wrapped};
use crate::custodian_process::{CustodianProcess, Variables};

/// The number of processes that start at the same moment.
const PROCESSES: usize = 4;

/// The variables of a process whose calls are logged, in front of a module that fails on request.
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

/// The number of logins in a log; a process that never loaded its module has no log.
fn logins(log: &Path) -> usize {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.matches(": C_Login\n").count()
}

/// Starts processes at the same moment, each with a key to wrap, in a mode in which logins take so long
/// that all are there before the first is through. Returns what each answer, and how many logins there
/// were.
fn wrap_at_once(mode: FaultMode, variables: &Variables, token: &Token) -> (Vec<String>, usize) {
    let directory = tempfile::tempdir().unwrap();
    let faulty = FaultyModule::new(token);
    faulty.set_mode(mode);
    let logs: Vec<_> = (0..PROCESSES)
        .map(|process| directory.path().join(process.to_string()))
        .collect();
    let answer = thread::scope(|scope| {
        let processes: Vec<_> = logs
            .iter()
            .map(|log| spied(variables.clone(), token, &faulty, log))
            .map(|spied| scope.spawn(move || CustodianProcess::start(&[URL], &spied).send("wrap")))
            .collect();
        processes.into_iter().map(|it| it.join().unwrap()).collect()
    });
    (answer, logs.iter().map(|log| logins(log)).sum())
}

#[test]
fn processes_that_start_together_log_in_one_after_the_other() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let (answer, logins) = wrap_at_once(FaultMode::OneLogin, &right, &token);
    assert_eq!(answer, ["ok"; PROCESSES]);
    assert_eq!(logins, PROCESSES);
}

#[test]
fn a_wrong_pin_is_sent_once_by_all_processes_that_start_together() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let wrong = with(right, "PKCS11_PIN", "000000");
    let (answer, logins) = wrap_at_once(FaultMode::SlowLogin, &wrong, &token);
    for answer in &answer {
        assert!(answer.contains("rejects the PIN"), "{answer}");
    }
    let count_with = |cause: &str| answer.iter().filter(|it| it.contains(cause)).count();
    assert_eq!(count_with("it is wrong"), 1, "{answer:?}");
    let others = count_with("a wrong one was given since the last login");
    assert_eq!(others, PROCESSES - 1, "{answer:?}");
    assert_eq!(logins, 1);
}

#[test]
fn a_wrong_pin_is_sent_once_and_never_again() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let mut spied = with(right.clone(), "PKCS11_PIN", "000000");
    spied.extend(token.spy_env(&log));
    let spied = with(spied, "PKCS11_MODULE_PATH", token.spy().to_str().unwrap());

    let mut process = CustodianProcess::start(&[URL], &spied);
    for line in ["wrap", "wrap", "create-key", "wrap"] {
        let answer = process.send(line);
        assert!(answer.contains("rejects the PIN"), "{line}: {answer}");
        assert!(!answer.contains("000000"), "{answer}");
    }
    process.end();
    // The second custodian, which `create-key` opens, knows the failure of the first one.
    assert_eq!(logins(&log), 1);

    // A process that a supervisor restarts repeatedly does not lock the token either.
    for _ in 0..5 {
        let answer = CustodianProcess::start(&[URL], &spied).send("wrap");
        assert!(
            answer.contains("a wrong one was given since the last login"),
            "{answer}"
        );
    }
    assert_eq!(logins(&log), 1);
    assert!(token.has_counted_a_wrong_pin());

    // After a manual login the right PIN is accepted.
    token.unlock();
    let mut process = CustodianProcess::start(&[URL], &right);
    assert_eq!(process.send("wrap"), "ok");
}

#[test]
fn a_login_that_fails_without_a_reason_is_not_repeated_either() {
    let token = Token::new("waxseal");
    drop(wrapped(&variables(&token)));
    let faulty = FaultyModule::new(&token);
    faulty.set_mode(FaultMode::NoLogin);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let spied = spied(variables(&token), &token, &faulty, &log);
    let mut process = CustodianProcess::start(&[URL], &spied);
    // The module sets no flag: only the process and its custodians know.
    for line in ["wrap", "create-key", "wrap"] {
        let answer = process.send(line);
        // The PIN is not remembered as wrong, because that is unknown.
        let expected = "rejects the PIN: it refuses the login";
        assert!(answer.contains(expected), "{answer}");
    }
    assert_eq!(logins(&log), 1);
}
