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

/// Describes values in older versions of the sealed format than this one: `2 values are older than version 3 of the
/// sealed format (classic 1, version 2 1)`.
#[must_use]
pub fn older_versions(counts: &Counts, version: u8) -> String {
    let values = match counts.sealed_before(version) {
        1 => "1 value is".to_owned(),
        values => format!("{} values are", thousands(values)),
    };
    let by_version = counts.versions.iter().filter_map(|(name, values)| {
        let name = match name.parse::<u8>() {
            Ok(number) if number < version => format!("version {number}"),
            Err(_) if name == "classic" => name.clone(),
            _ => return None,
        };
        Some((name, *values))
    });
    let mut parts: Vec<_> = by_version
        .map(|(name, values)| format!("{name} {}", thousands(values)))
        .collect();
    parts.sort();
    let parts = parts.join(", ");
    format!("{values} older than version {version} of the sealed format ({parts})")
}

/// Describes the values by version and by kind: `by version: classic 30, version 3 950; by kind: string 980`. `None` if
/// none is in version 3: then formats and types of records tell as much.
#[must_use]
pub fn versions_and_kinds(counts: &Counts) -> Option<String> {
    if !counts.versions.contains_key("3") {
        return None;
    }
    let versions = counts.versions.iter().map(|(name, values)| {
        let is_number = name.parse::<u8>().is_ok();
        let word = if is_number { "version " } else { "" };
        format!("{word}{name} {}", thousands(*values))
    });
    let kinds = counts.kinds.iter();
    let kinds = kinds.map(|(name, values)| format!("{name} {}", thousands(*values)));
    let (versions, kinds): (Vec<_>, Vec<_>) = (versions.collect(), kinds.collect());
    let (versions, kinds) = (versions.join(", "), kinds.join(", "));
    Some(format!("by version: {versions}; by kind: {kinds}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_described_once_there_is_more_than_one_of_the_sealed_format() {
        let counts = |versions: &[(&str, u64)]| Counts {
            versions: versions
                .iter()
                .map(|(name, values)| ((*name).to_owned(), *values))
                .collect(),
            kinds: [("string".to_owned(), 1_235)].into(),
            ..Counts::default()
        };
        assert_eq!(versions_and_kinds(&counts(&[("2", 5), ("plain", 1)])), None);
        let text = versions_and_kinds(&counts(&[("2", 1), ("3", 1_234)]));
        let expected = "by version: version 2 1, version 3 1,234; by kind: string 1,235";
        assert_eq!(text.as_deref(), Some(expected));
    }
}
