//! The proxy against a server without one, with requests that no one would write: random and mutated
//! ones of every command, and a list of tricky ones. Two clients talk to both and must get the same
//! replies; others must not notice them; and in the end both servers hold the same, the protected
//! records sealed.
//!
//! The tests run a bounded number of rounds from a fixed seed. `cargo xtask torture` runs the same for
//! longer, from any seed.

mod comparison;
mod conversation;
mod directed;
mod exceptions;
mod findings;
mod grammar;
mod mutation;
mod neighbors;
mod options;
mod plan;
mod request;
mod round;
mod stage;
mod stored;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use directed::DIRECTED;
use findings::Finding;
use plan::Plan;
use round::Figures;
use stage::Stage;
use waxseal_testing::Chance;

use crate::program::wait_until;

/// The seed of the short form.
const SEED: u64 = 1;
/// Settings, each a test.
const SETTINGS: u64 = 4;
/// Random rounds of the short form, for each setting.
const ROUNDS: u64 = 25;
/// Entries of the directed list in one round.
const ENTRIES: usize = 8;
/// Findings that are made smaller and shown, for each setting.
const MAX_FINDINGS: usize = 60;
/// Runs of smaller plans, for each setting: a proxy that does everything wrong must be told in minutes.
const MAX_REDUCTIONS: usize = 400;
/// Lines about rounds that ended early.
const MAX_ABANDONED: usize = 10;
/// Connections that a proxy may keep when all clients have left: lanes, spare ones, its own.
const MAX_CONNECTIONS: usize = 2 + 16 + 1;

/// The options of the proxy.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Each has random rounds of its own.
    number: u64,
    upstream: &'static str,
    format: &'static str,
}

/// The scope of a run: everything, for some rounds or some time, or one round again.
struct Extent {
    seed: u64,
    duration: Option<Duration>,
    /// Only this entry, written as in the directed list.
    entry: Option<String>,
    /// Only this random round.
    round: Option<u64>,
}

impl Extent {
    fn from_environment() -> Self {
        let text = |name: &str| std::env::var(format!("WAXSEAL_TORTURE_{name}")).ok();
        let number = |name: &str| text(name).map(|it| it.parse().expect("a number"));
        Self {
            seed: number("SEED").unwrap_or(SEED),
            duration: number("SECONDS").map(Duration::from_secs),
            entry: text("ENTRY"),
            round: number("ROUND"),
        }
    }

    /// The entries of the directed list that are run.
    fn entries(&self) -> Vec<&str> {
        match (&self.entry, self.round) {
            (Some(entry), _) => vec![entry],
            (None, Some(_)) => Vec::new(),
            (None, None) => DIRECTED.to_vec(),
        }
    }

    fn first_round(&self) -> u64 {
        self.round.unwrap_or_default()
    }

    fn allows(&self, round: u64, started: Instant) -> bool {
        match (&self.entry, self.round, self.duration) {
            (Some(_), ..) => false,
            (None, Some(only), _) => round == only,
            (None, None, Some(duration)) => started.elapsed() < duration,
            (None, None, None) => round < ROUNDS,
        }
    }
}

/// Runs all rounds of a setting and fails with a report if something was found.
fn torture(setting: Setting) {
    let extent = Extent::from_environment();
    let started = Instant::now();
    let mut stage = Stage::start(setting);
    let mut figures = Figures::default();
    let mut report = Report::new(setting, extent.seed);
    // What requests mean does not depend on the format: once for each way of going upstream is enough.
    let entries = match setting.format {
        "sealed" => extent.entries(),
        _ => Vec::new(),
    };
    for (number, entries) in entries.chunks(ENTRIES).enumerate() {
        report.directed(&mut stage, number * ENTRIES, entries, &mut figures);
    }
    let mut round = extent.first_round();
    while extent.allows(round, started) && report.has_room() {
        let seed = (extent.seed.wrapping_mul(1_000_003).wrapping_add(round))
            .wrapping_mul(SETTINGS)
            .wrapping_add(setting.number);
        let plan = Plan::random(&mut Chance::seeded(seed));
        report.round(&mut stage, &format!("round {round}"), &plan, &mut figures);
        round += 1;
    }
    if report.is_empty() {
        let mut connections = 0;
        let most = if setting.upstream == "own" {
            // Those of the status page: for its counts, and for the doctor.
            2
        } else {
            MAX_CONNECTIONS
        };
        wait_until(|| {
            connections = stage.upstream_connections();
            connections <= most
        });
        stage.stop();
    }
    let Figures {
        rounds,
        requests,
        connections,
        comparisons,
        abandoned,
    } = figures;
    let summary = format!(
        "torture, {setting:?}, seed {}: {requests} requests, {connections} connections, \
         {comparisons} comparisons, {rounds} rounds, {} abandoned, {:?}\n{}",
        extent.seed,
        abandoned.len() / 2,
        started.elapsed(),
        abandoned[..abandoned.len().min(MAX_ABANDONED)].join("\n")
    );
    show(&summary);
    assert!(report.is_empty(), "{}{summary}", report.text);
}

