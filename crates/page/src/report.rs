//! The report of an audit as a self-contained document, for auditors without Waxseal. It shows one structure and embeds it as
//! signed JSON. The signature is not verified here.

mod expiries;
mod model;
mod tables;
mod unmatched;
mod verdict;

use maud::{Markup, PreEscaped, html};

pub use crate::counts::{Counts, ExceptCounts, NameCounts, Shares, percent};
pub use model::{
    Expiries, ExpiryBucket, Group, KIND, Key, Lifetime, Pattern, Report, RingVersion, Unmatched,
};
pub use unmatched::ADVICE as UNMATCHED_ADVICE;

use crate::document::{Frame, document};
use crate::status::PatternCoverage;
use crate::status::coverage;

/// The start of the element that holds the JSON.
const BEFORE: &str = r#"<script type="application/json" id="waxseal-report">"#;
const AFTER: &str = "</script>";

/// A signed report.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'a> {
    /// The public key of the signer, as `keyring status` shows it.
    pub signer: &'a str,
    /// The signed JSON, whole.
    pub json: &'a str,
}

/// The whole page. The same report and signature result in the same page, byte for byte, so that a verifier of the JSON can
/// check that the page shows it.
#[must_use]
pub fn page(report: &Report, signature: Option<Signature<'_>>) -> String {
    let title = format!("Waxseal audit – {}", verdict::headline(report));
    let body = html! {
        header {
            h1 { "Waxseal audit" }
            ul class="facts" {
                li { "store " code { (report.store) } }
                li { "environment " (report.environment) }
                li { "counted " time datetime=(report.began) { (report.began) } " to "
                    time datetime=(report.ended) { (report.ended) } }
            }
        }
        main {
            @for (id, name, part) in parts(report, signature) {
                section aria-labelledby={ (id) "-name" } {
                    h2 id={ (id) "-name" } { (name) }
                    div id=(id) { (part) }
                }
            }
        }
        footer { p { "Waxseal " (report.waxseal) ". Record names and values are in no part of this file." } }
        @if let Some(signature) = signature {
            (PreEscaped(BEFORE)) (PreEscaped(escaped(signature.json))) (PreEscaped(AFTER))
        }
    };
    document(&Frame::new(&title), &body).into_string()
}

/// The JSON embedded in a page, whatever the page shows.
#[must_use]
pub fn embedded_json(page: &str) -> Option<&str> {
    let (_, json) = page.split_once(BEFORE)?;
    json.split_once(AFTER).map(|(json, _)| json)
}

/// Equivalent JSON that cannot end an HTML element or start a comment.
fn escaped(json: &str) -> String {
    // These characters occur in strings only, where JSON allows an escape for them.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn parts(
    report: &Report,
    signature: Option<Signature<'_>>,
) -> Vec<(&'static str, &'static str, Markup)> {
    let mut parts = vec![
        ("verdict", "Verdict", verdict::section(report)),
        ("todo", "What to do", verdict::advice(report)),
        (
            "coverage",
            "Stored values",
            coverage::list(&report.patterns.iter().map(row).collect::<Vec<_>>()),
        ),
    ];
    if !report.keys.is_empty() {
        parts.push(("keys", "Keys", tables::keys(report)));
    }
    if report.keys.iter().any(|key| key.expiries.is_some()) {
        let part = expiries::section(&report.keys);
        parts.push(("expiries", "When values under older keys expire", part));
    }
    if report.total.other_type_records() > 0 {
        let part = tables::other_types(&report.patterns);
        parts.push(("types", "Records that cannot be sealed", part));
    }
    if !report.total.versions.is_empty() {
        let part = tables::versions(&report.patterns);
        parts.push(("versions", "By version", part));
    }
    if !report.total.names.is_empty() {
        parts.push(("names", "Names", tables::names(&report.patterns)));
    }
    parts.push(("groups", "By format, key and type", tables::groups(report)));
    parts.push(("about", "About this report", about(report, signature)));
    parts
}

fn row(pattern: &Pattern) -> PatternCoverage {
    PatternCoverage {
        name: pattern.name.clone(),
        records: pattern.records.clone(),
        counts: pattern.counts.clone(),
    }
}

