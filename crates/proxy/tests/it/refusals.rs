//! Refused requests: the client's error, and the record of them.

mod trial;

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_core::{Mode, NameMask, SecretKey};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Limits, Protection, RefusalReport, Refusals};

use crate::pair::{KEY, Pair, assert_sent, sealer};

/// Compare and delete, without spaces.
const RELEASE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('del',KEYS[1])\telse\treturn\t0\tend";

/// Records of two patterns, and where refusals are recorded.
fn protected() -> (Protection, Arc<Refusals>) {
    let parse = |text| (RecordPattern::parse(text).unwrap(), sealer(KEY, Mode::On));
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    let refusals = Arc::new(Refusals::default());
    let protection = Protection::new(vec![parse("app:*"), parse("wa:{user}")], mask);
    (
        protection.record_refusals(refusals.clone(), false),
        refusals,
    )
}

fn report(refusals: &Refusals) -> RefusalReport {
    refusals.report(Instant::now())
}

#[test]
fn the_clients_error_has_the_setting_that_would_accept_its_request() {
    for (line, remedy) in [
        (
            "EVAL code 1 app:9f12:lock token",
            "a protected record: set except = [\"app:*:lock\"] in the proxy's configuration, which leaves such \
             records in plaintext, or scripts = \"forward\" if the script treats values as opaque bytes",
        ),
        (
            "INCREX app:5215512345678:hits",
            "; or set except = [\"app:*:hits\"] in the",
        ),
        (
            "SUNIONSTORE app:tags:1 app:ana:tags app:tags:2",
            "; or set except = [\"app:tags:*\", \"app:*:tags\"] in the",
        ),
        (
            "PFADD app:{tags}:7 v",
            "; or set except = ['app:\\{tags\\}*'] in the",
        ),
        (
            "LOCK.ACQUIRE app:7:lock",
            "; or set except = [\"app:*:lock\"] in the",
        ),
        // No glob distinguishes these from other records of the pattern.
        (
            "INCREX wa:5215512345678",
            "under WATCH if others write too\r\n",
        ),
        (
            "EVAL code 1 wa:5215512345678",
            "name the script's records in except = [...], or set scripts = \"forward\" if the script treats \
             values as opaque bytes\r\n",
        ),
        // One of two names has no glob.
        (
            "SMOVE app:7:lock wa:1 v",
            "or read and compare in the application\r\n",
        ),
    ] {
        let (protection, _) = protected();
        let mut pair = Pair::over(protection, Limits::default());
        pair.send(&[line]);
        let got = pair.got();
        assert!(got.starts_with("-SEALREFUSED "), "{got}");
        assert!(got.contains(remedy), "{line}: {got}");
        let reported = ["5215", "9f12", "ana"].iter().any(|it| got.contains(it));
        assert!(!reported, "{got}");
    }
}

#[test]
fn only_a_short_remedy_that_accepts_the_request_is_shown() {
    let words = [
        "lock", "tags", "hits", "jobs", "meta", "queue", "stats", "index", "events",
    ];
    let sunion = |names: &mut dyn Iterator<Item = String>| {
        format!("SUNION {}", names.collect::<Vec<_>>().join(" "))
    };
    let same = |count: usize| sunion(&mut (0..count).map(|it| format!("app:{it}:lock")));
    let long = format!("app:{}", "lock:".repeat(5000));
    for (line, setting) in [
        (same(40), Some("except = [\"app:*:lock\"]")),
        (same(2000), None),
        (
            sunion(&mut words[..8].iter().map(|it| format!("app:{it}"))),
            Some("\"app:index\"]"),
        ),
        // More globs than are shown, and a part of them would not be a remedy.
        (
            sunion(&mut words.iter().map(|it| format!("app:{it}"))),
            None,
        ),
        // Behind the names that are read.
        (format!("{} app:5215512345678", same(20)), None),
        (format!("INCREX {long}"), None),
        // SORT reads records that no name of the request is.
        (
            "SORT app:1:tags BY nosort STORE open".to_owned(),
            Some("\"app:*:tags\""),
        ),
        ("SORT app:1:tags GET app:*:hits STORE open".to_owned(), None),
        (
            "SUNION app:1:tags wa:1:tags".to_owned(),
            Some("except = [\"app:*:tags\"] for app:*; except = [\"wa:*:tags\"] for wa:{user} in"),
        ),
    ] {
        let (protection, refusals) = protected();
        let mut pair = Pair::over(protection, Limits::default());
        pair.send(&[&line]);
        let got = pair.got();
        let shown = line.get(..60).unwrap_or(&line);
        assert!(got.len() < 1000, "{shown}: {}", got.len());
        let row = report(&refusals).rows.remove(0);
        assert!(
            row.setting.len() <= 512 && row.advice.len() <= 512,
            "{shown}"
        );
        match setting {
            Some(setting) => assert!(got.contains(setting), "{shown}: {got}"),
            None => assert!(
                !got.contains("except = [\"") && row.setting.is_empty(),
                "{got}"
            ),
        }
    }
}

