//! The tables, and which bars hold. Measures nothing.

use crate::cells::{Cell, Operation};
use crate::rounds::{Outcome, Row, Spread};
use crate::sides::Side;

/// One figure and what it should be.
pub(crate) struct Bar {
    what: String,
    /// Nothing where a side is missing.
    figure: Option<f64>,
    limit: Limit,
}

#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// The minimum ratio of a side's requests a second to a peer's.
struct Rule {
    applies: fn(&Cell) -> bool,
    side: Side,
    peer: Side,
    least: f64,
}

const RULES: [Rule; 10] = [
    Rule {
        applies: |cell| (cell.pipeline, cell.connections) == (1, 50) && is_of_strings(cell),
        side: Side::Waxseal,
        peer: Side::Twemproxy,
        least: 1.0,
    },
    Rule {
        applies: |cell| !is_of_strings(cell) && cell.operation.is_known_to_twemproxy(),
        side: Side::Waxseal,
        peer: Side::Twemproxy,
        least: 0.9,
    },
    Rule {
        applies: |cell| cell.pipeline == 1 && !cell.operation.is_known_to_twemproxy(),
        side: Side::Waxseal,
        peer: Side::NoProxy,
        least: 0.75,
    },
    Rule {
        applies: Cell::one_at_a_time,
        side: Side::Waxseal,
        peer: Side::HaProxy,
        least: 1.0,
    },
    Rule {
        applies: |cell| (cell.pipeline, cell.connections, cell.size) == (16, 50, 1024),
        side: Side::Waxseal,
        peer: Side::HaProxy,
        least: 0.9,
    },
    Rule {
        applies: |cell| (cell.pipeline, cell.connections) == (16, 50) && is_of_strings(cell),
        side: Side::Waxseal,
        peer: Side::Twemproxy,
        least: 1.0,
    },
    Rule {
        applies: |cell| (cell.pipeline, cell.connections) == (16, 50) && is_of_strings(cell),
        side: Side::Waxseal,
        peer: Side::EnvoyRedis,
        least: 1.0,
    },
    Rule {
        applies: |cell| cell.size == 16 * 1024,
        side: Side::Waxseal,
        peer: Side::HaProxy,
        least: 0.85,
    },
    Rule {
        applies: |cell| cell.pipeline == 1,
        side: Side::WaxsealNames,
        peer: Side::Waxseal,
        least: 0.93,
    },
    Rule {
        applies: |cell| cell.pipeline == 16,
        side: Side::WaxsealNames,
        peer: Side::Waxseal,
        least: 0.8,
    },
];

/// True for the cells of whole strings.
fn is_of_strings(cell: &Cell) -> bool {
    matches!(cell.operation, Operation::Set | Operation::Get)
}

/// The maximum ratio of the latency that Waxseal adds to what HAProxy adds.
const MAX_ADDED: f64 = 1.1;

impl Bar {
    pub(crate) fn new(what: String, figure: Option<f64>, limit: Limit) -> Self {
        Self {
            what,
            figure,
            limit,
        }
    }

    fn holds(&self) -> Option<bool> {
        let figure = self.figure?;
        Some(match self.limit {
            Limit::AtLeast(least) => figure >= least,
            Limit::AtMost(most) => figure <= most,
        })
    }

    pub(crate) fn print(&self) {
        let limit = match self.limit {
            Limit::AtLeast(least) => format!(">= {least:?}"),
            Limit::AtMost(most) => format!("<= {most:?}"),
        };
        let figure = self
            .figure
            .map_or("-".to_owned(), |figure| format!("{figure:.2}"));
        let verdict = match self.holds() {
            Some(true) => "held",
            Some(false) => "missed",
            None => "not measured",
        };
        println!("bar: {}: {figure} ({limit}) {verdict}", self.what);
    }
}

/// Prints one table and its bars, and gives the bars back for the summary.
pub(crate) fn print_cell(outcome: &Outcome) -> Vec<Bar> {
    let cell = &outcome.cell;
    println!("\n{cell}: {}", cell.explained());
    println!(
        "{:<14} {:>10} {:>10} {:>10} {:>10}  {:>8} {:>8} {:>8}  {:>9} {:>9}",
        "",
        "requests/s",
        "min",
        "max",
        "x HAProxy",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "proxy CPU",
        "redis CPU",
    );
    for row in &outcome.rows {
        println!("{}", line(outcome, row));
    }
    let bars = bars(outcome);
    bars.iter().for_each(Bar::print);
    bars
}

fn line(outcome: &Outcome, row: &Row) -> String {
    let median = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.median);
    let rates = row.spread(|turn| turn.rate);
    let over_haproxy = outcome
        .rate_over(row.side, Side::HaProxy)
        .map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.median));
    let proxy_cpu = match row.side {
        Side::NoProxy => "-".to_owned(),
        _ => format!("{:.2} us", median(row.spread(|turn| turn.proxy_cpu))),
    };
    format!(
        "{:<14} {:>10.0} {:>10.0} {:>10.0} {:>10}  {:>8.0} {:>8.0} {:>8.0}  {:>9} {:>9}",
        row.side,
        median(rates),
        rates.map_or(f64::NAN, |rates| rates.min),
        rates.map_or(f64::NAN, |rates| rates.max),
        over_haproxy,
        median(row.spread(|turn| turn.latency.p50)),
        median(row.spread(|turn| turn.latency.p99)),
        median(row.spread(|turn| turn.latency.p999)),
        proxy_cpu,
        format!("{:.2} us", median(row.spread(|turn| turn.redis_cpu))),
    )
}

fn bars(outcome: &Outcome) -> Vec<Bar> {
    let cell = &outcome.cell;
    let bar = |what: String, ratio: Option<Spread>, limit: Limit| {
        let rounds = ratio.map_or(String::new(), |Spread { min, max, .. }| {
            format!(", rounds {min:.2} to {max:.2}")
        });
        let figure = ratio.map(|ratio| ratio.median);
        Bar::new(format!("{cell}, {what}{rounds}"), figure, limit)
    };
    let rules = RULES.iter().filter(|rule| (rule.applies)(cell));
    let mut bars: Vec<Bar> = rules
        .map(|rule| {
            let ratio = outcome.rate_over(rule.side, rule.peer);
            let what = match rule.side {
                Side::Waxseal => format!("requests/s over {}'s", rule.peer),
                side => format!("requests/s of {side} over {}'s", rule.peer),
            };
            bar(what, ratio, Limit::AtLeast(rule.least))
        })
        .collect();
    if cell.one_at_a_time() {
        let ratio = outcome.added_over(Side::Waxseal, Side::HaProxy);
        let what = format!("added p50 over {}'s", Side::HaProxy);
        bars.push(bar(what, ratio, Limit::AtMost(MAX_ADDED)));
    }
    bars
}

pub(crate) fn print_summary(bars: &[Bar]) {
    let count = |verdict| bars.iter().filter(|bar| bar.holds() == verdict).count();
    println!(
        "\nbars: {} held, {} missed, {} not measured",
        count(Some(true)),
        count(Some(false)),
        count(None)
    );
    let missed = bars.iter().filter(|bar| bar.holds() == Some(false));
    missed.for_each(Bar::print);
}
