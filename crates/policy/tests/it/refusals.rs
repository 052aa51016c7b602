//! Refused commands, their reasons, and the texts.

use waxseal_policy::table::{Names, Treatment, rows};
use waxseal_policy::{Action, Reason, decide};

use crate::{decided, names, shown};

#[test]
fn every_kind_of_refusal_has_its_reason() {
    for (request, reason) in [
        ("INCREX wa:1", "ComputesOnValue"),
        ("LREM wa:1 0 v", "ComparesElement"),
        ("LPOS wa:1 v", "ComparesElement"),
        ("LINSERT wa:1 BEFORE v w", "ComparesElement"),
        ("COPY wa:1 log", "MovesValue"),
        ("COPY wa:1 wa:2 DB 1", "MovesValue"),
        ("RESTORE wa:1 0 v", "MovesValue"),
        ("RPOPLPUSH wa:1 log", "MovesValue"),
        ("BLMOVEM wa:1 log LEFT LEFT 0", "MovesValue"),
        ("MIGRATE host 6379 wa:1 0 100", "MovesValue"),
        ("MIGRATE host 6379  0 100 COPY KEYS log wa:1", "MovesValue"),
        ("EVAL code 1 wa:1", "RunsCode"),
        ("FCALL name 1 wa:1", "RunsCode"),
        ("EVAL code 01 wa:1", "RunsCode"),
        ("EVAL code 9 wa:1", "RunsCode"),
        ("SDIFFCARD 2 log wa:1", "MixesRecords"),
        ("ZUNIONSTORE wa:1 1 log", "MixesRecords"),
        ("ZUNIONSTORE log 2 lag wa:1", "MixesRecords"),
        ("ZRANGEBYLEX wa:1 - +", "SortsMembers"),
        ("GEORADIUS log 1 2 3 km STOREDIST wa:1", "MixesRecords"),
        ("XADD wa:1 IDMPAUTO p * f v", "ComparesValue"),
        ("XREAD NEW STREAMS wa:1 0", "UnforeseenForm"),
        ("PFADD wa:1 v", "NotYetSealed(HyperLogLogs)"),
        ("BITOP NOT log wa:1", "NotYetSealed(Bitmaps)"),
        ("VADD wa:1 VALUES 1 1 v", "NotYetSealed(VectorSets)"),
        ("ARSET wa:1 0 v", "NotYetSealed(Arrays)"),
        ("SYNC", "Replication"),
        ("CLUSTER SYNCSLOTS SYNC", "Replication"),
        ("PSYNC ? -1", "Replication"),
        ("replconf listening-port 1", "Replication"),
    ] {
        assert_eq!(
            shown(&decided(request).action),
            format!("refuse {reason}"),
            "{request}"
        );
    }
}

#[test]
fn only_the_declared_names_of_a_script_count() {
    for request in [
        "EVAL code 0 wa:1",
        "EVAL code 1 log wa:1",
        "FCALL_RO f 1 log wa:1",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
}

#[test]
fn every_row_applies_its_treatment_to_protected_names_only() {
    for row in rows() {
        // An unknown subcommand of CLIENT has a test of its own.
        if row.name.contains('|') || row.name == "client" {
            continue;
        }
        let request: [&[u8]; 3] = [row.name.as_bytes(), b"log", b"lag"];
        let action = decide(&names(), &request).action;
        let always = matches!(row.treatment, Treatment::RefuseAlways(_));
        assert_eq!(matches!(action, Action::Refuse(_)), always, "{}", row.name);
    }
}

#[test]
fn an_unknown_subcommand_of_client_is_refused_whatever_it_names() {
    for request in [
        "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip",
        "client maint_notifications",
        "CLIENT FUTURE log",
        "CLIENT REPLY\0 OFF",
        "CLIENT  OFF",
    ] {
        let Action::Refuse(refusal) = decided(request).action else {
            panic!("{request}");
        };
        let expected = match request.contains('\0') {
            true => Reason::ZeroByte,
            false => Reason::UnknownSubcommand,
        };
        assert_eq!(refusal.reason, expected, "{request}");
    }
}

#[test]
fn a_refusal_names_the_command_the_cause_and_a_remedy() {
    let Action::Refuse(refusal) = decided("himport set wa:5215512345678 fields v").action else {
        panic!("refused");
    };
    assert_eq!(
        refusal.to_string(),
        "HIMPORT SET carries values without their fields, and a value is sealed together with its field: \
         use HSET, in a pipeline if there are many"
    );
    let Action::Refuse(refusal) = decided("json.set wa:5215512345678 $ v").action else {
        panic!("refused");
    };
    assert_eq!(refusal.reason, Reason::UnknownCommand);
    assert!(
        refusal
            .to_string()
            .starts_with("an unknown command names a protected record or channel: "),
        "{refusal}"
    );
}

#[test]
fn a_refusal_has_the_name_and_pattern_that_are_the_cause() {
    for (request, name, pattern) in [
        ("INCREX wa:1", Some(1), Some(0)),
        ("SUNION log sess:1 wa:1", Some(2), Some(1)),
        ("EVAL code 2 log wa:1 argument", Some(4), Some(0)),
        ("XREAD NEW 0 STREAMS log sess:1 0 0", Some(5), Some(1)),
        ("JSON.SET log sess:1", Some(2), Some(1)),
        // A glob that may match a name of either pattern.
        ("SORT log GET * NEW", Some(3), None),
        ("SYNC", None, None),
        ("DEL waxseal:canary wa:1", None, None),
        ("CLIENT FUTURE wa:1", None, None),
    ] {
        let Action::Refuse(refusal) = decided(request).action else {
            panic!("{request}");
        };
        let found = (
            refusal.name,
            refusal.pattern.map(waxseal_policy::PatternId::index),
        );
        assert_eq!(found, (name, pattern), "{request}");
        let is_safety = name.is_none();
        assert_eq!(refusal.reason.is_always_refused(), is_safety, "{request}");
    }
}

#[test]
fn no_refusal_repeats_an_argument() {
    let single = rows().iter().filter(|row| row.names != Names::Subcommands);
    for row in single {
        let words: Vec<&str> = row.name.split('|').collect();
        let mut request: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        request.extend([&b"wa:CANARY"[..]; 6]);
        if let Action::Refuse(refusal) = decide(&names(), &request).action {
            let text = refusal.to_string();
            assert!(!text.contains("CANARY"), "{text}");
            assert!(text.starts_with(&words.join(" ").to_uppercase()), "{text}");
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }
}