#[test]
fn sort_over_excepted_names_alone_is_forwarded() {
    let pattern = RecordPattern::parse("app:*").unwrap();
    let pattern = pattern.except(&["app:*:list", "app:*:weight"]).unwrap();
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    let protection = Protection::new(vec![(pattern, sealer(KEY, Mode::On))], mask);
    let mut pair = Pair::over(protection, Limits::default());
    let line = "SORT app:1:list BY app:*:weight GET # GET app:*:weight->f STORE app:2:list";
    pair.exchange(line, ":2", ":2");
    pair.send(&["SORT app:1:list GET app:*:other STORE open"]);
    assert!(pair.got().starts_with("-SEALREFUSED "));
}

#[test]
fn refusals_are_recorded_by_command_pattern_reason_and_remedy() {
    let (protection, refusals) = protected();
    let mut pair = Pair::over(protection, Limits::default());
    for _ in 0..3 {
        pair.send(&[
            "INCREX app:1:hits",
            "INCREX app:2:hits",
            "INCREX app:1:views",
        ]);
    }
    pair.send(&["INCREX wa:1", "SYNC", "MULTI", "SUBSCRIBE c", "DISCARD"]);
    let report = report(&refusals);
    let actual: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            let pattern = row.pattern.as_ref().map(|(_, shown)| &**shown);
            (row.command, pattern, row.reason, &*row.setting, row.count)
        })
        .collect();
    let app = Some("app:*");
    let computes = "computes_on_value";
    assert_eq!(
        actual,
        [
            ("increx", app, computes, "except = [\"app:*:hits\"]", 6),
            ("increx", app, computes, "except = [\"app:*:views\"]", 3),
            ("increx", Some("wa:{user}"), computes, "", 1),
            ("subscribe", None, "in_transaction", "", 1),
            ("sync", None, "replication", "", 1),
        ]
    );
    assert!(report.fine.is_empty());
    assert!(
        report
            .rows
            .iter()
            .all(|row| row.names.is_empty() && !row.is_forwarded)
    );
}

#[test]
fn the_log_has_the_first_refusal_at_once_and_then_their_number_once_a_minute() {
    let (protection, refusals) = protected();
    let mut pair = Pair::over(protection, Limits::default());
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    pair.send(&["INCREX app:5215512345678:hits"]);
    // It was logged when it was refused.
    assert!(refusals.due_lines(at(3600), true).is_empty());
    for _ in 0..1203 {
        pair.send(&["INCREX app:5215512345678:hits"]);
    }
    pair.got();
    assert!(refusals.due_lines(at(30), false).is_empty());
    let lines = refusals.due_lines(at(62), false);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert!(
        line.text.starts_with("refused 1,203 times in the last 6"),
        "{line:?}"
    );
    assert!(
        line.text.ends_with(
            " on app:*: INCREX makes the server compute on a sealed value; set except = [\"app:*:hits\"] in the \
             [[protect]] of app:*, which leaves such records in plaintext"
        ),
        "{line:?}"
    );
    assert_eq!((line.command, line.reason), ("increx", "computes_on_value"));
    let record = line.record.as_deref().unwrap();
    assert!(
        record.starts_with("app:#") && record.len() == 13,
        "{record}"
    );
    assert!(refusals.due_lines(at(200), false).is_empty());
    // At the end the remaining ones are logged at any time.
    pair.send(&["INCREX app:5215512345678:hits"]);
    assert!(refusals.due_lines(at(64), false).is_empty());
    let last = refusals.due_lines(at(65), true);
    assert!(
        last[0]
            .text
            .starts_with("refused 1 time in the last 3 s on app:*"),
        "{last:?}"
    );
}

#[test]
fn flags_are_suggested_if_the_patterns_are_flags() {
    let (protection, refusals) = protected();
    let protection = protection.record_refusals(refusals.clone(), true);
    let mut pair = Pair::over(protection, Limits::default());
    pair.send(&["EVAL code 1 app:1:lock", "INCREX wa:1"]);
    let advice = |command: &str| {
        let rows = report(&refusals).rows;
        rows.into_iter()
            .find(|row| row.command == command)
            .unwrap()
            .advice
    };
    assert_eq!(
        &*advice("eval"),
        "set except = [\"app:*:lock\"] in the [[protect]] of app:* or start the proxy with --except \
         'app:*:lock', which leaves such records in plaintext; or set scripts = \"forward\" (--scripts \
         forward) if the script treats values as opaque bytes"
    );
    assert!(advice("increx").starts_with("these records need names that an except can match; "));
}

