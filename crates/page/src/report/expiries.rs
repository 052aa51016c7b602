//! The expiry of values under keys that no longer seal: columns over time, and the same as text.

use maud::{Markup, html};

use super::{Expiries, Key};
use waxseal_units::{percent, point_in_time, span, thousands};

/// The maximal number of columns of a drawing.
const MAX_COLUMNS: usize = 48;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;
/// The minimal height of a column that is not 0: one value among millions must be visible.
const MIN_HEIGHT: f64 = 2.0;

/// The values that expire in consecutive periods of equal length.
struct Columns {
    from_ms: u64,
    until_ms: u64,
    values: Vec<u64>,
}

pub(super) fn section(keys: &[Key]) -> Markup {
    html! {
        div class="plots" {
            @for key in keys {
                @if let Some(expiries) = &key.expiries { (figure(key, expiries)) }
            }
        }
    }
}

fn figure(key: &Key, expiries: &Expiries) -> Markup {
    let columns = columns(expiries);
    let expiring = columns
        .values
        .iter()
        .fold(0, |sum: u64, it| sum.saturating_add(*it));
    let most = columns.values.iter().copied().max().unwrap_or(0);
    let title = format!("expiries-{}", key.id);
    let width = (columns.until_ms - columns.from_ms) / columns.values.len().max(1) as u64;
    html! {
        figure class="plot" data-key=(key.id) {
            figcaption { "key " span class="id" { (key.id) } " (" (key.state) "): values that expire every " (span(width)) }
            div class="field" {
                span class="top" aria-hidden="true" { (thousands(most)) }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-labelledby={ (title) " " (title) "-desc" } {
                    title id=(title) { "When values under key " (key.id) " expire" }
                    desc id={ (title) "-desc" } { (words(expiries, expiring).join(". ")) }
                    path class="grid" d="M0 0.5H1000M0 50H1000M0 99.5H1000" {}
                    @for (x, width, height) in shapes(&columns.values, most) {
                        rect class="classic" x=(x) y={ (format!("{:.1}", HEIGHT - height)) }
                            width=(width) height={ (format!("{height:.1}")) } {}
                    }
                }
                span class="begin" aria-hidden="true" { (point_in_time(columns.from_ms)) }
                span class="end" aria-hidden="true" { (point_in_time(columns.until_ms)) }
            }
            table {
                caption { "Values under key " (key.id) " by their end" }
                tbody {
                    @for (part, at) in milestones(expiries, expiring) {
                        tr { th scope="row" { (part) " expired by about" } td { (point_in_time(at)) } }
                    }
                    tr {
                        th scope="row" { "never expire" }
                        td { (thousands(key.lifetime.without_expiry)) ", "
                            (percent(key.lifetime.without_expiry, key.values)) }
                    }
                }
            }
        }
    }
}

/// The buckets merged into columns of equal width, few enough to be drawn.
fn columns(expiries: &Expiries) -> Columns {
    let width = expiries.width_ms.max(1);
    let first = expiries.stretches.iter().map(|it| it.from_ms).min();
    let last = expiries.stretches.iter().map(|it| it.from_ms).max();
    let (Some(first), Some(last)) = (first, last) else {
        return Columns {
            from_ms: 0,
            until_ms: 0,
            values: Vec::new(),
        };
    };
    // The drawing starts at the time of the count, so that a period without expiries is visible.
    let from_ms = expiries.counted_ms.min(first) / width * width;
    let stretches = ((last - from_ms) / width).saturating_add(1);
    let of_each = stretches.div_ceil(MAX_COLUMNS as u64).max(1);
    let column_ms = of_each.saturating_mul(width);
    let number = stretches.div_ceil(of_each);
    let mut values = vec![
        0;
        usize::try_from(number)
            .unwrap_or(MAX_COLUMNS)
            .min(MAX_COLUMNS)
    ];
    for stretch in &expiries.stretches {
        let at = usize::try_from((stretch.from_ms - from_ms) / column_ms).unwrap_or(usize::MAX);
        if let Some(column) = values.get_mut(at) {
            *column = u64::saturating_add(*column, stretch.values);
        }
    }
    Columns {
        from_ms,
        until_ms: from_ms.saturating_add(column_ms.saturating_mul(number)),
        values,
    }
}

