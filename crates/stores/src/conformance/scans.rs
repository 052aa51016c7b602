//! Scanning over names.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Bench;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, RecordName};

/// More pages than any scan here may take: an endless scan is a finding, not a hang.
const MAX_PAGES: usize = 1_000_000;

fn pattern(text: &str) -> RecordPattern {
    let is_own = text.as_bytes().starts_with(RecordName::OWN_PREFIX);
    let pattern = match is_own {
        true => RecordPattern::parse_own(text),
        false => RecordPattern::parse(text),
    };
    pattern.expect("the suite's patterns are valid")
}

async fn scan(bench: &Bench<'_>, text: &str, count: usize) -> BTreeSet<RecordName> {
    let pattern = pattern(text);
    let mut found = BTreeSet::new();
    let mut cursor = Cursor::start();
    for _ in 0..MAX_PAGES {
        let page = bench.store.scan(&pattern, &cursor, count).await;
        let page = page.unwrap_or_else(|error| panic!("a page can be scanned: {error}"));
        found.extend(page.names);
        // A checkpoint saves the cursor as text.
        match page.next {
            Some(next) => cursor = Cursor::from_text(next.as_str().to_owned()),
            None => return found,
        }
        assert!(!cursor.is_start(), "a cursor that resumes is not the start");
    }
    panic!("a scan ends");
}

async fn fill(bench: &Bench<'_>, names: &[RecordName]) {
    let mut writes = Vec::with_capacity(names.len());
    for name in names {
        writes.push(bench.put(name, b"value", Expiry::Persistent));
    }
    stream::iter(writes)
        .buffer_unordered(256)
        .collect::<Vec<()>>()
        .await;
}

pub(super) async fn a_scan_finds_five_thousand_records(bench: &Bench<'_>) {
    let names: Vec<RecordName> = (0..5000).map(|n| bench.name(format!("{n}"))).collect();
    fill(bench, &names).await;
    let all: BTreeSet<RecordName> = names.into_iter().collect();
    for count in [1000, 7000, 37] {
        let found = scan(bench, &format!("{}*", bench.prefix), count).await;
        assert!(
            found == all,
            "a scan in pages of {count} returns every record, and no other"
        );
    }
    let pattern = pattern(&format!("{}*", bench.prefix));
    let page = bench
        .store
        .scan(&pattern, &Cursor::start(), 100)
        .await
        .expect("a page");
    assert!(
        page.names.len() < 1000,
        "a page of 100 returns about as many names"
    );
    assert!(
        page.examined > 0,
        "a page reports how many records it examined"
    );
    assert!(page.next.is_some(), "a page of 100 is not the end of 5,000");
}

pub(super) async fn a_scan_returns_only_names_of_the_pattern(bench: &Bench<'_>) {
    let suffixes = [
        "a:",
        "a:1",
        "a:2:state",
        "a:3:other",
        "a:state",
        "b:1:state",
        "a",
        "xa:1:state",
        "{t}:1",
        "c*d",
        "cxd",
    ];
    fill(bench, &suffixes.map(|suffix| bench.name(suffix))).await;
    let cases: [(&str, &[&str]); 13] = [
        ("a:*", &["a:", "a:1", "a:2:state", "a:3:other", "a:state"]),
        // A name with an empty user has the form, too.
        (
            "a:{user}",
            &["a:", "a:1", "a:2:state", "a:3:other", "a:state"],
        ),
        ("a:*:state", &["a:2:state"]),
        ("a:{user}:state", &["a:2:state"]),
        (
            "*:state",
            &["a:2:state", "a:state", "b:1:state", "xa:1:state"],
        ),
        ("a", &["a"]),
        ("nothing", &[]),
        ("a:?", &["a:1"]),
        ("a:[0-2]*", &["a:1", "a:2:state"]),
        ("?:[^1]:*", &["a:2:state", "a:3:other"]),
        ("*:{user}:st*e", &["a:2:state", "b:1:state", "xa:1:state"]),
        ("\\{t\\}:*", &["{t}:1"]),
        ("c\\*d", &["c*d"]),
    ];
    for (text, expected) in cases {
        let found = scan(bench, &format!("{}{text}", bench.prefix), 3).await;
        let expected: BTreeSet<RecordName> =
            expected.iter().map(|suffix| bench.name(suffix)).collect();
        assert!(
            found == expected,
            "a scan for {text} returns the names of that form, and no others"
        );
    }
}

