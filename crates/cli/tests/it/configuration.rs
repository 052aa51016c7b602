//! The sources of settings, their precedence, and the errors of those that cannot be read.

use crate::program::{KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE};

/// The finding of `doctor` about one thing.
fn found(program: &Program, check: &str) -> String {
    let findings = program.run(&["doctor", "--json"]).json();
    let findings = findings.as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.map_or(String::new(), |it| it["found"].as_str().unwrap().to_owned())
}

/// Seals something in whatever store is configured.
fn put(program: &Program, flags: &[&str]) {
    program
        .run_with(&[&["put", NAME], flags].concat(), STATE.as_bytes())
        .done();
}

#[test]
fn the_env_file_is_read() {
    let program = Program::new().file(
        ".env",
        &format!(
            "# the bot's own\nPORT=3000\n\nREDIS_ENCRYPTION_KEY={KEY}\n\
             REDIS_URL='file:states.waxseal'\nexport ENABLE_REDIS_ENCRYPTION=\"true\"\n"
        ),
    );
    put(&program, &[]);
    assert!(program.path("states.waxseal").is_file());
    assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
    let other = Program::new().env("REDIS_ENCRYPTION_KEY", OTHER_KEY);
    let stored = program.run_with(&["seal"], b"{}").done().stdout;
    other
        .run_with(&["open"], &stored)
        .failed(2, "Failed to decrypt Redis data");
}

#[test]
fn the_env_file_never_overrides_the_environment() {
    let program = Program::new()
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("REDIS_URL", "file:environment")
        .env("ENABLE_REDIS_ENCRYPTION", "required")
        .file(
            ".env",
            &format!(
                "REDIS_ENCRYPTION_KEY={OTHER_KEY}\nREDIS_URL=file:dotenv\n\
                 ENABLE_REDIS_ENCRYPTION=false\n"
            ),
        );
    put(&program, &[]);
    assert!(program.path("environment").is_file() && !program.path("dotenv").exists());
    assert!(found(&program, "mode").starts_with("required"));
    let stored = program.run_with(&["seal"], b"[1]").done().stdout;
    let same = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
    assert_eq!(same.run_with(&["open"], &stored).done().text(), "[1]");
}

#[test]
fn a_malformed_line_of_the_env_file_is_reported_without_repeating_it() {
    for (line, why) in [
        (
            format!("REDIS_ENCRYPTION_KEY='{KEY}"),
            "has a quote that is not closed",
        ),
        (format!("REDIS_ENCRYPTION_KEY {KEY}"), "is malformed"),
        (format!("export REDIS_ENCRYPTION_KEY:{KEY}"), "is malformed"),
        (format!("set REDIS_ENCRYPTION_KEY={KEY}"), "is malformed"),
    ] {
        let program = Program::new().file(".env", &format!("PORT=3000\n{line}\n"));
        let output = program.run(&["migrate"]).with_status(64);
        assert_eq!(
            output.stderr,
            format!(
                "waxseal: error: .env cannot be read: line 2 {why}\n\
                 hint: it reads REDIS_ENCRYPTION_KEY=value\n"
            )
        );
    }
}

#[test]
fn lines_of_the_env_file_that_are_the_applications_own_need_not_be_understood() {
    // Node's reader of such files takes all of these.
    let own = "APP_NAME=My Bot\nGREETING='¡Hola!\nBROKEN\n=\nREDIS_URL_OLD=x y\n";
    let program = Program::new().file(
        ".env",
        &format!("{own}REDIS_ENCRYPTION_KEY={KEY} # since May\nREDIS_URL=file:st$ates$$\n"),
    );
    put(&program, &[]);
    assert!(program.path("st$ates$$").is_file());
}

#[test]
fn the_switch_means_what_the_guide_says() {
    for (words, mode) in [
        (&["true", "on", "1", "yes", "TRUE", " on "][..], "on: "),
        (&["false", "off", "0", "no", "False"], "off: "),
        (&["required"], "required: "),
        (&[""], "on: "),
    ] {
        for word in words {
            let program = Program::with_file().env("ENABLE_REDIS_ENCRYPTION", word);
            let found = found(&program, "mode");
            assert!(found.starts_with(mode), "«{word}»: {found}");
        }
    }
    let without = Program::with_file().without("REDIS_ENCRYPTION_KEY");
    assert!(found(&without, "mode").starts_with("off: "));
    let output = Program::with_file()
        .env("ENABLE_REDIS_ENCRYPTION", "maybe")
        .run(&["audit"]);
    let text = "ENABLE_REDIS_ENCRYPTION: the mode is one of off (false), on (true), required";
    output.failed(64, text);
}

#[test]
fn a_flag_goes_over_the_environment_and_that_over_the_file() {
    let file = "store = \"file:toml\"\nmode = \"required\"\n";
    let all = || {
        Program::with_file()
            .env("REDIS_URL", "file:environment")
            .file("waxseal.toml", file)
    };
    for (program, flags, expected) in [
        (all(), &["--store", "file:flag"][..], "flag"),
        (all(), &[], "environment"),
        (all().without("REDIS_URL"), &[], "toml"),
    ] {
        put(&program, flags);
        for name in ["flag", "environment", "toml"] {
            assert_eq!(program.path(name).is_file(), name == expected, "{name}");
        }
    }
    assert!(found(&all(), "mode").starts_with("required"));
    let program = all().env("ENABLE_REDIS_ENCRYPTION", "on");
    assert!(found(&program, "mode").starts_with("on"));
}