/// The position, width and height of each column.
fn shapes(values: &[u64], most: u64) -> Vec<(String, String, f64)> {
    let step = WIDTH / values.len().max(1) as f64;
    let shape = |(index, value): (usize, &u64)| {
        let height = *value as f64 / most.max(1) as f64 * (HEIGHT - 2.0);
        let x = format!("{:.1}", index as f64 * step);
        (*value > 0).then(|| {
            (
                x,
                format!("{:.1}", (step * 0.85).max(1.0)),
                height.max(MIN_HEIGHT),
            )
        })
    };
    values.iter().enumerate().filter_map(shape).collect()
}

/// The times by which a half, nine tenths and all of the expiring values have expired: ends of buckets.
fn milestones(expiries: &Expiries, expiring: u64) -> Vec<(&'static str, u64)> {
    let mut found = Vec::new();
    for (part, tenths) in [("half", 5), ("nine tenths", 9), ("all that do", 10)] {
        let mut expired: u64 = 0;
        let bucket = expiries.stretches.iter().find(|stretch| {
            expired = expired.saturating_add(stretch.values);
            expired.saturating_mul(10) >= expiring.saturating_mul(tenths)
        });
        if let Some(stretch) = bucket {
            found.push((part, stretch.from_ms.saturating_add(expiries.width_ms)));
        }
    }
    found
}

fn words(expiries: &Expiries, expiring: u64) -> Vec<String> {
    let mut words = vec![format!("{} values expire", thousands(expiring))];
    let milestones = milestones(expiries, expiring).into_iter();
    words.extend(milestones.map(|(part, at)| format!("{part} by {}", point_in_time(at))));
    words
}

#[cfg(test)]
mod tests {
    use super::super::ExpiryBucket;
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn expiries(stretches: &[(u64, u64)]) -> Expiries {
        let stretches = stretches.iter();
        Expiries {
            counted_ms: 10 * HOUR + 1,
            width_ms: HOUR,
            stretches: stretches
                .map(|&(hour, values)| ExpiryBucket {
                    from_ms: hour * HOUR,
                    values,
                })
                .collect(),
        }
    }

    #[test]
    fn columns_are_even_few_and_contain_every_value() {
        let near = columns(&expiries(&[(12, 3), (15, 4)]));
        assert_eq!(near.values, [0, 0, 3, 0, 0, 4]);
        assert_eq!((near.from_ms, near.until_ms), (10 * HOUR, 16 * HOUR));
        let far = columns(&expiries(&[(10, 1), (5_000, 2), (100_000, 5)]));
        assert!(far.values.len() <= MAX_COLUMNS);
        assert_eq!(far.values.iter().sum::<u64>(), 8);
        let end_of_time = columns(&expiries(&[(12, 3), (u64::MAX / HOUR, 1)]));
        assert_eq!(end_of_time.values.iter().sum::<u64>(), 4);
        // Values that should have expired before the count.
        assert_eq!(columns(&expiries(&[(2, 7)])).values, [7]);
        assert!(columns(&expiries(&[])).values.is_empty());
    }

    #[test]
    fn milestones_are_ends_of_buckets() {
        let expiries = expiries(&[(12, 5), (13, 4), (20, 1)]);
        let found = milestones(&expiries, 10);
        let expected = [
            ("half", 13 * HOUR),
            ("nine tenths", 14 * HOUR),
            ("all that do", 21 * HOUR),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn one_value_among_millions_is_visible() {
        let shapes = shapes(&[1, 0, 5_000_000], 5_000_000);
        assert_eq!(shapes.len(), 2);
        assert!(shapes[0].2 >= MIN_HEIGHT && shapes[1].2 <= HEIGHT);
    }
}