pub(super) async fn a_scan_takes_names_with_odd_characters_literally(bench: &Bench<'_>) {
    let suffixes = [
        &b"odd a?b"[..],
        b"odd a[bc]d",
        b"odd a\\*b",
        b"odd *",
        b"odd \x00\xff\xfe",
        b"odd {user}",
        b"odd ^$.",
        b"odd \r\n",
    ];
    let names: Vec<RecordName> = suffixes.iter().map(|suffix| bench.name(suffix)).collect();
    fill(bench, &names).await;
    fill(bench, &[bench.name("Odd a"), bench.name("od")]).await;
    let found = scan(bench, &format!("{}odd *", bench.prefix), 2).await;
    assert!(
        found == names.into_iter().collect(),
        "a name may hold any bytes, for a scan too"
    );

    fill(
        bench,
        &[bench.name("a-c^d$.+|(e)1"), bench.name("a-c^d$x+|(e)1")],
    )
    .await;
    let found = scan(bench, &format!("{}a-c^d$.+|(e)*", bench.prefix), 2).await;
    let expected = BTreeSet::from([bench.name("a-c^d$.+|(e)1")]);
    assert!(
        found == expected,
        "only the wildcard of a pattern has a meaning"
    );
}

pub(super) async fn a_scan_finds_names_of_our_own(bench: &Bench<'_>) {
    let own = format!("waxseal:{}", bench.prefix);
    let names: Vec<RecordName> = (0..10)
        .map(|n| RecordName::from(format!("{own}{n}")))
        .collect();
    fill(bench, &names).await;
    let found = scan(bench, &format!("{own}*"), 100).await;
    for name in &names {
        bench
            .store
            .delete(name)
            .await
            .expect("a record can be deleted");
    }
    assert!(
        found == names.into_iter().collect(),
        "our own names are returned like any other"
    );
}

pub(super) async fn a_scan_without_a_match_ends_empty(bench: &Bench<'_>) {
    let found = scan(bench, &format!("{}*", bench.prefix), 1000).await;
    assert!(
        found.is_empty(),
        "a scan that matches nothing returns nothing, and ends"
    );
}

pub(super) async fn a_scan_survives_writes_in_between(bench: &Bench<'_>) {
    let staying: Vec<RecordName> = (0..500).map(|n| bench.name(format!("stays {n}"))).collect();
    let going: Vec<RecordName> = (0..500).map(|n| bench.name(format!("goes {n}"))).collect();
    fill(bench, &staying).await;
    fill(bench, &going).await;
    let pattern = pattern(&format!("{}*", bench.prefix));
    let (mut found, mut cursor) = (BTreeSet::new(), Cursor::start());
    for turn in 0..MAX_PAGES {
        let page = bench
            .store
            .scan(&pattern, &cursor, 50)
            .await
            .expect("a page can be scanned");
        found.extend(page.names);
        if let Some(name) = going.get(turn) {
            bench
                .store
                .delete(name)
                .await
                .expect("a record can be deleted");
        }
        if let Some(name) = staying.get(turn).filter(|_| turn < 100) {
            let suffixes = [format!("comes {turn}"), format!("a {turn}")];
            fill(bench, &suffixes.map(|suffix| bench.name(suffix))).await;
            bench.put(name, b"another value", Expiry::Persistent).await;
        }
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    for name in &staying {
        assert!(
            found.contains(name),
            "a record that exists from the first page to the last is returned"
        );
    }
    let form = |name: &RecordName| pattern.matches_form(name.as_bytes());
    assert!(found.iter().all(form), "and nothing that does not match");
}

pub(super) async fn a_scan_omits_expired_records(bench: &Bench<'_>) {
    let (stays, goes) = (bench.name("stays"), bench.name("goes"));
    bench
        .put(&stays, b"value", Expiry::After(Duration::from_secs(3600)))
        .await;
    bench
        .put(&goes, b"value", Expiry::After(Duration::from_millis(1)))
        .await;
    bench.subject.pass(Duration::from_millis(50)).await;
    let found = scan(bench, &format!("{}*", bench.prefix), 10).await;
    assert!(
        found == BTreeSet::from([stays]),
        "a scan omits expired records"
    );
}
