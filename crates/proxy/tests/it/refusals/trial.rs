//! Requests that would be refused, in a trial of the proxy.

use std::sync::Arc;

use waxseal_core::{Mode, NameMask, SecretKey};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Limits, Protection, Refusals, Trial};

use super::{RELEASE, protected, report};
use crate::pair::{KEY, Pair, assert_sent, sealer, text};

fn trial(keeps_names: bool) -> (Pair, Arc<Refusals>) {
    let (protection, refusals) = protected();
    let protection = protection.trial(Some(Trial { keeps_names }));
    let limits = Limits {
        value: 1000,
        request: 2000,
        ..Limits::default()
    };
    (Pair::over(protection, limits), refusals)
}

#[test]
fn a_trial_forwards_requests_that_would_be_refused_or_changed_unchanged() {
    let (mut pair, refusals) = trial(false);
    for (line, reply) in [
        ("SET app:1 v", "+OK"),
        ("GET app:1", "'v"),
        // Sent as GET if values are sealed.
        ("STRLEN app:1", ":1"),
        ("INCREX app:1:hits", ":1"),
        ("EVAL code 1 app:1:lock", ":1"),
        ("BLMOVE app:z wa:z LEFT LEFT 0", "*-1"),
        ("JSON.SET app:1 v", "+OK"),
        ("RENAME app:1 other", "+OK"),
        ("RENAME app:1 wa:1", "+OK"),
    ] {
        pair.exchange(line, reply, reply);
    }
    pair.send(&["MULTI", "INCREX app:1:hits", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "INCREX app:1:hits", "EXEC"]);
    pair.answer("+OK +QUEUED *1 :2");
    assert_eq!(pair.got(), "+OK\r\n+QUEUED\r\n*1\r\n:2\r\n");
    let large = format!("SET app:1 {}", "x".repeat(5000));
    pair.exchange(&large, "+OK", "+OK");
    let report = report(&refusals);
    let actual: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.command, row.count))
        .collect();
    let expected = [
        ("increx", 2),
        ("blmove", 1),
        ("eval", 1),
        ("other", 1),
        ("rename", 1),
        ("set", 1),
    ];
    assert_eq!(actual, expected);
    assert!(
        report
            .rows
            .iter()
            .all(|row| row.is_forwarded && row.names.is_empty())
    );
    assert_eq!(
        report.fine,
        [
            (0, "get", 1),
            (0, "rename", 1),
            (0, "set", 1),
            (0, "strlen", 1)
        ]
    );
}

#[test]
fn a_trial_still_refuses_requests_that_no_proxy_can_forward() {
    let (mut pair, refusals) = trial(true);
    for line in [
        "SYNC",
        "DEL waxseal:canary",
        "CLIENT FUTURE",
        "CLIENT\0 LIST",
    ] {
        pair.send(&[line]);
        assert!(pair.sent().is_empty(), "{line}");
        assert!(pair.got().starts_with('-'), "{line}");
    }
    // The server would redirect the client past the proxy.
    pair.send(&["CLIENT CAPA redirect"]);
    assert!(!text(&pair.sent()).contains("redirect"));
    pair.answer("+OK");
    pair.send(&["INCREX app:5215512345678:hits"]);
    let rows = report(&refusals).rows;
    assert_eq!(rows.iter().filter(|row| row.is_forwarded).count(), 1);
    let kept = rows.iter().find(|row| row.is_forwarded).unwrap();
    assert_eq!(kept.names, [b"app:5215512345678:hits".to_vec()]);
    assert!(rows.iter().filter(|row| !row.is_forwarded).count() >= 4);
}

#[test]
fn the_script_of_a_lock_is_accepted_unless_it_is_inside_a_transaction() {
    let release = format!("EVAL {RELEASE} 1 app:7:lock token");
    let (mut pair, refusals) = trial(false);
    pair.exchange(&release, ":1", ":1");
    // A digest whose text was never sent is unknown: no refusal, and no setting.
    let digest = "EVALSHA 0000000000000000000000000000000000000000 1 app:7:lock token";
    pair.exchange(digest, ":1", ":1");
    pair.send(&["MULTI", &release, "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", &release, "EXEC"]);
    let rows = report(&refusals);
    assert_eq!(rows.fine, [(0, "eval", 1)]);
    assert_eq!(rows.unseen_scripts, [(0, "evalsha", 1)]);
    let except = "except = [\"app:*:lock\"]";
    let [row] = &rows.rows[..] else {
        panic!("{rows:?}");
    };
    let actual = (row.command, row.reason, &*row.setting, row.is_forwarded);
    assert_eq!(actual, ("eval", "in_transaction", except, true));

    let (protection, refusals) = protected();
    let mut pair = Pair::over(protection, Limits::default());
    pair.send(&["MULTI", &release]);
    pair.answer("+OK");
    assert!(pair.got().contains("SEALREFUSED EVAL"));
    let row = report(&refusals).rows.remove(0);
    assert_eq!((row.reason, &*row.setting), ("in_transaction", except));
}

#[test]
fn commands_of_a_transaction_that_would_be_aborted_are_not_counted_as_accepted() {
    let (mut pair, refusals) = trial(false);
    let ok = ["MULTI", "SET app:1 v", "EXEC"];
    pair.send(&ok);
    assert_sent(&pair.sent(), &ok);
    pair.answer("+OK +QUEUED *1 +OK");
    let aborted = [
        "MULTI",
        "SET app:1 v",
        "INCREX app:1:hits",
        "GET app:1",
        "EXEC",
    ];
    pair.send(&aborted);
    assert_sent(&pair.sent(), &aborted);
    pair.answer("+OK +QUEUED +QUEUED +QUEUED *3 +OK :1 'v");
    let report = report(&refusals);
    assert_eq!(report.fine, [(0, "set", 1)]);
    assert_eq!((report.aborted, report.rows.len()), (2, 1));
}

#[test]
fn requests_on_excepted_names_are_not_counted() {
    let refusals = Arc::new(Refusals::default());
    let pattern = RecordPattern::parse("app:*").unwrap();
    let pattern = pattern.except(&["app:*:hits"]).unwrap();
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    let protection = Protection::new(vec![(pattern, sealer(KEY, Mode::Off))], mask)
        .record_refusals(refusals.clone(), false)
        .trial(Some(Trial { keeps_names: false }));
    let mut pair = Pair::over(protection, Limits::default());
    pair.exchange("INCREX app:1:hits", ":1", ":1");
    pair.exchange("MGET app:1:hits app:1", "*2 $-1 $-1", "*2 $-1 $-1");
    let report = report(&refusals);
    assert_eq!((report.fine, report.rows.len()), (vec![(0, "mget", 1)], 0));
}

#[test]
fn a_trial_blocks_as_a_server_does() {
    let (mut pair, _) = trial(false);
    pair.send(&["XREAD BLOCK 0 STREAMS app:s $", "PING"]);
    assert_sent(&pair.sent(), &["XREAD BLOCK 0 STREAMS app:s $", "PING"]);
    assert!(pair.connection.may_be_blocked());
    assert_eq!(pair.connection.delay(), None);
}