#[test]
fn without_anything_the_server_of_this_machine_is_meant() {
    // Nothing is sent there: the key is missing.
    let output = Program::new().run(&["migrate"]).with_status(64);
    assert!(output.stderr.contains("no encryption key is configured"));
    let help = Program::new().run(&["migrate", "--help"]).done().text();
    assert!(help.contains("redis://127.0.0.1:6379"), "{help}");
}

#[test]
fn patterns_of_the_file_replace_the_default_and_flags_replace_them() {
    let program = Program::with_file().file(
        "waxseal.toml",
        "[[protect]]\nname = \"Sessions\"\nrecords = \"sess:*\"\nformat = \"sealed\"\n\
         plain_values = \"json\"\nrefused = \"error\"\n\
         [[protect]]\nname = \"Passwords\"\nrecords = \"pw:*\"\n",
    );
    program.run_with(&["put", "sess:1"], b"{}").done();
    program.run_with(&["put", "pw:1"], b"a").done();
    program
        .run_with(&["put", NAME], b"{}")
        .failed(64, "matches no protected pattern");
    let inspect = |words: &[&str]| program.run(&[&["inspect"], words].concat()).done().text();
    assert!(inspect(&["sess:1"]).contains("format   sealed\n"));
    assert!(inspect(&["pw:1"]).contains("format   classic\n"));
    let text = program.run(&["audit"]).done().text();
    assert!(text.contains("Sessions (sess:*): 1 sealed") && text.contains("Passwords (pw:*): 1"));
    // A flag that names one of them means it as it is configured.
    let text = program.run(&["audit", "--protect", "sess:*"]).done().text();
    assert!(
        text.contains("Sessions (sess:*)") && !text.contains("Passwords"),
        "{text}"
    );
    program
        .run_with(&["put", "pw:2", "--protect", "sess:*"], b"a")
        .failed(64, "no protected");
}

#[test]
fn an_unknown_key_of_the_file_is_an_error_that_names_the_nearest() {
    for (text, problem) in [
        (
            "stroe = \"file:x\"",
            "unknown key stroe; did you mean store?",
        ),
        (
            "[[protect]]\nrecord = \"wa:*\"",
            "unknown key protect.record; did you mean protect.records?",
        ),
        (
            "keyrings = \"file:x\"",
            "unknown key keyrings; did you mean keyring?",
        ),
        ("mode = \"on\"\nmode = \"off\"", "line 2: "),
        ("[[protect]]\nname = \"x\"", "records"),
    ] {
        let program = Program::with_file().file("waxseal.toml", text);
        let output = program.run(&["audit"]).failed(64, "error: waxseal.toml: ");
        assert!(output.stderr.contains(problem), "{}", output.stderr);
    }
    for (text, problem) in [
        ("mode = \"maybe\"", "the mode is one of"),
        (
            "[[protect]]\nrecords = \"wa:*\"\nformat = \"base64\"",
            "the format is one of",
        ),
        (
            "[[protect]]\nrecords = \"wa:*\"\nrefused = \"drop\"",
            "refused is one of",
        ),
        (
            "[[protect]]\nrecords = \"wa:{id}\"",
            "a brace of a record name is written \\{",
        ),
        ("store = \"localhost\"", "a store URL starts with"),
    ] {
        let program = Program::new()
            .env("REDIS_ENCRYPTION_KEY", KEY)
            .file("waxseal.toml", text);
        program.run(&["audit"]).failed(64, problem);
    }
}

#[test]
fn a_configuration_that_was_named_must_be_there() {
    let program = Program::with_file().file("other.toml", "mode = \"required\"\n");
    program
        .run(&["audit", "--config", "missing.toml"])
        .failed(64, "missing.toml cannot be read");
    let output = program.run_with(&["open", "--config", "other.toml"], b"{}");
    output.failed(2, "the value is plaintext");
}

#[test]
fn wrong_usage_ends_with_64() {
    let program = Program::with_file();
    for words in [
        &["migrat"][..],
        &["migrate", "--max-rate", "0"],
        &["migrate", "--resume"],
        &["migrate", "--format", "plain"],
        &["get"],
        &["audit", "--store", "localhost:6379"],
        &["audit", "--store", "redis+cluster://127.0.0.1"],
        &["audit", "--protect", "wa:["],
        &["audit", "--log", "loud"],
        &["demo", "--states", "1"],
        &[],
    ] {
        let output = program.run(words).with_status(64);
        assert_eq!(output.text(), "", "{words:?}");
        assert_ne!(output.stderr, "", "{words:?}");
    }
    assert!(
        std::fs::read_dir(program.directory())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn a_password_given_as_a_flag_is_warned_about_and_never_shown() {
    let program = Program::with_file();
    let output = program
        .run(&["audit", "--store", "redis://u:s3cret@127.0.0.1:1"])
        .with_status(2);
    assert!(
        output
            .stderr
            .contains("warning: a password on the command line")
    );
    assert!(output.stderr.contains("its path into REDIS_URL_FILE"));
    assert!(
        output
            .stderr
            .contains("redis://127.0.0.1:1 cannot be reached")
    );
    assert!(!output.stderr.contains("s3cret"));
    let quiet = program
        .env("REDIS_URL", "redis://u:s3cret@127.0.0.1:1")
        .run(&["audit"]);
    let quiet = quiet.with_status(2);
    assert!(!quiet.stderr.contains("s3cret") && !quiet.stderr.contains("warning"));
}
