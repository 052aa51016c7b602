//! What the tests printed, and which of those that pass at a server do not pass through the proxy.

use std::collections::{BTreeMap, BTreeSet};

/// The share of tests that must pass through the proxy, in percent of those that pass at a server.
const MIN_PASSED: usize = 95;

/// The tests of one run.
#[derive(Debug, Default)]
pub(super) struct Results {
    passed: BTreeSet<String>,
    /// With the first line of the reason.
    failed: BTreeMap<String, String>,
}

impl Results {
    /// Reads what the tests printed.
    pub(super) fn parse(printed: &str) -> Self {
        let mut results = Self::default();
        let lines: Vec<String> = printed.lines().map(without_colors).collect();
        for (number, line) in lines.iter().enumerate() {
            if let Some(test) = line.strip_prefix("[ok]: ") {
                results.passed.insert(without_time(test).to_owned());
            } else if let Some((_, test)) = line.split_once("[err]: ") {
                let name = test
                    .rsplit_once(" in tests/")
                    .map_or(test, |(name, _)| name);
                let reason = lines.get(number + 1).cloned().unwrap_or_default();
                results.failed.insert(name.to_owned(), reason);
            }
        }
        for name in results.failed.keys() {
            results.passed.remove(name);
        }
        results
    }
}

fn without_time(test: &str) -> &str {
    match test.rsplit_once(" (") {
        Some((name, time)) if time.ends_with(" ms)") => name,
        _ => test,
    }
}

fn without_colors(line: &str) -> String {
    let mut out = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(|letter| *letter == 'm');
        } else {
            out.push(letter);
        }
    }
    out
}

/// Two runs of the same tests.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Tests that pass at a server.
    expected: usize,
    /// Those of them that do not pass through the proxy, with the reason.
    differing: BTreeMap<String, String>,
}

impl Comparison {
    pub(super) fn of(unit: &str, direct: &Results, through: &Results) -> Self {
        let short = unit.rsplit('/').next().unwrap_or(unit);
        let differing = direct.passed.difference(&through.passed).map(|test| {
            let reason = through.failed.get(test);
            let reason = reason.map_or("was not reached", String::as_str);
            (format!("{short}: {test}"), reason.to_owned())
        });
        Self {
            expected: direct.passed.len(),
            differing: differing.collect(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.differing.extend(other.differing);
    }

    /// One line.
    pub(super) fn summary(&self, name: &str) -> String {
        let passed = self.expected - self.differing.len();
        format!(
            "{name}: {passed} of {} pass through the proxy",
            self.expected
        )
    }

    /// Tests that differ and are not listed, listed ones that do not differ, and too many of them.
    pub(super) fn problems(
        &self,
        listed: &BTreeMap<String, Differs>,
        complete: bool,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for (test, reason) in &self.differing {
            if !listed.contains_key(test) {
                problems.push(format!("not listed: {test}\n    {reason}"));
            }
        }
        if complete {
            let same = listed.iter().filter(|(test, differs)| {
                **differs == Differs::Always && !self.differing.contains_key(*test)
            });
            problems.extend(same.map(|(test, _)| format!("listed, and passes: {test}")));
        }
        let passed = self.expected - self.differing.len();
        if passed * 100 < self.expected * MIN_PASSED {
            problems.push(format!("less than {MIN_PASSED} % pass"));
        }
        problems
    }
}

/// How often a listed test differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Differs {
    Always,
    /// It depends on the time that something takes.
    Sometimes,
}

/// The tests in the first column of the list's tables. The reason of one that may pass as well begins with `sometimes`.
pub(super) fn listed(list: &str) -> BTreeMap<String, Differs> {
    let rows = list.lines().filter_map(|line| {
        let (test, reason) = line.strip_prefix("| ")?.split_once(" | ")?;
        let test = test.strip_prefix('`')?.strip_suffix('`')?;
        let differs = match reason.starts_with("sometimes: ") {
            true => Differs::Sometimes,
            false => Differs::Always,
        };
        Some((test.replace("\\|", "|"), differs))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: &str =
        "[\u{1b}[0;32;49mok\u{1b}[0m]: GET (2 ms)\n[ok]: SET (1 ms)\n[ok]: SYNC (0 ms)\n";

    #[test]
    fn what_passes_at_a_server_alone_is_found_with_its_reason() {
        let through = "[ok]: GET (2 ms)\n[err]: SET in tests/unit/type/string.tcl\nERR no\n";
        let comparison = Comparison::of(
            "unit/type/string",
            &Results::parse(DIRECT),
            &Results::parse(through),
        );
        assert_eq!(
            comparison.summary("string"),
            "string: 1 of 3 pass through the proxy"
        );
        let list = "| test | reason |\n|---|---|\n| `string: SYNC` | replication |\n| `string: GET` | none |\n| `string: OLD` | sometimes: slow |\n";
        let problems = comparison.problems(&listed(list), true);
        assert_eq!(
            problems,
            [
                "not listed: string: SET\n    ERR no",
                "listed, and passes: string: GET",
                "less than 95 % pass",
            ]
        );
    }

    #[test]
    fn a_test_that_passed_before_it_failed_has_not_passed() {
        let results = Results::parse("[ok]: A (1 ms)\n[err]: A in tests/unit/x.tcl\nwrong\n");
        assert!(results.passed.is_empty(), "{results:?}");
        assert_eq!(results.failed["A"], "wrong");
    }
}
