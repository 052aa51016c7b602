//! How protected records lie: sealed, classic, plain, unreadable, by pattern.

use maud::{Markup, html};

use super::{Coverage, PatternCoverage};
use crate::chart::{Part, bar, swatch};
use crate::words::{percent, point_in_time, thousands};

/// Forms, and the classes that colour them.
const FORMS: [(&str, &str); 5] = [
    ("sealed", "sealed"),
    ("classic", "classic"),
    ("plain", "plain"),
    ("unreadable", "unreadable"),
    ("empty or erased", "other"),
];

impl PatternCoverage {
    /// All values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    fn counts(&self) -> [u64; 5] {
        [
            self.sealed,
            self.classic,
            self.plain,
            self.unreadable,
            self.other,
        ]
    }
}

pub(super) fn section(coverage: &Coverage) -> Markup {
    html! {
        @match coverage.counted_ms {
            Some(at) => p class="soft" { "As counted at " (point_in_time(at)) ". " (coverage.note) },
            None => p class="soft" { "Not counted yet. " (coverage.note) },
        }
        @if coverage.counted_ms.is_some() { (list(&coverage.patterns)) }
    }
}

/// How the values of each pattern lie, as bars and figures.
pub(crate) fn list(patterns: &[PatternCoverage]) -> Markup {
    html! {
        ul class="list" { @for pattern in patterns { (entry(pattern)) } }
    }
}

fn entry(pattern: &PatternCoverage) -> Markup {
    let counts = pattern.counts();
    let total = pattern.total();
    let part = |((label, class), value): ((&'static str, &'static str), u64)| Part {
        label,
        class,
        value,
    };
    let parts: Vec<Part<'_>> = FORMS.into_iter().zip(counts).map(part).collect();
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
                    dd { span data-form="other_types" { (thousands(pattern.other_types)) } }
                }
            }
        }
    }
}

/// What the bar shows, for who cannot see it.
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
