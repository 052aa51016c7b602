//! A custodian in a PKCS#11 token, with SoftHSM: each process of a test has the token's settings in its
//! environment.

use std::fs;
use std::thread;
use std::time::Duration;

use waxseal_testing::softhsm::{FaultMode, FaultyModule, Token};

use crate::custodian_process::{CustodianProcess, Variables, conformance};

mod logins;

const URL: &str = "pkcs11:token=waxseal;object=ring";

/// The variables of a process that uses this token.
fn variables(token: &Token) -> Variables {
    let mut variables = token.env();
    let module = token.module().display().to_string();
    variables.push(("PKCS11_MODULE_PATH".to_owned(), module));
    variables.push(("PKCS11_PIN".to_owned(), token.pin().to_owned()));
    variables
}

/// The same variables with another value for one of them.
fn with(mut variables: Variables, name: &str, value: &str) -> Variables {
    variables.retain(|(other, _)| other != name);
    variables.push((name.to_owned(), value.to_owned()));
    variables
}

/// A process that created a key and wrapped something.
fn wrapped(variables: &[(String, String)]) -> CustodianProcess {
    let mut process = CustodianProcess::start(&[URL], variables);
    for line in ["create-key", "wrap", "unwrap"] {
        assert_eq!(process.send(line), "ok", "{line}");
    }
    process
}

#[test]
fn the_custodian_in_a_token_keeps_the_contract() {
    let token = Token::new("waxseal");
    let variables = variables(&token);
    let mut process = wrapped(&variables);
    assert_eq!(process.send("mechanism"), "CKM_AES_GCM");
    conformance(URL, &[token.pin()], &variables);
}

#[test]
fn the_custodian_in_a_token_without_aes_gcm_keeps_the_contract() {
    let token = Token::new("waxseal").without_mechanisms(&["CKM_AES_GCM"]);
    let variables = variables(&token);
    let mut process = wrapped(&variables);
    assert_eq!(process.send("mechanism"), "CKM_AES_KEY_WRAP_PAD");
    conformance(URL, &[token.pin()], &variables);
}

#[test]
fn a_key_that_it_creates_cannot_be_extracted() {
    for without in [&[][..], &["CKM_AES_GCM"]] {
        let token = Token::new("waxseal").without_mechanisms(without);
        drop(wrapped(&variables(&token)));
        // The attributes of the key in the token.
        let object = token.tool_as_user(&["--list-objects", "--type", "secrkey"]);
        assert!(object.contains("AES length 32"), "{object}");
        for word in ["sensitive", "always sensitive", "never extractable"] {
            assert!(object.contains(word), "{word}: {object}");
        }
        let login = ["--login", "--pin", token.pin()];
        let taken = ["--read-object", "--type", "secrkey", "--label", "ring"];
        let output = token.tool(&[&login[..], &taken[..]].concat());
        let answer = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the key was read: {answer}");
        assert!(output.stdout.is_empty());
        // It wraps data keys with one mechanism, and does nothing else.
        let usage = object.lines().find(|line| line.contains("Usage")).unwrap();
        let expected = match without.is_empty() {
            true => "encrypt, decrypt",
            false => "wrap, unwrap",
        };
        assert!(usage.trim().ends_with(expected), "{usage}");
    }
}

#[test]
fn a_key_is_created_once_and_must_be_the_only_one_of_its_name() {
    let token = Token::new("waxseal");
    let variables = variables(&token);
    let mut process = CustodianProcess::start(&[URL], &variables);
    let answer = process.send("wrap");
    assert!(
        answer.contains("cannot wrap: its token holds no such key"),
        "{answer}"
    );
    assert_eq!(process.send("create-key"), "ok");
    let answer = process.send("create-key");
    assert!(
        answer.contains("has a key of this name already"),
        "{answer}"
    );
    token.generate_key("ring");
    let mut late = CustodianProcess::start(&[URL], &variables);
    let answer = late.send("wrap");
    assert!(
        answer.contains("its token holds several such keys"),
        "{answer}"
    );
}

#[test]
fn a_context_of_another_environment_is_refused() {
    let token = Token::new("waxseal");
    let mut process = wrapped(&variables(&token));
    let answer = process.send("unwrap-elsewhere");
    assert!(answer.contains("does not unwrap this key"), "{answer}");
    assert_eq!(process.send("unwrap"), "ok");
}

#[test]
fn a_removed_token_is_reported_and_used_again_after_its_return() {
    let token = Token::new("waxseal");
    let mut process = wrapped(&variables(&token));
    token.remove();
    for line in ["unwrap", "unwrap", "wrap"] {
        let answer = process.send(line);
        assert!(
            answer.starts_with("error: the custodian pkcs11:"),
            "{answer}"
        );
        assert!(
            !answer.contains("does not unwrap"),
            "an outage is not a refusal: {answer}"
        );
    }
    token.put_back();
    assert_eq!(process.send("unwrap"), "ok");
    assert_eq!(process.send("wrap"), "ok");
    assert_eq!(process.send("unwrap"), "ok");
}

#[test]
fn a_restarted_module_is_connected_again() {
    let (_token, faulty, mut process) = faulty();
    faulty.set_mode(FaultMode::Restart);
    assert_eq!(process.send("unwrap"), "ok");
    faulty.set_mode(FaultMode::Removed);
    for _ in 0..3 {
        let answer = process.send("unwrap");
        assert!(answer.contains("cannot be reached"), "{answer}");
    }
    faulty.set_mode(FaultMode::Restart);
    assert_eq!(process.send("unwrap"), "ok");
}

