//! The tables of a report.

use maud::{Markup, html};

use super::{Key, Pattern, Report};
use crate::document::table;
use crate::status::keys::share;
use waxseal_units::{percent, thousands};

pub(super) fn keys(report: &Report) -> Markup {
    let columns = [
        ("key", false),
        ("state", false),
        ("values", true),
        ("share of all values", false),
        ("first expiry", false),
        ("last expiry", false),
        ("without expiry", true),
        ("unused from about", false),
    ];
    let rows = html! { @for key in &report.keys { (key_row(key, report.total.total)) } };
    table("Values by key, over all patterns", &columns, &rows)
}

fn key_row(key: &Key, total: u64) -> Markup {
    // The expiry under a key that seals is not determined.
    let is_old = !matches!(key.state.as_str(), "sealing" | "pending" | "unknown");
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "–".to_owned());
    let lifetime = &key.lifetime;
    html! {
        tr data-key=(key.id) {
            th scope="row" { span class="id" { (key.id) } }
            td { (key.state) }
            td class="number" data-figure="values" { (thousands(key.values)) }
            td class="wide" { (percent(key.values, total)) (share(key.values, total)) }
            td { (time(&lifetime.first_expiry)) }
            td { (time(&lifetime.last_expiry)) }
            td class="number" { @if is_old { (thousands(lifetime.without_expiry)) } @else { "–" } }
            td { (time(&lifetime.unused_from)) }
        }
    }
}

pub(super) fn groups(report: &Report) -> Markup {
    let columns = [
        ("pattern", false),
        ("format", false),
        ("key", false),
        ("type", false),
        ("values", true),
        ("of the pattern", true),
        ("bytes", true),
    ];
    let rows = html! {
        @for pattern in &report.patterns {
            @for group in &pattern.groups {
                tr {
                    th scope="row" { (pattern.name) }
                    td { (group.format) }
                    td {
                        @if let Some(key) = &group.key { span class="id" { (key) } " " }
                        @if let Some(state) = &group.key_state { "(" (state) ")" }
                    }
                    td { (group.kind) }
                    td class="number" data-figure="group" { (thousands(group.values)) }
                    td class="number" { (percent(group.values, pattern.counts.total)) }
                    td class="number" { (thousands(group.bytes)) }
                }
            }
        }
    };
    table("Values by format, key and type of record", &columns, &rows)
}

pub(super) fn versions(patterns: &[Pattern]) -> Markup {
    let rows = html! {
        @for pattern in patterns {
            @for (version, values) in &pattern.counts.versions {
                tr {
                    th scope="row" { (pattern.name) }
                    td { (version_in_words(version)) }
                    td class="number" data-version=(version) { (thousands(*values)) }
                    td class="number" { (percent(*values, pattern.counts.total)) }
                }
            }
        }
    };
    let columns = [
        ("pattern", false),
        ("stored as", false),
        ("values", true),
        ("of the pattern", true),
    ];
    table("Values by version of what is stored", &columns, &rows)
}

/// The words for a version: `sealed, version 2`.
fn version_in_words(version: &str) -> String {
    match version.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("sealed, version {version}"),
        false => version.to_owned(),
    }
}

pub(super) fn names(patterns: &[Pattern]) -> Markup {
    let columns = [
        ("pattern", false),
        ("sealed", true),
        ("plain", true),
        ("in a former form", true),
        ("in two forms", true),
        ("that cannot be used", true),
    ];
    let rows = html! {
        @for pattern in patterns.iter().filter(|it| !it.counts.names.is_empty()) {
            @let names = &pattern.counts.names;
            tr {
                th scope="row" { (pattern.name) }
                td class="number" data-names="sealed" { (thousands(names.all_sealed())) }
                td class="number" data-names="plain" { (thousands(names.plain)) }
                td class="number" { (thousands(names.former)) }
                td class="number" { (thousands(names.occupied)) }
                td class="number" { (thousands(names.left_out())) }
            }
        }
    };
    table("Names of records", &columns, &rows)
}

pub(super) fn other_types(patterns: &[Pattern]) -> Markup {
    let rows = html! {
        @for pattern in patterns {
            @for (kind, records) in &pattern.counts.other_types {
                tr {
                    th scope="row" { (pattern.name) }
                    td { (kind) }
                    td class="number" data-figure="records" { (thousands(*records)) }
                }
            }
        }
    };
    let columns = [("pattern", false), ("type", false), ("records", true)];
    table("Records of types that cannot be sealed", &columns, &rows)
}
