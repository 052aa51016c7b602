//! The stored values by pattern: sealed, classic, plain, unreadable.

use maud::{Markup, html};

use super::clock::Clock;
use super::verdict::prose;
use super::{Activity, Coverage, PatternCoverage};
use crate::chart::{Part, bar, swatch};
use crate::counts::Counts;
use waxseal_units::{percent, span, thousands};

/// The forms, and the style classes that colour them.
const FORMS: [(&str, &str); 5] = [
    ("sealed", "sealed"),
    ("classic", "classic"),
    ("plain", "plain"),
    ("unreadable", "unreadable"),
    ("empty or erased", "other"),
];

impl PatternCoverage {
    /// The number of values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.forms().iter().sum()
    }

    /// The values by form, in the order of [`FORMS`].
    fn forms(&self) -> [u64; 5] {
        let counts = &self.counts;
        [
            counts.sealed.saturating_sub(counts.classic),
            counts.classic,
            counts.plain,
            counts.unopenable,
            counts.empty.saturating_add(counts.erased),
        ]
    }
}

pub(super) fn section(coverage: &Coverage, clock: Clock) -> Markup {
    html! {
        p class="soft" {
            @match coverage.counted {
                Some(count) => {
                    "Counted " (clock.moment(count.began_ms)) "; it took " (span(count.took_ms)) ". "
                },
                None => "Not counted yet. ",
            }
            (activity(&coverage.activity, clock))
        }
        @if coverage.counted.is_some() {
            ul class="list" {
                @for pattern in &coverage.patterns {
                    @if is_empty(&pattern.counts) {
                        (nothing(pattern))
                    }
                    @else { (entry(pattern)) }
                }
            }
        }
    }
}

/// True if no record matches.
fn is_empty(counts: &Counts) -> bool {
    *counts == Counts::default()
}

fn activity(activity: &Activity, clock: Clock) -> Markup {
    html! {
        @match activity {
            Activity::Counting(progress) => { "Counting now: " (progress) "." },
            Activity::Waiting(next) => { "The next count begins " (clock.distance(*next)) "." },
            Activity::Failed(why, next) => {
                "The last count failed and begins again " (clock.distance(*next)) ": " (prose(why)) "."
            },
            Activity::OnDemand => {
                "This process does not count regularly (" code { "--count-every 0" } "): check again now, or run "
                code { "waxseal audit --deep" } "."
            },
        }
    }
}

/// An entry without a bar, since an empty one would look like a grey value.
fn nothing(pattern: &PatternCoverage) -> Markup {
    html! {
        li data-pattern=(pattern.records) {
            h3 { (pattern.name) " " code { (pattern.records) } }
            p { "No record matches this pattern: " span data-form="sealed" { "0" } " values." }
        }
    }
}

/// The values of each pattern, as bars and figures.
pub(crate) fn list(patterns: &[PatternCoverage]) -> Markup {
    html! {
        ul class="list" { @for pattern in patterns { (entry(pattern)) } }
    }
}

fn entry(pattern: &PatternCoverage) -> Markup {
    let (counts, total) = (&pattern.counts, pattern.total());
    let excepted = counts.excepted;
    let part = |((label, class), value): ((&'static str, &'static str), u64)| Part {
        label,
        class,
        value,
    };
    let parts: Vec<Part<'_>> = FORMS.into_iter().zip(pattern.forms()).map(part).collect();
    html! {
        li data-pattern=(pattern.records) {
            h3 { (pattern.name) " " code { (pattern.records) } }
            (bar(&words(&parts, total), &parts))
            dl class="row" {
                @for part in &parts {
                    div {
                        dt { (swatch(part.class)) (part.label) }
                        dd {
                            span data-form=(part.class) { (thousands(part.value)) }
                            @if part.value > 0 { " " span class="soft" { (percent(part.value, total)) } }
                        }
                    }
                }
                div {
                    dt { "records of other types" }
                    dd { span data-form="other_types" { (thousands(counts.other_type_records())) } }
                }
                @if !excepted.is_empty() {
                    div {
                        dt { "excepted" }
                        dd {
                            span data-form="excepted" { (thousands(excepted.unsealed())) } " plain, "
                            (thousands(excepted.sealed)) " sealed"
                        }
                    }
                }
            }
        }
    }
}

/// The bar as text, for screen readers.
fn words(parts: &[Part<'_>], total: u64) -> String {
    let there = parts.iter().filter(|part| part.value > 0);
    let words: Vec<String> = there
        .map(|part| format!("{} {}", percent(part.value, total), part.label))
        .collect();
    match words.is_empty() {
        true => "no values".to_owned(),
        false => words.join(", "),
    }
}
