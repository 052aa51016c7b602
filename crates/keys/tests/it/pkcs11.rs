//! A custodian in a PKCS#11 token, with SoftHSM: each process of a test has the token's settings in its
//! environment.

use std::fs;
use std::thread;
use std::time::Duration;

use waxseal_testing::softhsm::{FaultMode, FaultyModule, Token};

use crate::talk::{Talk, Variables, conformance};

mod logins;

const URL: &str = "pkcs11:token=waxseal;object=ring";

/// What a process needs that uses this token.
fn variables(token: &Token) -> Variables {
    let mut variables = token.env();
    let module = token.module().display().to_string();
    variables.push(("PKCS11_MODULE_PATH".to_owned(), module));
    variables.push(("PKCS11_PIN".to_owned(), token.pin().to_owned()));
    variables
}

/// The same with another value for one of them.
fn with(mut variables: Variables, name: &str, value: &str) -> Variables {
    variables.retain(|(other, _)| other != name);
    variables.push((name.to_owned(), value.to_owned()));
    variables
}

/// A process with a key of its own making, and something wrapped.
fn wrapped(variables: &[(String, String)]) -> Talk {
    let mut talk = Talk::start(&[URL], variables);
    for line in ["create-key", "wrap", "unwrap"] {
        assert_eq!(talk.say(line), "ok", "{line}");
    }
    talk
}

#[test]
fn the_custodian_in_a_token_keeps_the_contract() {
    let token = Token::new("waxseal");
    let variables = variables(&token);
    let mut talk = wrapped(&variables);
    assert_eq!(talk.say("mechanism"), "CKM_AES_GCM");
    conformance(URL, &[token.pin()], &variables);
}

#[test]
fn the_custodian_in_a_token_without_aes_gcm_keeps_the_contract() {
    let token = Token::new("waxseal").without_mechanisms(&["CKM_AES_GCM"]);
    let variables = variables(&token);
    let mut talk = wrapped(&variables);
    assert_eq!(talk.say("mechanism"), "CKM_AES_KEY_WRAP_PAD");
    conformance(URL, &[token.pin()], &variables);
}

