//! `key generate`, and every command's answer to a key that is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{KEY, OLD_KEY, Output, Program};
use crate::records::{NAME, server_with_states};

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn generate_prints_the_five_lines_of_the_guide() {
    let output = Program::new().run(&["key", "generate"]).done();
    let text = output.text();
    let key = text.lines().nth(1).unwrap();
    assert!(is_key(key), "{key}");
    assert_eq!(
        text,
        format!(
            "Generated encryption key:\n{key}\n\n\
             Add this to your environment variables:\nREDIS_ENCRYPTION_KEY={key}\n"
        )
    );
    assert_eq!(output.stderr, "");
}

#[test]
fn two_keys_differ() {
    let key = || Program::new().run(&["key", "generate"]).done().text();
    assert_ne!(key(), key());
}

#[test]
fn a_generated_key_seals_and_opens() {
    let report = Program::new()
        .run(&["key", "generate", "--json"])
        .done()
        .json();
    let key = report["key"].as_str().unwrap();
    assert!(is_key(key));
    let program = Program::new().env("REDIS_ENCRYPTION_KEY", key);
    let stored = program.run_with(&["seal"], b"hola").done().stdout;
    assert_eq!(program.run_with(&["open"], &stored).done().text(), "hola");
}

#[test]
fn a_key_file_is_for_its_owner_only_and_is_never_overwritten() {
    let program = Program::new();
    let output = program.run(&["key", "generate", "--file", "key"]).done();
    assert_eq!(output.text(), "");
    let path = program.path("key");
    let key = fs::read_to_string(&path).unwrap();
    assert!(is_key(key.strip_suffix('\n').unwrap()));
    assert!(!output.stderr.contains(key.trim()));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = program.run(&["key", "generate", "--file", "key"]);
    let again = again.failed(2, "key exists: a key file is never overwritten");
    assert!(again.stderr.contains("hint: "));
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn generate_works_where_everything_else_is_configured_wrongly() {
    let program = Program::new()
        .env("REDIS_ENCRYPTION_KEY", "short")
        .env("REDIS_URL", "nowhere")
        .file(".env", "=")
        .file("waxseal.toml", "nonsense");
    program.run(&["key", "generate"]).done();
}

/// Keys that are none, and what is said about each.
fn refused_keys() -> Vec<(String, &'static str)> {
    let short = "Invalid encryption key length (got 62 characters, a key has 64)";
    let long = "Invalid encryption key length (got 66 characters, a key has 64)";
    vec![
        (KEY[..62].to_owned(), short),
        (format!("{KEY}00"), long),
        (
            KEY.replace("5b", "5z"),
            "Invalid encryption key: character 8 of 64 is not hexadecimal",
        ),
        ("0".repeat(64), "Invalid encryption key: it is all zero"),
        (
            "a7".repeat(32),
            "Invalid encryption key: it is one byte repeated",
        ),
        (
            "your_64_character_hex_key_here".to_owned(),
            "Invalid encryption key: it is a placeholder, not a key (got 30 characters)",
        ),
        (
            "0123456789abcdef".repeat(4),
            "Invalid encryption key: it is a placeholder, not a key (got 64 characters)",
        ),
    ]
}

/// No part of the key is in what was said: not eight characters, or of a placeholder, which is
/// made of words, twelve.
#[track_caller]
fn assert_not_repeated(output: &Output, key: &str) {
    let said = format!("{}{}", output.text(), output.stderr);
    let length = if key.len() < 62 { 12 } else { 8 };
    for part in key.as_bytes().windows(length) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!said.contains(part), "«{part}» of the key in: {said}");
    }
}

#[test]
fn what_is_no_key_is_refused_by_every_command_and_not_repeated() {
    let server = server_with_states(3);
    let before = server.snapshot();
    let commands: [&[&str]; 9] = [
        &["migrate"],
        &["rotate"],
        &["decrypt", "--yes"],
        &["audit"],
        &["get", NAME],
        &["put", NAME],
        &["inspect", NAME],
        &["seal"],
        &["open"],
    ];
    for (key, text) in refused_keys() {
        let program = Program::at(&server).keys(&key, "");
        for command in commands {
            let output = program.run(command).with_status(64);
            let expected = format!("waxseal: error: {text}\nhint: ");
            assert!(
                output.stderr.starts_with(&expected),
                "{command:?}: {}",
                output.stderr
            );
            assert_eq!(output.text(), "");
            assert_not_repeated(&output, &key);
        }
        let output = program.run(&["doctor"]).with_status(1);
        assert!(output.text().contains(text), "{}", output.text());
        assert_not_repeated(&output, &key);
    }
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_previous_key_that_is_none_is_named_by_its_place() {
    let server = server_with_states(3);
    let previous = format!("{OLD_KEY},{}", &KEY[..62]);
    let output = Program::at(&server).keys(KEY, &previous).run(&["migrate"]);
    let text = "waxseal: error: previous key 2: Invalid encryption key length (got 62 characters";
    let output = output.failed(64, text);
    assert_not_repeated(&output, &KEY[..62]);
    let twice = Program::at(&server).keys(KEY, KEY).run(&["migrate"]);
    twice.failed(64, "is in the keyring twice");
}

#[test]
fn without_a_key_nothing_is_sealed_or_opened() {
    let server = server_with_states(3);
    let before = server.snapshot();
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    for command in [
        &["migrate"][..],
        &["rotate"],
        &["decrypt", "--yes"],
        &["seal"],
        &["open"],
    ] {
        let output = program.run(command).with_status(64);
        assert_eq!(
            output.stderr,
            "waxseal: error: no encryption key is configured\n\
             hint: set REDIS_ENCRYPTION_KEY; waxseal key generate creates a key\n"
        );
        assert_eq!(output.text(), "");
    }
    assert_eq!(server.snapshot(), before);
}
