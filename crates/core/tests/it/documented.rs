//! The worked examples of `docs/reference/formats.md`: they open here, and its programs print what it says.

use std::process::Command;
use std::sync::Arc;

use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Keyring, Mode, NamePrefix, NameSealer,
    PadNames, Sealer,
};

const DOCUMENT: &str = include_str!("../../../../docs/reference/formats.md");
const KEY: &str = "8f1d6a2c4b7e9035d1c6f8a20e5b3974a6c2e8f01b4d7953c0a1e6f28d5b3947";
const VALUE: &[u8] = br#"{"status":"confirming"}"#;

fn sealer() -> Sealer {
    let ring = Keyring::from_hex(KEY, "").unwrap();
    let ring = ring.with_domain(*b"production").with_rules(EnvelopeRules {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V2,
    });
    Sealer::new(Arc::new(ring), Mode::Required, Format::Sealed)
}

/// The programs of the document, in their order.
fn programs() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```js\n").skip(1);
    blocks.map(|it| it.split("```").next().unwrap()).collect()
}

fn run(program: &str) -> String {
    let output = Command::new("node").args(["-e", program]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The armored envelopes of the document, in their order, each once.
fn envelopes() -> Vec<&'static str> {
    let words = DOCUMENT.split(|c: char| !(c.is_ascii_alphanumeric() || ":-_".contains(c)));
    let mut all: Vec<_> = words.filter(|it| it.starts_with("ws2:9Vc")).collect();
    all.dedup();
    all
}

#[test]
fn the_envelopes_open_and_have_the_documented_bytes() {
    let sealer = sealer();
    let record = Binding::record(b"wa:5215512345678");
    let member = Binding::member(b"wa:waiting");
    let expected: [(&str, Binding<'_>, &[u8]); 3] = [
        ("ws2:9VcC", record, VALUE),
        ("ws2:9VcD", record, VALUE),
        ("ws2:9VcD", member, b"5215512345678"),
    ];
    let envelopes = envelopes();
    assert_eq!(envelopes.len(), expected.len(), "{envelopes:?}");
    for (envelope, (start, binding, value)) in envelopes.iter().zip(expected) {
        assert!(envelope.starts_with(start));
        let opened = sealer.open(envelope.as_bytes(), binding).unwrap();
        assert_eq!(&*opened.unwrap().value, value);
    }
    let made = sealer
        .clone()
        .armored(true)
        .seal_deterministic(b"5215512345678", member);
    assert_eq!(made.unwrap(), envelopes[2].as_bytes());
}

#[test]
fn the_programs_print_the_values() {
    let programs = programs();
    assert_eq!(programs.len(), 3);
    for (program, value) in programs.iter().zip([VALUE, VALUE, b"5215512345678"]) {
        assert_eq!(run(program).trim_end().as_bytes(), value);
    }
}

#[test]
fn the_first_program_opens_version_3_with_the_documented_change() {
    let (_, change) = DOCUMENT
        .split_once("replace the envelope, and these lines:\n\n```\n")
        .unwrap();
    let change = change.split("```").next().unwrap();
    let program = programs()[0];
    let (before, rest) = program.split_once("const length").unwrap();
    let (_, after) = rest.split_once("length, record]));\n").unwrap();
    let program = [before, change, after].concat();
    let envelopes = envelopes();
    let body = |at: usize| envelopes[at].strip_prefix("ws2:").unwrap();
    assert!(program.contains(body(0)));
    let program = program.replace(body(0), body(1));
    assert_eq!(run(&program).trim_end().as_bytes(), VALUE);
}

/// The rows of the table of names: logical and stored name, and the remark.
fn names() -> Vec<[&'static str; 3]> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: [&str; 3] = cells.splitn(3, " | ").collect::<Vec<_>>().try_into().ok()?;
        let [logical, stored, remark] = cells.map(|cell| cell.trim_matches('`'));
        stored
            .contains("9VcDE")
            .then_some([logical, stored, remark])
    });
    rows.collect()
}

#[test]
fn the_names_are_stored_as_documented() {
    let expected = [("wa:", 1), ("wa:", 16), ("wa:", 1), ("wa:", 1), ("", 1)];
    let names = names();
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for ([logical, stored, remark], (prefix, pad)) in names.into_iter().zip(expected) {
        let padding = PadNames::new(pad).unwrap();
        let mut prefix = NamePrefix::new(prefix.as_bytes(), padding);
        if remark.contains("cluster") {
            prefix = prefix.on_cluster().unwrap();
        }
        assert_eq!(remark.contains("`pad_names = 16"), pad == 16);
        let ring = Keyring::from_hex(KEY, "").unwrap();
        let ring = match remark.contains("no domain") {
            true => ring,
            false => ring.with_domain(*b"production"),
        };
        let sealer = NameSealer::new(Arc::new(ring), vec![prefix]);
        let (mut made, mut opened) = (Vec::new(), Vec::new());
        let names = sealer.load();
        names.seal(0, 0, logical.as_bytes(), &mut made).unwrap();
        assert_eq!(made, stored.as_bytes());
        names.open(0, stored.as_bytes(), &mut opened).unwrap();
        assert_eq!(opened, logical.as_bytes());
    }
}

#[test]
fn the_last_program_opens_a_name_with_the_documented_change() {
    let change = DOCUMENT
        .split_once("replace these lines (it then prints `wa:5215512345678`):\n\n```\n")
        .unwrap();
    let change = change.1.split("```").next().unwrap();
    let mut program: Vec<&str> = programs().pop().unwrap().lines().collect();
    for line in change.lines() {
        // The line that begins alike.
        let start = &line[..12];
        let mut alike = program.iter_mut().filter(|it| it.starts_with(start));
        let (old, None) = (alike.next().unwrap(), alike.next()) else {
            panic!("several lines begin with {start:?}");
        };
        *old = line;
    }
    assert_eq!(run(&program.join("\n")).trim_end(), "wa:5215512345678");
}