#[test]
fn a_key_that_it_makes_can_not_be_taken_out() {
    for without in [&[][..], &["CKM_AES_GCM"]] {
        let token = Token::new("waxseal").without_mechanisms(without);
        drop(wrapped(&variables(&token)));
        // What the token itself says about the key.
        let object = token.tool_as_user(&["--list-objects", "--type", "secrkey"]);
        assert!(object.contains("AES length 32"), "{object}");
        for word in ["sensitive", "always sensitive", "never extractable"] {
            assert!(object.contains(word), "{word}: {object}");
        }
        let login = ["--login", "--pin", token.pin()];
        let taken = ["--read-object", "--type", "secrkey", "--label", "ring"];
        let output = token.tool(&[&login[..], &taken[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the key was read: {said}");
        assert!(output.stdout.is_empty());
        // It wraps data keys in one way, and does nothing else.
        let usage = object.lines().find(|line| line.contains("Usage")).unwrap();
        let expected = match without.is_empty() {
            true => "encrypt, decrypt",
            false => "wrap, unwrap",
        };
        assert!(usage.trim().ends_with(expected), "{usage}");
    }
}

#[test]
fn a_key_is_made_once_and_must_be_the_only_one_of_its_name() {
    let token = Token::new("waxseal");
    let variables = variables(&token);
    let mut talk = Talk::start(&[URL], &variables);
    let said = talk.say("wrap");
    assert!(
        said.contains("cannot wrap: its token holds no such key"),
        "{said}"
    );
    assert_eq!(talk.say("create-key"), "ok");
    let said = talk.say("create-key");
    assert!(said.contains("has a key of this name already"), "{said}");
    token.generate_key("ring");
    let mut late = Talk::start(&[URL], &variables);
    let said = late.say("wrap");
    assert!(said.contains("its token holds several such keys"), "{said}");
}

#[test]
fn a_context_of_another_environment_is_refused() {
    let token = Token::new("waxseal");
    let mut talk = wrapped(&variables(&token));
    let said = talk.say("unwrap-elsewhere");
    assert!(said.contains("does not unwrap this key"), "{said}");
    assert_eq!(talk.say("unwrap"), "ok");
}

#[test]
fn a_token_that_is_pulled_is_told_and_used_again_when_it_is_back() {
    let token = Token::new("waxseal");
    let mut talk = wrapped(&variables(&token));
    token.remove();
    for line in ["unwrap", "unwrap", "wrap"] {
        let said = talk.say(line);
        assert!(said.starts_with("error: the custodian pkcs11:"), "{said}");
        assert!(
            !said.contains("does not unwrap"),
            "an outage is no refusal: {said}"
        );
    }
    token.put_back();
    assert_eq!(talk.say("unwrap"), "ok");
    assert_eq!(talk.say("wrap"), "ok");
    assert_eq!(talk.say("unwrap"), "ok");
}

#[test]
fn a_module_that_is_restarted_is_connected_anew() {
    let (_token, faulty, mut talk) = faulty();
    faulty.set_mode(FaultMode::Restart);
    assert_eq!(talk.say("unwrap"), "ok");
    faulty.set_mode(FaultMode::Removed);
    for _ in 0..3 {
        let said = talk.say("unwrap");
        assert!(said.contains("cannot be reached"), "{said}");
    }
    faulty.set_mode(FaultMode::Restart);
    assert_eq!(talk.say("unwrap"), "ok");
}

#[test]
fn a_module_that_hangs_holds_one_thread_and_nobody_else_waits_for_it() {
    let (_token, faulty, mut talk) = faulty();
    faulty.set_mode(FaultMode::Hang);
    let said = talk.say("unwrap");
    assert!(said.contains("no answer within 10 s"), "{said}");
    // The last one opens a custodian of its own for the same token.
    for line in ["unwrap", "wrap", "create-key"] {
        let said = talk.say(line);
        assert!(
            said.contains("a call has not returned for"),
            "{line}: {said}"
        );
    }
    faulty.set_mode(FaultMode::None);
    let answers = (0..1_200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        talk.say("unwrap") == "ok"
    });
    assert!(answers, "it is asked again once the call has returned");
    let logged = talk.end();
    assert!(logged.contains("its thread is left behind"), "{logged}");
    assert!(logged.contains("answers again"), "{logged}");
}

#[test]
fn a_device_that_is_busy_denies_or_answers_garbage_is_told_apart() {
    let (_token, faulty, mut talk) = faulty();
    for (mode, line, expected) in [
        (FaultMode::Busy, "unwrap", "cannot be reached: "),
        (FaultMode::NoWrap, "wrap", "denies wrap: "),
        (FaultMode::NoWrap, "unwrap", "ok"),
        (FaultMode::NoUnwrap, "unwrap", "denies unwrap: "),
        (FaultMode::NoUnwrap, "wrap", "ok"),
        (FaultMode::Garbage, "unwrap", "does not unwrap this key"),
    ] {
        faulty.set_mode(mode);
        let said = talk.say(line);
        assert!(said.contains(expected), "{mood:?} {line}: {said}");
        faulty.set_mode(FaultMode::None);
        assert_eq!(talk.say("unwrap"), "ok", "{mood:?}");
    }
}

#[test]
fn a_token_that_shows_no_values_is_told_and_not_taken_for_damage() {
    let token = Token::new("waxseal").without_mechanisms(&["CKM_AES_GCM"]);
    let (_token, faulty, mut talk) = faulty_of(token);
    faulty.set_mode(FaultMode::Mute);
    let said = talk.say("unwrap");
    assert!(said.contains("denies unwrap: "), "{said}");
    faulty.set_mode(FaultMode::None);
    assert_eq!(talk.say("unwrap"), "ok");
}

#[test]
fn a_token_that_is_missing_does_not_disturb_another_one_on_the_same_module() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    // The module begins anew at each look for the second one; the numbers of the first one's session
    // mean nothing after that.
    let mut talk = Talk::start(&[URL, "pkcs11:token=elsewhere;object=ring"], &right);
    for _ in 0..5 {
        let said = talk.say("wrap");
        assert!(said.starts_with("ok | error: "), "{said}");
        assert!(said.contains("there is no such token"), "{said}");
        assert!(talk.say("unwrap").starts_with("ok | "));
    }
}

/// A token that fails on demand, and a process that has wrapped something by it.
fn faulty() -> (Token, FaultyModule, Talk) {
    faulty_of(Token::new("waxseal"))
}

fn faulty_of(token: Token) -> (Token, FaultyModule, Talk) {
    let faulty = FaultyModule::new(&token);
    let module = faulty.module();
    let mut variables = with(
        variables(&token),
        "PKCS11_MODULE_PATH",
        module.to_str().unwrap(),
    );
    variables.extend(faulty.env());
    let talk = wrapped(&variables);
    (token, faulty, talk)
}

#[test]
fn a_key_that_others_made_extractable_is_used_with_a_warning() {
    let token = Token::new("waxseal");
    let key = ["--keygen", "--key-type", "AES:32", "--label", "ring"];
    token.tool_as_user(&[&key[..], &["--id", "01", "--extractable"]].concat());
    let mut talk = Talk::start(&[URL], &variables(&token));
    assert_eq!(talk.say("wrap"), "ok");
    let logged = talk.end();
    assert!(logged.contains("can be taken out of its token"), "{logged}");
}

#[test]
fn one_module_is_initialised_once_whoever_uses_it() {
    let token = Token::new("waxseal");
    let right = variables(&token);
    drop(wrapped(&right));
    token.generate_key("other");
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let mut spied = with(right, "PKCS11_MODULE_PATH", token.spy().to_str().unwrap());
    spied.extend(token.spy_env(&log));
    let mut talk = Talk::start(&[URL, "pkcs11:token=waxseal;object=other"], &spied);
    for _ in 0..10 {
        assert_eq!(talk.say("wrap"), "ok | ok");
        assert_eq!(talk.say("unwrap"), "ok | ok");
    }
    let log = fs::read_to_string(&log).unwrap();
    let calls = |name: &str| log.matches(&format!(": {name}\n")).count();
    assert_eq!(calls("C_Initialize"), 1);
    assert_eq!(calls("C_OpenSession"), 2, "one for each custodian");
    // Each asks for the length first.
    assert_eq!(calls("C_Encrypt"), 2 * 20);
}

#[test]
fn a_module_that_is_none_is_told() {
    let token = Token::new("waxseal");
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    for path in ["/nowhere/module.so", text.to_str().unwrap()] {
        let variables = with(variables(&token), "PKCS11_MODULE_PATH", path);
        let said = Talk::start(&[URL], &variables).say("wrap");
        assert!(said.contains("the module cannot be loaded"), "{said}");
    }
}