#[test]
fn the_record_is_bounded_whatever_clients_send_and_everything_is_counted() {
    let (protection, refusals) = protected();
    let mut pair = Pair::over(protection, Limits::default());
    let words = [
        "lock", "tags", "hits", "jobs", "meta", "queue", "stats", "index", "events", "v1",
    ];
    for first in words {
        for second in words {
            for third in words {
                pair.send(&[&format!("INCREX app:{first}:1:{second}:1:{third}")]);
            }
        }
    }
    pair.got();
    let rows = report(&refusals).rows;
    assert_eq!(rows.len(), 17);
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1000);
    let rest = rows.iter().find(|row| row.setting.is_empty()).unwrap();
    assert_eq!(rest.count, 1000 - 16);
    assert!(
        rest.advice
            .starts_with("apply the settings already suggested")
    );

    // The next kind is logged, however many there are.
    let commands = "VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VREM VSETATTR ARCOUNT ARDEL \
                    ARDELRANGE ARGET ARGETRANGE ARGREP ARINFO ARINSERT ARLASTITEMS ARLEN ARMGET ARMSET ARNEXT AROP \
                    ARRING ARSCAN ARSEEK ARSET PFADD PFCOUNT PFMERGE RESTORE";
    for command in commands.split(' ') {
        for first in &words[..4] {
            for second in &words[..4] {
                pair.send(&[&format!("{command} app:{first}:1:{second} 1 1 1")]);
            }
        }
    }
    pair.send(&["VADD app:1:lock VALUES 1 1 v"]);
    pair.got();
    let rows = report(&refusals).rows;
    assert!((512..600).contains(&rows.len()), "{}", rows.len());
    let last = rows.iter().find(|row| row.command == "vadd").unwrap();
    assert_eq!(&*last.setting, "except = [\"app:*:lock\"]");
    let counted = rows.iter().map(|row| row.count).sum::<u64>();
    assert_eq!(counted, 1000 + 33 * 16 + 1);
}

#[test]
fn a_line_of_the_log_names_the_settings_of_all_requests_that_it_counts() {
    let (protection, refusals) = protected();
    let mut pair = Pair::over(protection, Limits::default());
    let later = Instant::now() + Duration::from_secs(62);
    pair.send(&["INCREX app:1:hits"]);
    for word in ["views", "hits", "views", "stats", "quota", "rate", "lock"] {
        pair.send(&[&format!("INCREX app:1:{word}")]);
    }
    pair.got();
    let reported = |lines: Vec<waxseal_proxy::RefusalLine>| lines[0].text.clone();
    let text = reported(refusals.due_lines(later, false));
    assert!(
        text.ends_with(
            "these settings let them pass and leave excepted records in plaintext: except = [\"app:*:hits\"]; \
             except = [\"app:*:views\"]; except = [\"app:*:stats\"]; except = [\"app:*:quota\"]; and 2 more"
        ),
        "{text}"
    );
    // What a line has reported is not reported again.
    pair.send(&["INCREX app:1:rate", "INCREX app:1:x"]);
    let text = reported(refusals.due_lines(later, true));
    assert!(
        text.ends_with("these settings let some of them pass and leave excepted records in plaintext: except = [\"app:*:rate\"]"),
        "{text}"
    );
}

#[test]
fn a_transaction_is_aborted_with_its_first_reason() {
    let limits = Limits {
        value: 1000,
        request: 2000,
        ..Limits::default()
    };
    let large = format!("SET app:1 {}", "x".repeat(1001));
    for line in [
        "INCREX app:1:hits",
        "EVAL code 1 app:1:lock",
        "XREAD NEW 0 STREAMS app:1 $",
        "BLMOVE app:1 app:2 LEFT LEFT 0",
        "COPY app:1 app:2 DB 1",
        "JSON.SET app:1 v",
        "DEL waxseal:canary",
        "CLIENT FUTURE",
        "REPLCONF x",
        "SUBSCRIBE c",
        "HELLO 3",
        "MONITOR",
        "CLIENT REPLY OFF",
        "CLIENT\0 LIST",
        &format!("EVAL {RELEASE} 1 app:7:lock token"),
        &large,
    ] {
        let (protection, _) = protected();
        let mut pair = Pair::over(protection, limits);
        pair.send(&["MULTI", line]);
        pair.end_delay();
        pair.send(&["PFADD app:2 second", "EXEC"]);
        assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
        pair.answer("+OK +OK");
        let got = pair.got();
        let replies: Vec<&str> = got.split("\r\n").collect();
        let first = replies[1]
            .strip_prefix('-')
            .unwrap_or_else(|| panic!("{line}: {got}"));
        let abort = format!("-EXECABORT Transaction discarded because of: {first}");
        assert_eq!(replies[3], abort, "{line}: {got}");
    }
}
