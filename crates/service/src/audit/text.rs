//! Parts of a report in words.

use waxseal_page::report::{Counts, ExceptCounts};
use waxseal_units::{percent, thousands};

/// Describes records of types whose values cannot be sealed: `3 records (stream 1, zset 2)`.
#[must_use]
pub fn other_types(counts: &Counts) -> String {
    let records = match counts.other_type_records() {
        1 => "1 record".to_owned(),
        records => format!("{} records", thousands(records)),
    };
    let types = counts.other_types.iter();
    let types = types.map(|(kind, records)| format!("{kind} {}", thousands(*records)));
    format!("{records} ({})", types.collect::<Vec<_>>().join(", "))
}

/// Describes records excepted from a pattern: `excepted: 3 plain, 1 sealed`.
#[must_use]
pub fn excepted(excepted: &ExceptCounts) -> String {
    let (plain, sealed) = (thousands(excepted.plain), thousands(excepted.sealed));
    let others = match excepted.other_types {
        0 => String::new(),
        1 => ", 1 record of another type".to_owned(),
        records => format!(", {} records of other types", thousands(records)),
    };
    format!("excepted: {plain} plain, {sealed} sealed{others}")
}

/// Describes counts in one line: `3 sealed, 1 plain, 0 cannot be opened`.
#[must_use]
pub fn summary(counts: &Counts) -> String {
    format!(
        "{} sealed, {} plain, {} cannot be opened",
        thousands(counts.sealed),
        thousands(counts.plain),
        thousands(counts.unopenable)
    )
}

/// Describes counts in percent, without those that are 0.
#[must_use]
pub fn shares(counts: &Counts) -> String {
    let share = |name: &str, part: u64| {
        (part > 0).then(|| format!("{} {name}", percent(part, counts.total)))
    };
    let parts = [
        share("sealed", counts.sealed.saturating_sub(counts.classic)),
        share("classic", counts.classic),
        share("plain", counts.plain),
        share("cannot be opened", counts.unopenable),
        share("empty", counts.empty),
        share("erased", counts.erased),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "no values".to_owned(),
        false => parts.join(", "),
    }
}
