//! Secrets in files: from which places they come, which files are refused, and that nothing of what
//! is in them is ever told. The files are in the program's directory and belong to the user of the
//! tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Output, Program};

/// In files that must not be told, beside the keys, which no output of any test may hold.
const CANARY: &str = "cuarzo-citrino";
const VALUE: &[u8] = b"{\"a\":1}";
/// The value above, sealed by a program.
const SEAL: [&str; 5] = ["seal", "--format", "sealed", "--record", "wa:1"];
const OPEN: [&str; 3] = ["open", "--record", "wa:1"];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A program whose key is in a file with this mode and content.
fn with_key_file(mode: u32, content: &str) -> Program {
    let program = Program::new()
        .file("key", content)
        .env("REDIS_ENCRYPTION_KEY_FILE", "key");
    set_mode(&program.path("key"), mode);
    program
}

/// A program with a directory of credentials, as a service manager gives it: one for each name.
fn with_credentials(credentials: &[(&str, &str)]) -> Program {
    let program = Program::new();
    let directory = program.path("credentials");
    fs::create_dir(&directory).unwrap();
    for (name, content) in credentials {
        fs::write(directory.join(name), content).unwrap();
        set_mode(&directory.join(name), 0o400);
    }
    program.env("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())
}

/// Makes sure that a program seals under this key.
#[track_caller]
fn assert_seals_under(program: &Program, key: &str) {
    let sealed = program.run_with(&SEAL, VALUE).done().stdout;
    let direct = Program::new().env("REDIS_ENCRYPTION_KEY", key);
    assert_eq!(direct.run_with(&OPEN, &sealed).done().stdout, VALUE);
}

#[track_caller]
fn assert_leaks_nothing(output: &Output) {
    let told = format!("{}{}", output.text(), output.stderr);
    assert!(!told.contains(CANARY), "a secret shows: {told}");
}

/// Makes sure that a program is not used, and says these words about it.
#[track_caller]
fn assert_refused(program: &Program, words: &[&str]) {
    let output = program.run_with(&SEAL, VALUE).with_status(64);
    for word in words {
        assert!(
            output.stderr.contains(word),
            "no «{word}» in {}",
            output.stderr
        );
    }
    assert_leaks_nothing(&output);
}

#[test]
fn a_key_may_be_in_the_file_that_a_variable_names() {
    for content in [KEY.to_owned(), format!("{KEY}\n"), format!(" {KEY} \r\n")] {
        assert_seals_under(&with_key_file(0o600, &content), KEY);
    }
    let program = with_key_file(0o600, KEY);
    let path = program.path("key");
    let program = program.env("REDIS_ENCRYPTION_KEY_FILE", path.to_str().unwrap());
    assert_seals_under(&program, KEY);
}

#[test]
fn previous_keys_may_be_in_a_file() {
    let old = Program::new().env("REDIS_ENCRYPTION_KEY", OLD_KEY);
    let sealed = old.run_with(&SEAL, VALUE).done().stdout;
    let program = with_key_file(0o600, KEY);
    program.run_with(&OPEN, &sealed).with_status(2);
    let program = program
        .file("previous", &format!("{OTHER_KEY},{OLD_KEY}\n"))
        .env("REDIS_ENCRYPTION_PREVIOUS_KEYS_FILE", "previous");
    set_mode(&program.path("previous"), 0o400);
    assert_eq!(program.run_with(&OPEN, &sealed).done().stdout, VALUE);
    assert_seals_under(&program, KEY);
}

#[test]
fn the_url_of_the_store_may_be_in_a_file() {
    let program = with_key_file(0o600, KEY)
        .file("url", "file:states.waxseal\n")
        .env("REDIS_URL_FILE", "url");
    set_mode(&program.path("url"), 0o600);
    program.run_with(&["put", "wa:1"], VALUE).done();
    assert!(program.path("states.waxseal").exists());
    let direct = program
        .without("REDIS_URL_FILE")
        .env("REDIS_URL", "file:states.waxseal");
    assert_eq!(direct.run(&["get", "wa:1"]).done().stdout, VALUE);
}

#[test]
fn the_secret_of_a_custodian_may_be_in_a_file_or_a_credential() {
    const RING: &str = "keyring = \"file:ring.json\"\ncustodian = \"env:KEK\"\n";
    let program = Program::with_file()
        .without("REDIS_ENCRYPTION_KEY")
        .file(
            "waxseal.toml",
            &format!("{RING}keyring_copy = \"copy.json\"\n"),
        )
        .file("kek", &format!("{OTHER_KEY}\n"))
        .env("KEK_FILE", "kek");
    set_mode(&program.path("kek"), 0o600);
    program.run(&["keyring", "init"]).done();
    let sealed = program.run_with(&SEAL, VALUE).done().stdout;

    let program = program.without("KEK_FILE");
    let output = program.run_with(&OPEN, &sealed);
    output.failed(64, "the custodian's variable KEK is not set");
    let program = program.env("KEK", OTHER_KEY);
    assert_eq!(program.run_with(&OPEN, &sealed).done().stdout, VALUE);
    let program = program.without("KEK").file(".env", "KEK_FILE=kek\n");
    assert_eq!(program.run_with(&OPEN, &sealed).done().stdout, VALUE);

    let program = program.file(".env", "");
    fs::create_dir(program.path("credentials")).unwrap();
    fs::rename(program.path("kek"), program.path("credentials/KEK")).unwrap();
    let program = program.env("CREDENTIALS_DIRECTORY", "credentials");
    assert_eq!(program.run_with(&OPEN, &sealed).done().stdout, VALUE);
    set_mode(&program.path("credentials/KEK"), 0o644);
    program.run_with(&OPEN, &sealed).with_status(64);
}

#[test]
fn the_file_of_the_working_directory_may_name_a_file() {
    let program = Program::new()
        .file("key", KEY)
        .file(".env", "export REDIS_ENCRYPTION_KEY_FILE='key' # mounted\n");
    set_mode(&program.path("key"), 0o600);
    assert_seals_under(&program, KEY);
    // The process goes before it, and may name another.
    let program = program
        .file("other", OTHER_KEY)
        .env("REDIS_ENCRYPTION_KEY_FILE", "other");
    set_mode(&program.path("other"), 0o600);
    assert_seals_under(&program, OTHER_KEY);
}

#[test]
fn a_variable_and_a_file_for_it_are_refused() {
    let both = "REDIS_ENCRYPTION_KEY and REDIS_ENCRYPTION_KEY_FILE are both set\nhint: remove one";
    let program = with_key_file(0o600, KEY);
    let dotenv = format!("REDIS_ENCRYPTION_KEY={KEY}\n");
    assert_refused(&program.file(".env", &dotenv), &[both]);
    let program = with_key_file(0o600, KEY).env("REDIS_ENCRYPTION_KEY", KEY);
    assert_refused(&program, &[both]);
    // What is set to nothing is not set.
    assert_seals_under(&program.env("REDIS_ENCRYPTION_KEY", ""), KEY);
    let program = with_key_file(0o600, KEY)
        .env("REDIS_ENCRYPTION_KEY", OTHER_KEY)
        .env("REDIS_ENCRYPTION_KEY_FILE", "");
    assert_seals_under(&program, OTHER_KEY);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    for mode in [0o600, 0o400] {
        assert_seals_under(&with_key_file(mode, KEY), KEY);
    }
    for mode in [0o644, 0o640, 0o604, 0o444, 0o440, 0o620, 0o602, 0o666] {
        let program = with_key_file(mode, KEY);
        let told = format!("(mode {mode:03o})");
        let path = program.path("key").display().to_string();
        let program = program.env("REDIS_ENCRYPTION_KEY_FILE", &path);
        let words = [
            "error: REDIS_ENCRYPTION_KEY_FILE: ",
            &told,
            &format!("hint: chmod 600 {path}. "),
            "mode: 0400",
            "defaultMode: 0440 and fsGroup",
        ];
        assert_refused(&program, &words);
    }
}

#[test]
fn a_file_of_another_user_may_be_open_to_a_group_for_reading() {
    let program = with_key_file(0o440, KEY);
    let key = program.path("key");
    let given = Command::new("chown").arg("1:1").arg(&key).status().unwrap();
    assert!(
        given.success(),
        "this test gives a file to another user: run it as root, for example \
         sudo -E env \"PATH=$PATH\" cargo test -p waxseal-cli --test it secret_files"
    );
    for mode in [0o400, 0o440, 0o640] {
        set_mode(&key, mode);
        assert_seals_under(&program, KEY);
    }
    for mode in [0o460, 0o420, 0o660, 0o444, 0o441, 0o604] {
        set_mode(&key, mode);
        let told = format!("(mode {mode:03o})");
        assert_refused(&program, &[&told, "hint: chown ", "chmod 600"]);
    }
}

#[test]
fn credentials_of_the_service_manager_are_found_by_their_names() {
    let credentials = [
        ("REDIS_ENCRYPTION_KEY", KEY),
        ("REDIS_URL", "file:states.waxseal"),
    ];
    let program = with_credentials(&credentials);
    assert_seals_under(&program, KEY);
    program.run_with(&["put", "wa:1"], VALUE).done();
    assert!(program.path("states.waxseal").exists());
    // A variable goes before, and so does a file that one names.
    let program = program.env("REDIS_ENCRYPTION_KEY", OTHER_KEY);
    assert_seals_under(&program, OTHER_KEY);
    let program = program
        .without("REDIS_ENCRYPTION_KEY")
        .file("key", OLD_KEY)
        .env("REDIS_ENCRYPTION_KEY_FILE", "key");
    set_mode(&program.path("key"), 0o600);
    assert_seals_under(&program, OLD_KEY);

    let program = program.without("REDIS_ENCRYPTION_KEY_FILE");
    set_mode(&program.path("credentials/REDIS_ENCRYPTION_KEY"), 0o444);
    assert_refused(&program, &["error: CREDENTIALS_DIRECTORY: ", "(mode 444)"]);
    fs::remove_file(program.path("credentials/REDIS_ENCRYPTION_KEY")).unwrap();
    assert_refused(&program, &["no encryption key is configured"]);
}

#[test]
fn what_a_link_leads_to_is_what_counts() {
    // As Kubernetes mounts them.
    let program = Program::new();
    fs::create_dir(program.path("..2026")).unwrap();
    fs::write(program.path("..2026/key"), KEY).unwrap();
    symlink("..2026", program.path("..data")).unwrap();
    symlink("..data/key", program.path("key")).unwrap();
    let program = program.env("REDIS_ENCRYPTION_KEY_FILE", "key");
    set_mode(&program.path("..2026/key"), 0o400);
    assert_seals_under(&program, KEY);
    set_mode(&program.path("..2026/key"), 0o644);
    assert_refused(&program, &["(mode 644)"]);
    fs::remove_file(program.path("..2026/key")).unwrap();
    assert_refused(&program, &["there is no such file"]);
}

#[test]
fn a_file_that_holds_no_secret_is_refused_and_nothing_of_it_is_reported() {
    let too_large = format!("{CANARY}{}", "x".repeat(64 * 1024));
    let with = |content: &[u8]| {
        let program = with_key_file(0o600, "");
        fs::write(program.path("key"), content).unwrap();
        program
    };
    let about = "error: REDIS_ENCRYPTION_KEY_FILE: key ";
    for (content, words) in [
        (&b""[..], "is empty\nhint: write the secret into it"),
        (b"\n", "is empty"),
        (b" \r\n\n", "is empty"),
        (too_large.as_bytes(), "has more than 64 KiB"),
        (b"cuarzo-citrino\xff\n", "is not valid UTF-8"),
    ] {
        assert_refused(&with(content), &[&format!("{about}{words}")]);
    }
    assert_refused(&with(CANARY.as_bytes()), &["Invalid encryption key length"]);

    let directory = Program::new().env("REDIS_ENCRYPTION_KEY_FILE", "/");
    assert_refused(
        &directory,
        &["REDIS_ENCRYPTION_KEY_FILE: / is a directory\nhint: "],
    );
    let missing = Program::new().env("REDIS_ENCRYPTION_KEY_FILE", "/nowhere/key");
    assert_refused(&missing, &["_FILE: there is no file /nowhere/key\nhint: "]);
}

#[test]
fn a_secret_where_a_path_should_be_is_not_told() {
    let url = format!("redis://waxseal:{CANARY}@redis.example:6379");
    for (name, value) in [
        ("REDIS_URL_FILE", url.as_str()),
        ("REDIS_ENCRYPTION_KEY_FILE", KEY),
        ("REDIS_ENCRYPTION_PREVIOUS_KEYS_FILE", CANARY),
    ] {
        let program = Program::with_file()
            .without("REDIS_URL")
            .without("REDIS_ENCRYPTION_KEY");
        let words = format!("{name}: there is no such file\nhint: it takes the path");
        assert_refused(&program.env(name, value), &[&words]);
    }
    let long = "k".repeat(5000) + CANARY;
    let program = Program::new().env("REDIS_ENCRYPTION_KEY_FILE", &long);
    assert_refused(
        &program,
        &["REDIS_ENCRYPTION_KEY_FILE: the file cannot be read: "],
    );
}

#[test]
fn doctor_tells_where_secrets_come_from() {
    let program = with_credentials(&[("REDIS_URL", "file:states.waxseal")])
        .file("key", KEY)
        .file(".env", "REDIS_ENCRYPTION_KEY_FILE=key\n")
        .env("REDIS_ENCRYPTION_PREVIOUS_KEYS", OLD_KEY);
    set_mode(&program.path("key"), 0o600);
    let report = program.run(&["doctor", "--json"]).done().json();
    let found = |check: &str| -> Option<Value> {
        let findings = report.as_array().unwrap();
        let finding = findings.iter().find(|it| it["check"] == check)?;
        Some(finding["found"].clone())
    };
    assert_eq!(
        found("secrets").unwrap(),
        "REDIS_ENCRYPTION_KEY from the file of REDIS_ENCRYPTION_KEY_FILE, \
         REDIS_ENCRYPTION_PREVIOUS_KEYS from the environment, REDIS_URL from the service manager"
    );
    // There is nothing in it that others must not read.
    assert_eq!(found("permissions"), None);
}
