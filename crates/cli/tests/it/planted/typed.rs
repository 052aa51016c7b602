//! Secrets in the wrong place: on the command line of every command, in `waxseal.toml`, in `.env` and
//! in variables.

use super::Watch;
use super::records::wa;
use super::secrets::{KEY, LETTERS, NUMBER, PASSWORD, TYPED, VALUE};
use crate::manual::COMMANDS;
use crate::program::Program;

/// A typing error of every kind, behind the words of every command.
#[test]
fn no_command_repeats_what_it_cannot_read() {
    let watch = Watch::new();
    let program = Program::with_file();
    let name = wa(NUMBER);
    let words = COMMANDS.iter().copied().chain([&["proxy"][..], &[]]);
    for words in words {
        for wrong in [
            &[&*name, &*name, &*name, &*name][..],
            &[TYPED, KEY, VALUE, PASSWORD],
            &[&format!("--{TYPED}")],
            &[&format!("--{name}=x")],
            &["--no-such-flag", TYPED],
            &[&format!("-{NUMBER}")],
            &["--log", TYPED],
            &["--log-format", &name],
            &[&format!("--json={TYPED}")],
        ] {
            let words = [words, wrong].concat();
            let output = watch.once(&program, &words, b"");
            // Some take all that is typed.
            assert!([1, 2, 64].contains(&output.status), "{words:?} {output:?}");
        }
    }
}

#[test]
fn no_flag_repeats_a_value_that_it_cannot_read() {
    let watch = Watch::new();
    let program = Program::with_file();
    let store = format!("redis://waxseal:{PASSWORD}@127.0.0.1:port");
    let strange = format!("{TYPED}://{PASSWORD}");
    for wrong in [
        &["put", "wa:1", "--ttl", NUMBER, "--ttl", TYPED][..],
        &["put", "wa:1", "--ttl", TYPED],
        &["get", "wa:1", "--element", TYPED],
        &["seal", "--format", TYPED],
        &["migrate", "--max-rate", NUMBER],
        &["migrate", "--max-latency", TYPED],
        &["migrate", "--format", TYPED],
        &["demo", "--states", NUMBER],
        &["keyring", "init", "--rotate-every", TYPED],
        &["keyring", "init", "--max-seals", TYPED],
        &["keyring", "configure", "--retain", &wa(NUMBER)],
        &["keyring", "configure", "--rest", &wa(NUMBER)],
        &["keyring", "export", "--shares", TYPED, "--out", "x"],
        &["proxy", "--workers", NUMBER],
        &["proxy", "--max-value", TYPED],
        &["proxy", "--listen", TYPED],
        &["proxy", "--admin", TYPED],
        &["proxy", "--upstream", TYPED],
        &["proxy", "--unix-mode", TYPED],
        &["audit", "--store", &store],
        &["audit", "--store", &strange],
        &["audit", "--store", PASSWORD],
        &["keyring", "status", "--keyring", &store],
        &["keyring", "status", "--keyring", &strange],
        &["audit", "--protect", &format!("wa:{NUMBER}\\")],
        &["audit", "--protect", &format!("wa:{LETTERS}[")],
        &[
            "audit",
            "--protect",
            "wa:*",
            "--except",
            &format!("sess:{NUMBER}"),
        ],
        &[
            "audit",
            "--protect",
            "wa:*",
            "--except",
            &format!("wa:{NUMBER}["),
        ],
        &["audit", "--except", &wa(NUMBER)],
        &["completions", TYPED],
    ] {
        watch.once(&program, wrong, b"").with_status_of(&[2, 64]);
    }
    watch
        .run(&program, &["audit", "--protect", &wa(NUMBER)])
        .done();
    for command in ["audit", "doctor"] {
        for except in [wa(NUMBER), format!("{}?", wa(NUMBER))] {
            let words = [command, "--protect", "wa:*", "--except", &except];
            watch.run(&program, &words).with_status_of(&[0, 1]);
        }
        // Nearly a whole name.
        let words = [command, "--protect", &format!("{}?", wa(NUMBER))];
        watch.run(&program, &words).with_status_of(&[0, 1]);
    }
    watch
        .run(
            &program,
            &["migrate", "--protect", &wa(NUMBER), "--checkpoint", "c"],
        )
        .done();
    watch.search_files(&program);
}

