//! A strict parser of Prometheus' text format, version 0.0.4: unknown syntax fails the test.

use std::collections::{BTreeMap, HashMap, HashSet};

/// One sample's labels, sorted by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// A text that was read.
pub(crate) struct Exposition {
    /// By metric: its kind.
    pub(crate) kinds: HashMap<String, String>,
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Reads a whole text. Each metric must be in one piece: help, type, samples.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line does not end");
        let mut read = Self {
            kinds: HashMap::new(),
            samples: Vec::new(),
        };
        let (mut helped, mut series) = (HashSet::new(), HashSet::new());
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
                current = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(name, current, "a type without its help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let before = read.kinds.insert(name.to_owned(), kind.to_owned());
                assert!(before.is_none(), "twice: {line}");
            } else {
                let (name, labels, value) = sample(line);
                let kind = read.kinds.get(&current).expect("a sample before its type");
                let fine = match kind.as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|end| name == format!("{current}{end}")),
                    _ => name == current,
                };
                assert!(fine, "{line} is among the samples of {current}");
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(
                    series.insert((name.clone(), labels.clone())),
                    "twice: {line}"
                );
                read.samples.push((name, labels, value));
            }
        }
        read.check_histograms();
        read
    }

    /// Buckets grow, and the last one is the count.
    #[track_caller]
    fn check_histograms(&self) {
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let buckets: Vec<_> = self.of(&format!("{name}_bucket")).collect();
            let counts: Vec<f64> = buckets.iter().map(|(_, value)| *value).collect();
            assert!(
                counts.is_sorted() || buckets.len() > 20,
                "{name}: {counts:?}"
            );
            let count: f64 = self.of(&format!("{name}_count")).map(|(_, it)| it).sum();
            let whole = buckets.iter().filter(|(labels, _)| labels["le"] == "+Inf");
            assert_eq!(whole.map(|(_, it)| it).sum::<f64>(), count, "{name}");
        }
    }

    fn of(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        let name = name.to_owned();
        let samples = self.samples.iter();
        samples.filter_map(move |(it, labels, value)| (*it == name).then_some((labels, *value)))
    }

    /// The sum of the samples of a metric that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &Labels| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| all.get(*name).map(String::as_str) == Some(*value))
        };
        self.of(name)
            .filter(|(all, _)| has(all))
            .map(|(_, it)| it)
            .sum()
    }
}

/// `name{label="value",…} number`.
#[track_caller]
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, number.parse().expect(line))
}

fn is_name(text: &str) -> bool {
    let fine = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    !text.is_empty() && text.chars().all(fine)
}

/// Up to the closing quotation mark, and what follows it.
#[track_caller]
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, letter @ ('\\' | '"'))) => letter,
                other => panic!("an unknown escape {other:?} in {text}"),
            }),
            letter => value.push(letter),
        }
    }
    panic!("a label that does not end: {text}")
}

#[test]
#[should_panic(expected = "twice")]
fn a_duplicate_series_is_rejected() {
    Exposition::read("# HELP a b\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"1\"} 2\n");
}

#[test]
#[should_panic(expected = "before its type")]
fn a_sample_without_a_type_is_rejected() {
    Exposition::read("a 1\n");
}