#[expect(
    clippy::print_stderr,
    reason = "figures are for the caller of the chore"
)]
fn show(text: &str) {
    eprintln!("{text}");
}

/// The findings, each kind once.
struct Report {
    setting: Setting,
    seed: u64,
    seen: Vec<Finding>,
    failed: bool,
    /// Runs of smaller plans that are left.
    reductions: usize,
    text: String,
}

impl Report {
    fn new(setting: Setting, seed: u64) -> Self {
        Self {
            setting,
            seed,
            seen: Vec::new(),
            failed: false,
            reductions: MAX_REDUCTIONS,
            text: String::new(),
        }
    }

    fn is_empty(&self) -> bool {
        !self.failed && self.seen.is_empty()
    }

    fn has_room(&self) -> bool {
        self.seen.len() < MAX_FINDINGS
    }

    /// Runs one round. Of what it finds, the most severe that is new is made smaller and shown.
    fn round(&mut self, stage: &mut Stage, name: &str, plan: &Plan, figures: &mut Figures) {
        let mut findings = round::run(stage, plan, figures);
        findings.sort_by_key(|finding| finding.check);
        let is_new = |it: &&Finding| !self.seen.iter().any(|seen| seen.is_like(it));
        let Some(finding) = findings.iter().find(is_new).cloned() else {
            return;
        };
        self.seen.extend(findings.iter().cloned());
        let (smaller, again) = round::reduce(stage, plan, &finding, &mut self.reductions);
        let note = if again.is_some() {
            ""
        } else {
            " (not seen again)"
        };
        let others: Vec<String> = findings
            .iter()
            .filter(|it| !it.is_like(&finding))
            .map(|it| format!("{:?} ({})", it.check, it.subject))
            .collect();
        let finding = again.unwrap_or(finding);
        let mut text = String::new();
        let _ = write!(
            text,
            "\n{:?}, seed {}, {name}{note}, {} requests:\n{smaller}    {finding}\n",
            self.setting,
            self.seed,
            smaller.len(),
        );
        if !others.is_empty() {
            let _ = writeln!(text, "    failed as well: {}", others.join(", "));
        }
        show(&text);
        self.text.push_str(&text);
    }

    /// Runs entries of the directed list together; if something is found, one by one.
    fn directed(
        &mut self,
        stage: &mut Stage,
        first: usize,
        entries: &[&str],
        figures: &mut Figures,
    ) {
        let plan = |entries: &[&str], modes: &[bool]| {
            Plan::directed(entries, modes, &mut Chance::seeded(self.seed))
        };
        let together = plan(entries, &[false, true]);
        if round::run(stage, &together, figures).is_empty() {
            return;
        }
        let plans: Vec<[Plan; 2]> = entries
            .chunks(1)
            .map(|entry| [plan(entry, &[false]), plan(entry, &[true])])
            .collect();
        let mut found = false;
        for (number, plans) in (first..).zip(&plans) {
            for plan in plans {
                self.round(stage, &format!("entry {number}"), plan, figures);
            }
            found |= !self.seen.is_empty();
            self.next_entry();
        }
        if !found {
            self.round(stage, &format!("entries from {first}"), &together, figures);
            self.next_entry();
        }
    }

    /// Forgets which findings are known, so that each entry of the directed list is reported.
    fn next_entry(&mut self) {
        self.failed |= !self.seen.is_empty();
        self.seen.clear();
    }
}

#[test]
fn random_requests_are_answered_as_without_a_proxy_over_own_connections() {
    torture(Setting {
        number: 0,
        upstream: "own",
        format: "sealed",
    });
}

#[test]
fn random_requests_are_answered_as_without_a_proxy_over_shared_connections() {
    torture(Setting {
        number: 1,
        upstream: "shared",
        format: "sealed",
    });
}

#[test]
fn random_requests_are_answered_as_without_a_proxy_over_lanes_and_own_connections() {
    torture(Setting {
        number: 2,
        upstream: "auto",
        format: "sealed",
    });
}

#[test]
fn random_requests_are_answered_as_without_a_proxy_in_the_classic_format() {
    torture(Setting {
        number: 3,
        upstream: "shared",
        format: "classic",
    });
}
