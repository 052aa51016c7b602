//! `seal` and `open`: one value through a pipe.

use waxseal_testing::node::{self, ClassicSeal};

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE, key_bytes};

fn program() -> Program {
    Program::new().env("REDIS_ENCRYPTION_KEY", KEY)
}

#[test]
fn a_sealed_value_opens_to_the_same_bytes() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let megabyte = vec![0xE1; 1 << 20];
    for value in [
        b"{}".as_slice(),
        STATE.as_bytes(),
        &every_byte,
        &megabyte,
        b"line\n",
    ] {
        for format in [
            &["--format", "classic"][..],
            &["--format", "sealed"],
            &["--format", "sealed", "--armor"],
        ] {
            let stored = program()
                .run_with(&[&["seal"], format].concat(), value)
                .done()
                .stdout;
            let opened = program().run_with(&["open"], &stored).done().stdout;
            assert!(opened == value, "{format:?}");
        }
    }
}

#[test]
fn node_opens_what_seal_wrote() {
    let sealed = program()
        .run_with(&["seal"], STATE.as_bytes())
        .done()
        .text();
    let opened = node::classic_open(&key_bytes(KEY), &[sealed]);
    assert_eq!(opened, [Some(STATE.as_bytes().to_vec())]);
}

#[test]
fn open_opens_values_that_node_sealed_even_with_the_line_feed_of_a_terminal() {
    let key = key_bytes(KEY);
    let by_node = node::classic_seal(&[ClassicSeal {
        key: &key,
        iv: None,
        value: STATE.as_bytes(),
    }]);
    for stored in [by_node[0].clone(), format!("{}\n", by_node[0])] {
        let output = program().run_with(&["open"], stored.as_bytes()).done();
        assert_eq!(output.text(), STATE);
    }
}

#[test]
fn an_envelope_opens_only_where_it_is_bound_to() {
    let place = ["--record", NAME, "--field", "email"];
    let seal = ["seal", "--format", "sealed"];
    let stored = program()
        .run_with(&[&seal[..], &place].concat(), b"[1]")
        .done()
        .stdout;
    let open = |place: &[&str]| program().run_with(&[&["open"], place].concat(), &stored);
    assert_eq!(open(&place).done().text(), "[1]");
    for elsewhere in [
        &[][..],
        &["--record", NAME],
        &["--record", "wa:other", "--field", "email"],
        &["--record", NAME, "--field", "name"],
    ] {
        let output = open(elsewhere).failed(2, "error: Failed to decrypt Redis data");
        assert_eq!(output.text(), "");
    }
}

#[test]
fn a_value_that_does_not_open_is_refused_with_a_hint() {
    let stored = program()
        .run_with(&["seal"], STATE.as_bytes())
        .done()
        .stdout;
    let other = Program::new().env("REDIS_ENCRYPTION_KEY", OTHER_KEY);
    let output = other.run_with(&["open"], &stored);
    let output = output.failed(
        2,
        "waxseal: error: Failed to decrypt Redis data\nhint: wrong key",
    );
    assert_eq!(output.text(), "");
    let seal = ["seal", "--format", "sealed"];
    let stored = program().run_with(&seal, STATE.as_bytes()).done().stdout;
    let output = other.run_with(&["open"], &stored);
    output.failed(
        2,
        "hint: add the key that sealed it to REDIS_ENCRYPTION_PREVIOUS_KEYS",
    );
}

#[test]
fn a_previous_key_opens() {
    let old = Program::new().env("REDIS_ENCRYPTION_KEY", OLD_KEY);
    let both = Program::new().keys(KEY, OLD_KEY);
    for format in ["classic", "sealed"] {
        let stored = old
            .run_with(&["seal", "--format", format], b"[1]")
            .done()
            .stdout;
        assert_eq!(both.run_with(&["open"], &stored).done().text(), "[1]");
    }
}

#[test]
fn a_plain_value_opens_unchanged_unless_the_mode_is_required() {
    assert_eq!(
        program()
            .run_with(&["open"], STATE.as_bytes())
            .done()
            .text(),
        STATE
    );
    let required = program().env("ENABLE_REDIS_ENCRYPTION", "required");
    let output = required.run_with(&["open"], STATE.as_bytes());
    let output = output.failed(2, "the value is plaintext, and the mode is \"required\"");
    assert_eq!(output.text(), "");
}

#[test]
fn a_field_without_its_record_is_wrong_usage() {
    program()
        .run(&["seal", "--field", "email"])
        .failed(64, "--record");
}
