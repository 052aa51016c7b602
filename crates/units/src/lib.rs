//! Numbers, shares, sizes and times in readable form, for pages, terminals and log lines.

/// A number with thousands separators.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time (milliseconds since the Unix epoch) in RFC 3339.
#[must_use]
pub fn point_in_time(ms: u64) -> String {
    i64::try_from(ms / 1000)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| {
            time.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| format!("{ms} ms"))
}

/// A duration (in milliseconds), rounded down to the largest unit of which there are at least two.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..2_000 => format!("{ms} ms"),
        2_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// A duration (in milliseconds) in whole units, of at least a second.
#[must_use]
pub fn rough_span(ms: u64) -> String {
    match ms {
        0..2_000 => format!("{} s", ms / 1_000),
        _ => span(ms),
    }
}

/// A time relative to now: `3 min ago`, `in 5 h`.
#[must_use]
pub fn distance(at_ms: u64, now_ms: u64) -> String {
    let span = rough_span(now_ms.abs_diff(at_ms));
    match at_ms > now_ms {
        true => format!("in {span}"),
        false => format!("{span} ago"),
    }
}

/// A time of day in UTC, with the date if it is not today.
#[must_use]
pub fn clock_time(ms: u64, now_ms: u64) -> String {
    let (text, today) = (point_in_time(ms), point_in_time(now_ms));
    let day = text.split_once('T').zip(today.split_once('T'));
    match day {
        Some(((day, time), (today, _))) => {
            let time = time.trim_end_matches('Z');
            match day == today {
                true => format!("{time} UTC"),
                false => format!("{day} {time} UTC"),
            }
        }
        None => text,
    }
}

/// A part of a whole in percent, with one decimal. It is 100 only for the whole and 0 only for nothing: a single plain value
/// among millions must be visible.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = part as f64 / whole as f64 * 100.0;
    match part {
        0 => "0 %".to_owned(),
        _ if part >= whole => "100 %".to_owned(),
        _ if share < 0.1 => "< 0.1 %".to_owned(),
        _ if share > 99.9 => "> 99.9 %".to_owned(),
        _ => format!("{share:.1} %"),
    }
}

/// A rate per second.
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 10.0 => thousands(rate.round() as u64),
        rate if rate > 0.0 => format!("{rate:.1}"),
        _ => "0".to_owned(),
    }
}

/// A short time in seconds: `1.4 µs`, `230 µs`, `12 ms`, `1.2 s`.
#[must_use]
pub fn short_time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        s if s < 0.001 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    match number >= 10.0 {
        true => format!("{number:.0} {unit}"),
        false => format!("{number:.1} {unit}"),
    }
}

/// A number of bytes in binary units.
#[must_use]
pub fn bytes(number: f64) -> String {
    let mut number = number;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number < 1024.0 {
            let decimals = usize::from(number < 10.0 && unit != "B");
            return format!("{number:.decimals$} {unit}");
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(point_in_time(1_763_386_800_000), "2025-11-17T13:40:00Z");
        let spans = [500, 60_000, 7_199_999, 7_200_000, 7_776_000_000].map(span);
        assert_eq!(spans, ["500 ms", "60 s", "119 min", "2 h", "90 d"]);
        let times = [0.000_001_4, 0.000_23, 0.012, 1.2].map(short_time);
        assert_eq!(times, ["1.4 µs", "230 µs", "12 ms", "1.2 s"]);
        assert_eq!([0.0, 0.25, 12_345.6].map(rate), ["0", "0.2", "12,346"]);
        let sizes = [17.0, 2_048.0, 5_000_000_000.0].map(bytes);
        assert_eq!(sizes, ["17 B", "2.0 KiB", "4.7 GiB"]);
    }

    #[test]
    fn times_have_a_distance_and_a_date_if_it_is_another_day() {
        let now = 1_763_386_800_000;
        let distances =
            [now, now - 1_999, now - 180_000, now + 18_000_000].map(|at| distance(at, now));
        assert_eq!(distances, ["0 s ago", "1 s ago", "3 min ago", "in 5 h"]);
        assert_eq!(clock_time(now - 180_000, now), "13:37:00 UTC");
        assert_eq!(clock_time(now - 86_400_000, now), "2025-11-16 13:40:00 UTC");
    }

    #[test]
    fn one_among_millions_is_neither_0_nor_100_percent() {
        assert_eq!(percent(1, 10_000_000), "< 0.1 %");
        assert_eq!(percent(9_999_999, 10_000_000), "> 99.9 %");
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(0, 10), "0 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "–");
    }
}