fn about(report: &Report, signature: Option<Signature<'_>>) -> Markup {
    html! {
        ul class="list" {
            li {
                @match &report.keyring {
                    Some(ring) => { "Keyring " span class="id" { (ring.ring) } ", version " (ring.version) "." },
                    None => "Keys came from the environment of the process that counted, not from a keyring.",
                }
            }
            li {
                @if report.deep { "Every value was opened." }
                @else {
                    "Values in the sealed format were recognized by their headers and not opened; those in the "
                    "classic format were opened."
                }
            }
            li {
                @match signature {
                    Some(Signature { signer, .. }) => {
                        "Signed with Ed25519 by the keyring's key " span class="id" { (signer) }
                        ". To check it, and that this page shows what was signed: "
                        code { "waxseal audit verify FILE --key " (signer) }
                        ". Compare the key with one that you have from elsewhere: this page vouches for "
                        "nothing itself."
                    },
                    None => "Not signed: nothing proves its origin, or that it was not changed.",
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts() -> Counts {
        Counts {
            total: 1_000,
            sealed: 980,
            classic: 30,
            plain: 15,
            unopenable: 5,
            versions: [("2".to_owned(), 950), ("classic".to_owned(), 30)].into(),
            kinds: [("string".to_owned(), 1_000)].into(),
            other_types: BTreeMap::from([("set".to_owned(), 2)]),
            ..Counts::default()
        }
    }

    /// A report with entries of every kind.
    pub(crate) fn report() -> Report {
        let counts = counts();
        let old = Key {
            id: "91d2c3b4".to_owned(),
            state: "opening".to_owned(),
            values: 200,
            percent: 20.0,
            bytes: 40_000,
            lifetime: Lifetime {
                first_expiry: Some("2025-11-17T13:40:00Z".to_owned()),
                last_expiry: Some("2025-11-18T13:40:00Z".to_owned()),
                unused_from: None,
                without_expiry: 4,
            },
            expiries: Some(Expiries {
                counted_ms: 1_763_386_800_000,
                width_ms: 3_600_000,
                stretches: vec![
                    ExpiryBucket {
                        from_ms: 1_763_388_000_000,
                        values: 150,
                    },
                    ExpiryBucket {
                        from_ms: 1_763_470_800_000,
                        values: 46,
                    },
                ],
            }),
        };
        Report {
            report: KIND.to_owned(),
            waxseal: "0.1.0".to_owned(),
            began: "2025-11-17T13:39:00Z".to_owned(),
            ended: "2025-11-17T13:40:00Z".to_owned(),
            environment: "tests & <more>".to_owned(),
            store: "redis://127.0.0.1:6379".to_owned(),
            deep: false,
            mode: Some("on".to_owned()),
            accepts_plain: Some(true),
            clean: false,
            keyring: None,
            patterns: vec![Pattern {
                name: "</script><b>".to_owned(),
                records: "wa:*".to_owned(),
                percent: counts.shares(),
                groups: vec![Group {
                    format: "sealed".to_owned(),
                    key: Some("91d2c3b4".to_owned()),
                    key_state: Some("opening".to_owned()),
                    kind: "string".to_owned(),
                    values: 200,
                    percent: 20.0,
                    bytes: 40_000,
                    lifetime: old.lifetime.clone(),
                }],
                counts: counts.clone(),
            }],
            total: counts,
            keys: vec![old],
            unmatched: Vec::new(),
        }
    }

    #[test]
    fn a_page_embeds_its_json_whatever_it_contains() {
        let json = r#"{"name":"</script><!-- & é"}"#;
        let signature = Signature {
            signer: "abc",
            json,
        };
        let page = page(&report(), Some(signature));
        let embedded_json = embedded_json(&page).expect("the page embeds JSON");
        assert_eq!(
            embedded_json,
            r#"{"name":"\u003c/script\u003e\u003c!-- \u0026 é"}"#
        );
        assert_eq!(page.matches("</script>").count(), 1, "{page}");
        assert!(!page.contains("<b>"));
        assert_eq!(super::embedded_json(&super::page(&report(), None)), None);
    }

    #[test]
    fn a_page_counts_by_version_as_far_as_the_report_does() {
        let mut report = report();
        let shown = page(&report, None);
        assert!(shown.contains("sealed, version 2"), "{shown}");
        assert!(shown.contains(r#"data-version="2">950<"#), "{shown}");
        report.total.versions.clear();
        assert!(!page(&report, None).contains("By version"));
    }

    #[test]
    fn a_page_names_values_of_a_version_that_is_not_accepted() {
        let mut report = report();
        report.total.outdated = 2;
        let page = page(&report, None);
        let text = "2 values are of an older version than is accepted.";
        assert!(page.contains(text), "{page}");
    }

    #[test]
    fn a_page_is_not_clean_where_everything_is_excepted() {
        let excepted = ExceptCounts {
            plain: 3,
            ..ExceptCounts::default()
        };
        let mut report = report();
        report.total = Counts {
            excepted,
            ..Counts::default()
        };
        assert!(report.excepts_everything());
        let page = page(&report, None);
        assert!(page.contains("every record is excepted"), "{page}");
        assert!(
            page.contains("Every record is excepted from its pattern: no new value is sealed.")
        );
        report.total.sealed = 1;
        report.total.total = 1;
        assert!(!report.excepts_everything());
    }

    #[test]
    fn a_page_is_self_contained_and_every_table_and_drawing_has_a_name() {
        let page = page(&report(), None);
        for from_elsewhere in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
        }
        let count = |text: &str| page.matches(text).count();
        assert_eq!(count("<table>"), count("<caption>"));
        assert!(count("<table>") >= 4, "{page}");
        let named = count("aria-label") + count("aria-labelledby") + count("aria-hidden");
        assert!(count("<svg") <= named, "{page}");
        assert!(count("prefers-color-scheme: dark") == 1 && count("@media print") == 1);
    }
}