#[test]
fn a_module_that_hangs_blocks_one_thread_and_no_other_caller() {
    let (_token, faulty, mut process) = faulty();
    faulty.set_mode(FaultMode::Hang);
    let answer = process.send("unwrap");
    assert!(answer.contains("no answer within 10 s"), "{answer}");
    // The last one opens a custodian of its own for the same token.
    for line in ["unwrap", "wrap", "create-key"] {
        let answer = process.send(line);
        assert!(
            answer.contains("a call has not returned for"),
            "{line}: {answer}"
        );
    }
    faulty.set_mode(FaultMode::None);
    let answers = (0..1_200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        process.send("unwrap") == "ok"
    });
    assert!(answers, "it is asked again once the call has returned");
    let logged = process.end();
    assert!(logged.contains("its thread is left behind"), "{logged}");
    assert!(logged.contains("answers again"), "{logged}");
}

#[test]
fn busy_denying_and_garbled_devices_are_distinguished() {
    let (_token, faulty, mut process) = faulty();
    for (mode, line, expected) in [
        (FaultMode::Busy, "unwrap", "cannot be reached: "),
        (FaultMode::NoWrap, "wrap", "denies wrap: "),
        (FaultMode::NoWrap, "unwrap", "ok"),
        (FaultMode::NoUnwrap, "unwrap", "denies unwrap: "),
        (FaultMode::NoUnwrap, "wrap", "ok"),
        (FaultMode::Garbage, "unwrap", "does not unwrap this key"),
    ] {
        faulty.set_mode(mode);
        let answer = process.send(line);
        assert!(answer.contains(expected), "{mode:?} {line}: {answer}");
        faulty.set_mode(FaultMode::None);
        assert_eq!(process.send("unwrap"), "ok", "{mode:?}");
    }
}

#[test]
fn a_token_that_shows_no_values_is_reported_and_does_not_count_as_damage() {
    let token = Token::new("waxseal").without_mechanisms(&["CKM_AES_GCM"]);
    let (_token, faulty, mut process) = faulty_of(token);
    faulty.set_mode(FaultMode::Mute);
    let answer = process.send("unwrap");
    assert!(answer.contains("denies unwrap: "), "{answer}");
    faulty.set_mode(FaultMode::None);
    assert_eq!(process.send("unwrap"), "ok");
}

#[test]
fn a_token_that_is_missing_does_not_disturb_another_one_on_the_same_module() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    // The module is initialised again at each search for the second one, which voids the sessions of the
    // first one.
    let mut process = CustodianProcess::start(&[URL, "pkcs11:token=elsewhere;object=ring"], &right);
    for _ in 0..5 {
        let answer = process.send("wrap");
        assert!(answer.starts_with("ok | error: "), "{answer}");
        assert!(answer.contains("there is no such token"), "{answer}");
        assert!(process.send("unwrap").starts_with("ok | "));
    }
}

/// A token that fails on request, and a process that has wrapped something by it.
fn faulty() -> (Token, FaultyModule, CustodianProcess) {
    faulty_of(Token::new("waxseal"))
}

fn faulty_of(token: Token) -> (Token, FaultyModule, CustodianProcess) {
    let faulty = FaultyModule::new(&token);
    let module = faulty.module();
    let mut variables = with(
        variables(&token),
        "PKCS11_MODULE_PATH",
        module.to_str().unwrap(),
    );
    variables.extend(faulty.env());
    let process = wrapped(&variables);
    (token, faulty, process)
}

#[test]
fn an_extractable_key_is_used_with_a_warning() {
    let token = Token::new("waxseal");
    let key = ["--keygen", "--key-type", "AES:32", "--label", "ring"];
    token.tool_as_user(&[&key[..], &["--id", "01", "--extractable"]].concat());
    let mut process = CustodianProcess::start(&[URL], &variables(&token));
    assert_eq!(process.send("wrap"), "ok");
    let logged = process.end();
    assert!(logged.contains("can be taken out of its token"), "{logged}");
}

#[test]
fn a_module_is_initialised_once_for_all_its_users() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    token.generate_key("other");
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let mut spied = with(right, "PKCS11_MODULE_PATH", token.spy().to_str().unwrap());
    spied.extend(token.spy_env(&log));
    let mut process = CustodianProcess::start(&[URL, "pkcs11:token=waxseal;object=other"], &spied);
    for _ in 0..10 {
        assert_eq!(process.send("wrap"), "ok | ok");
        assert_eq!(process.send("unwrap"), "ok | ok");
    }
    let log = fs::read_to_string(&log).unwrap();
    let calls = |name: &str| log.matches(&format!(": {name}\n")).count();
    assert_eq!(calls("C_Initialize"), 1);
    assert_eq!(calls("C_OpenSession"), 2, "one for each custodian");
    // Each call asks for the length first.
    assert_eq!(calls("C_Encrypt"), 2 * 20);
}

#[test]
fn a_file_that_is_not_a_module_is_reported() {
    let token = Token::new("waxseal");
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    for path in ["/nowhere/module.so", text.to_str().unwrap()] {
        let variables = with(variables(&token), "PKCS11_MODULE_PATH", path);
        let answer = CustodianProcess::start(&[URL], &variables).send("wrap");
        assert!(answer.contains("the module cannot be loaded"), "{answer}");
    }
}
