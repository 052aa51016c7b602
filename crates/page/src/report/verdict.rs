//! The verdict of a report, and the recommended actions.

use maud::{Markup, html};

use super::{Report, UNMATCHED_ADVICE};
use waxseal_units::{percent, thousands};

/// A number of values with its verb: `1 value is`, `2 values are`.
fn values(number: u64, verb: [&str; 2]) -> String {
    match number {
        1 => format!("1 value {}", verb[0]),
        _ => format!("{} values {}", thousands(number), verb[1]),
    }
}

fn records(number: u64) -> String {
    match number {
        1 => "1 record is of a type that cannot be sealed".to_owned(),
        _ => format!(
            "{} records are of types that cannot be sealed",
            thousands(number)
        ),
    }
}

const IS_ARE: [&str; 2] = ["is", "are"];
const NEVER: [&str; 2] = ["never expires", "never expire"];

/// The verdict, as short as a title.
pub(super) fn headline(report: &Report) -> &'static str {
    match (report.clean, report.total.unopenable) {
        (false, _) if found_nothing(report) => "no record matches",
        (false, _) if is_all_excepted(report) => "every record is excepted",
        (false, _) => "not clean",
        (true, 1..) => "clean, and some values cannot be opened",
        (true, 0) => "clean",
    }
}

/// True if it is not clean only because nothing was found.
fn found_nothing(report: &Report) -> bool {
    report.is_inconclusive() && report.total.is_clean()
}

/// True if it is not clean only because everything is excepted.
fn is_all_excepted(report: &Report) -> bool {
    report.excepts_everything() && report.total.is_clean()
}

pub(super) fn section(report: &Report) -> Markup {
    let total = &report.total;
    let class = match (report.clean, total.unopenable + compromised(report)) {
        (false, _) => "critical",
        (true, 1..) => "warning",
        (true, 0) => "ok",
    };
    let tiles = [
        ("sealed", "sealed", total.sealed),
        ("plain", "plain", total.plain),
        ("unopenable", "cannot be opened", total.unopenable),
    ];
    html! {
        p {
            span class={ "words " (class) } data-clean=(report.clean) { (headline(report)) } " "
            (values(total.plain, IS_ARE)) " plain; " (records(total.other_type_records())) "; "
            (values(total.unopenable, ["cannot", "cannot"])) " be opened."
        }
        dl class="tiles" {
            div { dt { "values" } dd data-figure="total" { (thousands(total.total)) } }
            @for (id, label, number) in tiles {
                div {
                    dt { (label) }
                    dd {
                        span data-figure=(id) { (thousands(number)) }
                        span class="small" { (percent(number, total.total)) }
                    }
                }
            }
        }
    }
}

/// The recommended actions, the most urgent first.
pub(super) fn advice(report: &Report) -> Markup {
    let items = items(report);
    html! {
        @if items.is_empty() { p { "Nothing." } }
        @else {
            ul class="list" {
                @for (class, what, command, then) in items {
                    li {
                        span class={ "words " (class) } { (class) } " " (what)
                        @if !command.is_empty() { " " code { (command) } }
                        " " (then)
                    }
                }
            }
        }
    }
}

