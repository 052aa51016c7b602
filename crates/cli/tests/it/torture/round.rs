//! One round: both sides emptied, the steps of a plan, then what must hold in the end. And the search for
//! a smaller plan in which the same check fails.

use super::conversation::{Conversation, Outcome, Surroundings};
use super::findings::{Check, Finding};
use super::neighbors::{Neighbors, successors};
use super::plan::{Action, CLIENTS, Plan, Step, preparation};
use super::stage::Stage;
use super::stored;

/// Runs of smaller plans, for one finding.
const REDUCTIONS: usize = 150;
/// The same where each run waits for a reply that does not come.
const SLOW_REDUCTIONS: usize = 12;

/// The steps so far.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) rounds: u64,
    pub(super) requests: u64,
    pub(super) connections: u64,
    pub(super) comparisons: u64,
    /// Steps after which the two sides could no longer be compared.
    pub(super) abandoned: Vec<String>,
}

/// Carries out a plan and returns what was wrong.
pub(super) fn run(stage: &mut Stage, plan: &Plan, figures: &mut Figures) -> Vec<Finding> {
    stage.sealed.reset();
    stage.direct.reset();
    let mut findings = Vec::new();
    let mut neighbors = Neighbors::connect(stage);
    let mut clients: Vec<Conversation> = (0..CLIENTS).map(|_| Conversation::open(stage)).collect();
    figures.rounds += 1;
    figures.connections += 2 * (CLIENTS + 1) as u64;
    let mut compared = true;
    for step in std::iter::once(&preparation()).chain(&plan.steps) {
        let Step { client, action } = step;
        let mut around = Surroundings {
            stage,
            neighbors: &mut neighbors,
            findings: &mut findings,
            abandoned: &mut figures.abandoned,
        };
        let conversation = &mut clients[*client];
        let outcome = match action {
            Action::Exchange(requests) => conversation.exchange(requests, &mut around),
            Action::Silent(requests) => conversation.silent(requests, &mut around),
            Action::Unanswered(request) => {
                conversation.unanswered(request, &mut around);
                Outcome::Closed
            }
            Action::Reconnect => Outcome::Closed,
        };
        figures.requests += 2 * action.len() as u64;
        figures.comparisons += action.len() as u64;
        if outcome == Outcome::Closed {
            clients[*client] = Conversation::open(stage);
            figures.connections += 2;
        }
        if outcome == Outcome::Abandoned {
            let plan = Plan {
                steps: vec![step.clone()],
            };
            figures.abandoned.push(plan.to_string());
        }
        let ends = matches!(outcome, Outcome::Diverged | Outcome::Abandoned);
        if ends || neighbors.are_broken() {
            compared = false;
            break;
        }
    }
    drop(clients);
    figures.requests += neighbors.requests();
    if compared {
        findings.extend(stored::compare(stage));
    }
    findings.extend(stored::sealed(stage));
    if !neighbors.are_broken() {
        neighbors.ask();
        neighbors.check(&mut findings);
        findings.extend(successors(stage));
    }
    if !stage.proxy_is_alive() {
        let detail = "it accepts no connections".to_owned();
        findings.push(Finding::new(Check::Alive, "the proxy", detail));
    }
    let is_damaged = |finding: &Finding| {
        matches!(
            finding.check,
            Check::Answered | Check::Bystander | Check::Successor | Check::Alive
        )
    };
    if findings.iter().any(is_damaged) {
        stage.restart_proxy();
    }
    findings
}

/// A smaller plan with a finding like this one, and what it finds. It takes runs off those that are left.
pub(super) fn reduce(
    stage: &mut Stage,
    plan: &Plan,
    wanted: &Finding,
    left: &mut usize,
) -> (Plan, Option<Finding>) {
    let mut runs = match wanted.check {
        Check::Answered | Check::Bystander => SLOW_REDUCTIONS,
        _ => REDUCTIONS,
    };
    runs = runs.min(*left);
    *left -= runs;
    let mut smallest = plan.clone();
    let mut found = None;
    let mut attempt = |plan: &Plan| {
        let findings = run(stage, plan, &mut Figures::default());
        findings.into_iter().find(|finding| finding.is_like(wanted))
    };
    let mut size = smallest.steps.len().div_ceil(2);
    while size > 0 && runs > 0 {
        let mut end = smallest.steps.len();
        while end > 0 && runs > 0 {
            let start = end.saturating_sub(size);
            let mut smaller = smallest.clone();
            smaller.steps.drain(start..end);
            runs -= 1;
            if let Some(finding) = attempt(&smaller) {
                (smallest, found) = (smaller, Some(finding));
            }
            end = start;
        }
        size /= 2;
    }
    // The same with the requests of each step.
    for step in (0..smallest.steps.len()).rev() {
        for request in (0..smallest.steps[step].action.len()).rev() {
            let mut smaller = smallest.clone();
            let (Action::Exchange(requests) | Action::Silent(requests)) =
                &mut smaller.steps[step].action
            else {
                break;
            };
            if requests.len() < 2 || runs == 0 {
                break;
            }
            requests.remove(request);
            runs -= 1;
            if let Some(finding) = attempt(&smaller) {
                (smallest, found) = (smaller, Some(finding));
            }
        }
    }
    (smallest, found)
}
