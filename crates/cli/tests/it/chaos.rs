//! Clients in three languages under load through two proxies, while everything around them fails in
//! turn: the server, the path to it, its address, its limits, the proxies' logs and clocks. Afterwards
//! every acknowledged write is there, no client was given another's reply, nothing was stored in plain,
//! and both proxies still run.
//!
//! The tests inject each fault once. `cargo xtask torture --chaos` continues for a given time,
//! from any seed.

mod address;
mod clients;
mod fault;
mod newcomer;
mod rust_client;
mod stage;

use std::time::{Duration, Instant};

use clients::Load;
use fault::Fault;
use newcomer::Newcomer;
use stage::Stage;

use waxseal_testing::Chance;

/// The seed of the short form.
const SEED: u64 = 1;
/// Until the clients are at work, and between faults.
const CALM: Duration = Duration::from_millis(500);

/// The duration of the injection of faults: each once, or a given time.
struct Extent {
    seed: u64,
    duration: Option<Duration>,
    faults: Vec<Fault>,
}

impl Extent {
    fn from_environment() -> Self {
        let text = |name: &str| std::env::var(format!("WAXSEAL_CHAOS_{name}")).ok();
        let number = |name: &str| text(name).map(|it| it.parse().expect("a number"));
        let only = text("FAULT");
        let is_wanted = |fault: &Fault| only.as_ref().is_none_or(|it| it == fault.as_str());
        let faults: Vec<Fault> = Fault::ALL.into_iter().filter(is_wanted).collect();
        assert!(!faults.is_empty(), "there is no such fault");
        Self {
            seed: number("SEED").unwrap_or(SEED),
            duration: number("SECONDS").map(Duration::from_secs),
            faults,
        }
    }

    fn is_over(&self, rounds: usize, started: Instant) -> bool {
        match self.duration {
            Some(duration) => started.elapsed() >= duration,
            None => rounds > 0,
        }
    }
}

#[test]
fn clients_in_three_languages_lose_nothing_whatever_fails() {
    let extent = Extent::from_environment();
    let mut chance = Chance::seeded(extent.seed);
    let started = Instant::now();
    let mut stage = Stage::start();
    let load = Load::start(&stage);
    let newcomers = stage.ports().map(Newcomer::start);
    let mut report = Report::default();
    std::thread::sleep(CALM);
    let mut rounds = 0;
    while !extent.is_over(rounds, started) {
        let mut faults = extent.faults.clone();
        while !faults.is_empty() && (rounds == 0 || !extent.is_over(rounds, started)) {
            let fault = faults.swap_remove(chance.below(faults.len()));
            let since = fault.inject(&mut stage, &mut chance);
            for (newcomer, sharing) in newcomers.iter().zip(stage::SHARINGS) {
                report.add(
                    fault,
                    sharing,
                    newcomer.wait_until_served(since, fault.as_str()),
                );
            }
            stage.assert_alive();
            std::thread::sleep(CALM);
        }
        rounds += 1;
    }
    let served: u64 = newcomers.into_iter().map(Newcomer::stop).sum();
    let results = load.stop();
    let summary = format!(
        "chaos, seed {}, {:?}\n{}{served} new clients served\n{}",
        extent.seed,
        started.elapsed(),
        report.text(),
        results.summary(),
    );
    show(&summary);
    results.assert_nothing_lost(&stage);
    stage.stop();
    report.assert_bounded(extent.duration.is_some());
}

#[expect(
    clippy::print_stderr,
    reason = "figures are for the caller of the chore"
)]
fn show(text: &str) {
    eprintln!("{text}");
}

/// The time after each fault until new clients were served again.
#[derive(Default)]
struct Report(Vec<(Fault, &'static str, Duration)>);

impl Report {
    fn add(&mut self, fault: Fault, sharing: &'static str, outage: Duration) {
        self.0.push((fault, sharing, outage));
    }

    fn text(&self) -> String {
        let injected = |fault: &&Fault| self.0.iter().any(|it| it.0 == **fault);
        let lines = Fault::ALL.iter().filter(injected).map(|fault| {
            let longest = |sharing| {
                let outages = self.0.iter().filter(|it| it.0 == *fault && it.1 == sharing);
                let outages: Vec<Duration> = outages.map(|it| it.2).collect();
                let longest = outages.iter().max().copied().unwrap_or_default();
                format!("{sharing} {longest:.1?} of {}", outages.len())
            };
            let longest = stage::SHARINGS.map(longest).join(", ");
            format!("{:<20} served after at most: {longest}\n", fault.as_str())
        });
        lines.collect()
    }

    /// A chore of its own has the machine for itself; among the tests, only that they are served again
    /// is certain, and [`Newcomer::wait_until_served`] has seen that.
    fn assert_bounded(&self, has_the_machine: bool) {
        for (fault, sharing, outage) in &self.0 {
            assert!(
                !has_the_machine || *outage <= fault.max_outage(),
                "{}: new clients of {sharing} were served after {outage:?} only",
                fault.as_str()
            );
        }
    }
}