type Item = (&'static str, String, &'static str, &'static str);

fn items(report: &Report) -> Vec<Item> {
    let total = &report.total;
    let unexpiring = unexpiring(report);
    let candidates: [(u64, Item); 6] = [
        (
            total.plain,
            (
                "critical",
                format!("{} plain.", values(total.plain, IS_ARE)),
                "waxseal migrate",
                "seals them while applications run.",
            ),
        ),
        (
            total.other_type_records(),
            (
                "critical",
                format!("{}.", records(total.other_type_records())),
                "",
                "Keep their data in records of other types, or under names that no pattern protects.",
            ),
        ),
        (
            total.unopenable,
            (
                "warning",
                format!(
                    "{} be opened.",
                    values(total.unopenable, ["cannot", "cannot"])
                ),
                "waxseal audit --deep",
                "names the records, masked; they are damaged, moved, or under a key that is not configured.",
            ),
        ),
        (
            compromised(report),
            (
                "warning",
                format!(
                    "{} under compromised keys.",
                    values(compromised(report), IS_ARE)
                ),
                "waxseal rotate --open-compromised",
                "reseals them under the sealing key.",
            ),
        ),
        (
            unexpiring,
            (
                "info",
                format!("Under older keys {}.", values(unexpiring, NEVER)),
                "waxseal rotate",
                "reseals them under the sealing key.",
            ),
        ),
        (
            u64::from(!report.deep && total.sealed > total.classic),
            (
                "info",
                "Values in the sealed format were not opened.".to_owned(),
                "waxseal audit --deep",
                "also finds values that are damaged or were moved.",
            ),
        ),
    ];
    let needed = candidates.into_iter().filter(|(number, _)| *number > 0);
    let needed = needed.map(|(_, item)| item);
    let older = nothing_sealed(report).chain(outdated(report));
    older.chain(needed).chain(recommended(report)).collect()
}

/// Values of an older version than is accepted.
fn outdated(report: &Report) -> Option<Item> {
    let number = report.total.outdated;
    let what = format!(
        "{} of an older version than is accepted.",
        values(number, IS_ARE)
    );
    let then = "They are left behind, or planted: where they are yours, accept version 2 for the time of a waxseal \
                rotate.";
    (number > 0).then_some(("critical", what, "", then))
}

/// Improvements that are not required.
fn recommended(report: &Report) -> impl Iterator<Item = Item> {
    classic(report).into_iter().chain(downgrade(report))
}

/// The replacement of sealed values by plain ones, which only mode `required` prevents.
fn downgrade(report: &Report) -> Option<Item> {
    let mode = report.mode.as_deref().unwrap_or_default();
    report.allows_downgrade().then(|| {
        (
            "info",
            format!(
                "The mode is {mode}: anyone who can write to the store can put a plain value in the place \
                 of a sealed one."
            ),
            "ENABLE_REDIS_ENCRYPTION=required",
            "refuses plain values, once nothing is plain.",
        )
    })
}

/// Values in the classic format.
fn classic(report: &Report) -> Option<Item> {
    let number = report.total.classic;
    let what = format!(
        "{} in the classic format, which is not bound to its record.",
        values(number, IS_ARE)
    );
    let then = "moves them, once nothing but Waxseal reads these records and format = \"sealed\" is in \
                waxseal.toml.";
    let item = ("info", what, "waxseal migrate --format sealed", then);
    (number > 0).then_some(item)
}

/// Patterns that no record matches although records exist.
fn unmatched(report: &Report) -> impl Iterator<Item = Item> {
    let class = match report.is_inconclusive() {
        true => "critical",
        false => "warning",
    };
    let doubtful = report
        .unmatched
        .iter()
        .filter(|it| it.may_be_misconfigured());
    doubtful.map(move |it| {
        let what = format!("{}:", capital(&it.describe()));
        (class, what, "", UNMATCHED_ADVICE)
    })
}

/// Patterns under which nothing is sealed.
fn nothing_sealed(report: &Report) -> impl Iterator<Item = Item> {
    unmatched(report).chain(all_excepted(report))
}

/// Patterns whose excepts cover every record.
fn all_excepted(report: &Report) -> Option<Item> {
    report.excepts_everything().then(|| {
        (
            "critical",
            "Every record is excepted from its pattern: no new value is sealed.".to_owned(),
            "",
            "Narrow the excepts, or correct the pattern.",
        )
    })
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

/// Values under older keys that never expire.
fn unexpiring(report: &Report) -> u64 {
    let keys = report.keys.iter();
    keys.map(|key| key.lifetime.without_expiry).sum()
}

/// Values under compromised keys.
fn compromised(report: &Report) -> u64 {
    let keys = report.keys.iter();
    let compromised = keys.filter(|key| key.state == "compromised");
    compromised.map(|key| key.values).sum()
}
