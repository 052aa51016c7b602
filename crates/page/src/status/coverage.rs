//! How protected records lie: sealed, classic, plain, unreadable, by pattern.

use maud::{Markup, html};

use super::{Coverage, PatternCoverage};
use crate::chart::{Part, bar, legend};
use crate::words::{percent, point_in_time, thousands};

const LEGEND: [(&str, &str); 5] = [
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
        @if coverage.counted_ms.is_some() { (table(&coverage.patterns)) }
    }
}

/// How the values of each pattern lie, with bars and what their colours stand for.
pub(crate) fn table(patterns: &[PatternCoverage]) -> Markup {
    html! {
        (legend(&LEGEND))
        div class="scroll" tabindex="0" role="region" aria-label="Values by pattern" {
            table {
                caption { "Stored values by protected pattern" }
                thead {
                    tr {
                        th scope="col" { "pattern" }
                        @for (label, _) in LEGEND { th scope="col" class="number" { (label) } }
                        th scope="col" class="number" { "other types" }
                    }
                }
                tbody { @for pattern in patterns { (row(pattern)) } }
            }
        }
    }
}

fn row(pattern: &PatternCoverage) -> Markup {
    let counts = pattern.counts();
    let total = pattern.total();
    let parts: Vec<Part<'_>> = LEGEND
        .iter()
        .zip(counts)
        .map(|((label, class), value)| Part {
            label,
            class,
            value,
        })
        .collect();
    let words: Vec<String> = parts
        .iter()
        .filter(|part| part.value > 0)
        .map(|part| format!("{} {}", percent(part.value, total), part.label))
        .collect();
    let words = match words.is_empty() {
        true => "no values".to_owned(),
        false => words.join(", "),
    };
    html! {
        tr data-pattern=(pattern.records) {
            th scope="row" class="wide" {
                (pattern.name) " " code { (pattern.records) }
                (bar(&words, &parts))
            }
            @for ((label, class), count) in LEGEND.iter().zip(counts) {
                td class="number" data-form=(class) {
                    (thousands(count))
                    @if count > 0 { br; span class="soft" title=(label) { (percent(count, total)) } }
                }
            }
            td class="number" data-form="other_types" { (thousands(pattern.other_types)) }
        }
    }
}