/// Secrets that `waxseal.toml` may hold by mistake.
fn configurations() -> Vec<String> {
    let words = [
        "environment",
        "mode",
        "store",
        "keyring",
        "custodian",
        "keyring_copy",
        "offline_key",
        "user_keys",
        "audit_log",
        "audit_log_key",
        "audit_log_required",
        "protect",
    ];
    let mut texts = vec![
        format!("{TYPED} = 1\n"),
        format!("\"{TYPED}\" = 1\n"),
        format!("[{TYPED}]\nx = 1\n"),
        format!("mode = \"on\" {TYPED}\n"),
        format!("store = \"redis://u:{PASSWORD}@h\n"),
        format!("store = \"redis://u:{PASSWORD}@h:port\"\n"),
        format!("keyring = \"file:r.json\"\ncustodian = \"env:{KEY}\"\n"),
        format!("keyring = \"file:r.json\"\ncustodian = \"{KEY}\"\n"),
        format!("keyring = \"file:r.json\"\noffline_key = \"env:{KEY}\"\n"),
        format!("audit_log = \"file:a\"\naudit_log_key = \"env:{KEY}\"\n"),
        format!("audit_log = \"file:a\"\naudit_log_key = \"{KEY}\"\n"),
        format!("audit_log = \"{KEY}\"\naudit_log_key = \"env:TRAIL\"\n"),
        format!("[[protect]]\nrecords = \"wa:{NUMBER}\"\nper_user_keys = true\n"),
        format!("[[protect]]\nrecords = \"wa:{NUMBER}[\"\n"),
        format!("[[protect]]\nrecords = \"wa:*\"\nexcept = [\"wa:{NUMBER}[\"]\n"),
        format!("[[protect]]\n{TYPED} = \"wa:*\"\n"),
    ];
    for word in words {
        for value in [
            format!("\"{TYPED}\""),
            format!("[\"{TYPED}\"]"),
            format!("{{ {TYPED} = \"{TYPED}\" }}"),
            NUMBER.to_owned(),
            TYPED.to_owned(),
        ] {
            texts.push(format!("{word}{TYPED} = {value}\n"));
            // The environment's name is made to be told.
            if word != "environment" || !value.starts_with('"') {
                texts.push(format!("{word} = {value}\n"));
            }
        }
    }
    for word in [
        "name",
        "records",
        "except",
        "format",
        "per_user_keys",
        "refused",
        "plain_values",
    ] {
        for value in [
            &format!("\"{LETTERS}9\""),
            NUMBER,
            &format!("[\"{TYPED}\"]"),
        ] {
            // What records are called, and which ones, is reported: it is made to be told.
            if word == "name" || word == "records" && value.starts_with('"') {
                continue;
            }
            texts.push(format!(
                "[[protect]]\nname = \"x\"\nrecords = \"wa:*\"\n{word} = {value}\n"
            ));
        }
    }
    texts
}

#[test]
fn no_error_of_the_configuration_repeats_what_is_there() {
    let watch = Watch::new();
    let program = Program::with_file().env("TRAIL", KEY);
    let texts = configurations();
    let mut refused = 0;
    for text in &texts {
        let program = program.clone().file("waxseal.toml", text);
        for words in [&["audit"][..], &["doctor"], &["keyring", "status"]] {
            refused += i32::from(watch.once(&program, words, b"").status != 0);
        }
    }
    assert!(refused > 200, "most of it cannot be read: {refused}");
}

#[test]
fn no_error_of_a_variable_repeats_it() {
    let watch = Watch::new();
    for name in [
        "REDIS_URL",
        "REDIS_ENCRYPTION_KEY",
        "REDIS_ENCRYPTION_PREVIOUS_KEYS",
        "ENABLE_REDIS_ENCRYPTION",
        "REDIS_ENCRYPTION_KEY_FILE",
        "CREDENTIALS_DIRECTORY",
    ] {
        let with_port = format!("redis://u:{PASSWORD}@h:port");
        for value in [TYPED, KEY, &format!("{KEY},{KEY}"), &with_port, VALUE] {
            let program = Program::with_file().env(name, value);
            watch.run(&program, &["audit"]);
            let line = format!("A=1\n{value}\n{name}='{value}\n{TYPED}\n");
            let program = Program::new().file(".env", &line);
            watch.run(&program, &["doctor"]);
            watch.search_files(&program.file("nothing", ""));
        }
    }
}
