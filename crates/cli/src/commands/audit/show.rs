//! Prints a report as text.

use waxseal_page::report::{Group, Key, Report};
use waxseal_service::audit::text::{excepted, shares, summary, versions_and_kinds};
use waxseal_units::percent;

use crate::output::{self, thousands};
use waxseal_service::{Failure, names};

const BAR: usize = 24;

pub(super) fn print(report: &Report) -> Result<(), Failure> {
    for pattern in &report.patterns {
        output::line(format!(
            "{} ({}): {}",
            pattern.name,
            pattern.records,
            summary(&pattern.counts)
        ))?;
        if pattern.groups.len() > 1 {
            output::line(format!("  {}", shares(&pattern.counts)))?;
        }
        if let Some(text) = versions_and_kinds(&pattern.counts) {
            output::line(format!("  {text}"))?;
        }
        for group in &pattern.groups {
            print_group(group, pattern.counts.total)?;
        }
        for (kind, records) in &pattern.counts.other_types {
            output::line(format!(
                "  {} records of type {kind}: their values cannot be sealed",
                thousands(*records)
            ))?;
        }
        if !pattern.counts.names.is_empty() {
            output::line(format!("  {}", names::describe(&pattern.counts.names)))?;
        }
        if !pattern.counts.excepted.is_empty() {
            output::line(format!("  {}", excepted(&pattern.counts.excepted)))?;
        }
    }
    for key in report.keys.iter().filter(|key| is_old(key)) {
        print_key(key, report.total.total)?;
    }
    Ok(())
}

/// Describes when the values under a key that no longer seals expire.
pub(super) fn end(key: &Key) -> String {
    let lifetime = &key.lifetime;
    match (&lifetime.unused_from, lifetime.without_expiry) {
        (_, forever @ 1..) => format!(
            "{} of them do not expire: waxseal rotate brings them under the sealing key",
            thousands(forever)
        ),
        (Some(time), 0) => format!("unused from about {time}"),
        (None, 0) => "unused soon".to_owned(),
    }
}

/// True if values are under the key although it no longer seals.
pub(super) fn is_old(key: &Key) -> bool {
    let states = ["opening", "archived", "compromised"];
    key.values > 0 && states.contains(&key.state.as_str())
}

fn print_group(group: &Group, total: u64) -> Result<(), Failure> {
    let key = match (&group.key, &group.key_state) {
        (Some(key), Some(state)) => format!("key {key} ({state})"),
        _ => String::new(),
    };
    let share = group.values as f64 / total.max(1) as f64;
    let chart = if output::is_for_a_person() {
        format!("  {}", output::bar(share, BAR))
    } else {
        String::new()
    };
    let text = format!(
        "  {:<20} {key:<24} {:<7} {:>12} {:>5.1} %{chart}",
        group.format,
        group.kind,
        thousands(group.values),
        share * 100.0
    );
    output::line(text.trim_end())
}

fn print_key(key: &Key, total: u64) -> Result<(), Failure> {
    output::line(format!(
        "key {} ({}): {} values, {} of all",
        key.id,
        key.state,
        thousands(key.values),
        percent(key.values, total)
    ))?;
    if let (Some(first), Some(last)) = (&key.lifetime.first_expiry, &key.lifetime.last_expiry)
        && first != last
    {
        output::line(format!("  the first of them expires at {first}"))?;
    }
    output::line(format!("  {}", end(key)))
}
