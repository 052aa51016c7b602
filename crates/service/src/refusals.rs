//! Refused requests of a proxy, as its status page shows them; and the report of `waxseal proxy --trial`: the requests
//! that would be refused, those that work, and the configuration with which more of them pass.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use waxseal_core::Format;
use waxseal_page::status::{RefusedRequests, Trial as TrialView};
use waxseal_proxy::{
    ClientLabel, Protection, RefusalReport, Refusals, RefusedRow, Trial as Settings,
};
use waxseal_units::{span, thousands};

use crate::configuration::Configuration;
use crate::configuration::protected::Protected;
use crate::now_ms;

mod plan;

use plan::{Block, Plan, describe_left};

/// The options of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrialOptions {
    /// True if the report contains names of records.
    pub shows_names: bool,
    /// The format that a flag sets for the records that are tried.
    pub format: Option<Format>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The record of refused requests of this process, and its trial if it is one.
#[derive(Clone)]
pub struct RefusalRecord {
    refusals: Arc<Refusals>,
    trial: Option<Arc<Trial>>,
}

/// A trial of the proxy, from its start to its report.
struct Trial {
    began: Instant,
    shows_names: bool,
    /// In the order of the patterns; after them those of the configuration that this proxy does not protect.
    blocks: Vec<Block>,
    /// True once the report was returned.
    is_reported: AtomicBool,
}

/// The report for programs.
#[derive(Serialize)]
struct Report<'a> {
    seconds: u64,
    patterns: Vec<&'a str>,
    would_be_refused: Vec<Row<'a>>,
    refused: Vec<Row<'a>>,
    fine: Vec<CommandCount<'a>>,
    /// Digests of scripts whose text was not seen.
    unseen_scripts: Vec<CommandCount<'a>>,
    /// Requests that work, in transactions that would be aborted.
    aborted: u64,
    /// Replies with sealed values, which another process wrote.
    sealed_replies: u64,
    configuration: String,
}

#[derive(Serialize)]
struct Row<'a> {
    command: &'a str,
    pattern: Option<&'a str>,
    reason: &'a str,
    count: u64,
    setting: &'a str,
    advice: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

#[derive(Serialize)]
struct CommandCount<'a> {
    pattern: &'a str,
    command: &'a str,
    count: u64,
}

impl RefusalRecord {
    /// Begins the record, of a trial if there are options for one.
    #[must_use]
    pub fn begin(configuration: &Configuration, trial: Option<TrialOptions>) -> Self {
        Self {
            refusals: Arc::default(),
            trial: trial.map(|options| Arc::new(Trial::begin(configuration, options))),
        }
    }

    /// True if the proxy is a trial.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Returns the protection that records its refusals here. `is_typed`: the patterns are flags.
    #[must_use]
    pub fn by(&self, protection: Protection, is_typed: bool) -> Protection {
        let trial = self.trial.as_ref().map(|trial| Settings {
            keeps_names: trial.shows_names,
        });
        let refusals = self.refusals.clone();
        protection.record_refusals(refusals, is_typed).trial(trial)
    }

    /// Returns the refused requests for the status page.
    #[must_use]
    pub fn refused(&self) -> Vec<RefusedRequests> {
        let now_ms = now_ms();
        let report = self.refusals.report(Instant::now());
        let rows = report.rows.iter().map(|row| RefusedRequests {
            command: display_name(row.command),
            pattern: row.pattern.as_ref().map(|(_, shown)| shown.to_string()),
            reason: row.reason.to_owned(),
            is_forwarded: row.is_forwarded,
            count: row.count,
            last_ms: now_ms.saturating_sub(milliseconds(row.last_ago)),
            client: ClientLabel::to_string(&row.client),
            setting: row.setting.to_string(),
            advice: row.advice.to_string(),
        });
        rows.collect()
    }

    /// Returns the findings of a trial for the status page.
    #[must_use]
    pub fn trial(&self) -> Option<TrialView> {
        let trial = self.trial.as_ref()?;
        let report = self.refusals.report(Instant::now());
        let counts = |counts: &[(usize, &'static str, u64)]| {
            let counts = counts.iter();
            counts
                .map(|(pattern, command, count)| {
                    (
                        trial.pattern(*pattern).to_owned(),
                        display_name(command),
                        *count,
                    )
                })
                .collect()
        };
        let plan = Plan::new(&trial.blocks, &report);
        Some(TrialView {
            fine: counts(&report.fine),
            unseen_scripts: counts(&report.unseen_scripts),
            aborted: report.aborted,
            patterns: trial.patterns().map(str::to_owned).collect(),
            configuration: plan.configuration().unwrap_or_default(),
            left: plan.left.iter().map(|row| describe_left(row)).collect(),
        })
    }

    /// Returns the report of a trial at its end: once, however the trial ends.
    #[must_use]
    pub fn take_report(&self, form: ReportForm) -> Option<String> {
        let trial = self.trial.as_ref()?;
        if trial.is_reported.swap(true, Ordering::SeqCst) {
            return None;
        }
        let report = self.refusals.report(Instant::now());
        let sealed_replies = self.refusals.sealed_replies();
        Some(match form {
            // Texts and numbers only, so writing cannot fail.
            ReportForm::Json => serde_json::to_string_pretty(&trial.json(&report, sealed_replies))
                .unwrap_or_default(),
            ReportForm::Text => trial.text(&report) + &sealed_replies_line(sealed_replies),
        })
    }
}

/// The line of the report about sealed values in replies to applications.
fn sealed_replies_line(count: u64) -> String {
    let replies = match count {
        0 => return String::new(),
        1 => "1 reply".to_owned(),
        count => format!("{} replies", thousands(count)),
    };
    format!(
        "\n\nWarning: {replies} held sealed values: another process sealed them, and applications read ciphertext."
    )
}

impl Trial {
    fn begin(configuration: &Configuration, options: TrialOptions) -> Self {
        let block = |protected: &Protected, is_tried| {
            let mut configured = configuration.file.protect.iter();
            let configured =
                configured.find(|it| it.records.as_deref() == Some(protected.pattern.as_str()));
            // Flags concern the records that are tried.
            let format = options.format.filter(|_| is_tried);
            let mut block = Block::new(protected, configured, format);
            block.is_tried = is_tried;
            block
        };
        let tried = configuration.protected.iter().map(|it| block(it, true));
        let others = configuration.others.iter().map(|it| block(it, false));
        Self {
            began: Instant::now(),
            shows_names: options.shows_names,
            blocks: tried.chain(others).collect(),
            is_reported: AtomicBool::new(false),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        let tried = self.blocks.iter().filter(|block| block.is_tried);
        tried.map(|block| block.pattern.as_str())
    }

    fn pattern(&self, index: usize) -> &str {
        self.blocks.get(index).map_or("", |it| it.pattern.as_str())
    }

    fn json<'a>(&'a self, report: &'a RefusalReport, sealed_replies: u64) -> Report<'a> {
        let rows = |is_forwarded| {
            let rows = report.rows.iter();
            let rows = rows.filter(move |row| row.is_forwarded == is_forwarded);
            rows.map(|row| Row {
                command: row.command,
                pattern: row.pattern.as_ref().map(|(_, shown)| &**shown),
                reason: row.reason,
                count: row.count,
                setting: &row.setting,
                advice: &row.advice,
                names: names(row),
            })
            .collect()
        };
        let counts = |counts: &[(usize, &'static str, u64)]| {
            let counts = counts.iter();
            counts
                .map(|(pattern, command, count)| CommandCount {
                    pattern: self.pattern(*pattern),
                    command,
                    count: *count,
                })
                .collect()
        };
        Report {
            seconds: self.began.elapsed().as_secs(),
            patterns: self.patterns().collect(),
            would_be_refused: rows(true),
            refused: rows(false),
            fine: counts(&report.fine),
            unseen_scripts: counts(&report.unseen_scripts),
            aborted: report.aborted,
            sealed_replies,
            configuration: Plan::new(&self.blocks, report)
                .configuration()
                .unwrap_or_default(),
        }
    }

    /// Returns the report for people. Writing to a string cannot fail.
    fn text(&self, report: &RefusalReport) -> String {
        let (tried, refused): (Vec<_>, Vec<_>) =
            report.rows.iter().partition(|row| row.is_forwarded);
        let patterns = self.patterns().collect::<Vec<_>>().join(", ");
        let took = span(milliseconds(self.began.elapsed()));
        let mut text = format!("Trial of {took} on {patterns}.\n");
        text.push_str(&headline(report, &tried));
        list(&mut text, "Would be refused", &tried);
        list(&mut text, "Refused in this trial as well", &refused);
        self.counts(
            &mut text,
            "Scripts named by a digest, whose text did not pass during this trial",
            &report.unseen_scripts,
        );
        if report.aborted > 0 {
            let aborted = requests(report.aborted);
            let _ = write!(
                text,
                "\n\n{aborted} more would work, in transactions that would be aborted for another of their commands."
            );
        }
        self.counts(&mut text, "Work unchanged", &report.fine);
        let plan = Plan::new(&self.blocks, report);
        if !plan.left.is_empty() {
            let _ = write!(text, "\n\nNo [[protect]] setting lets these pass:");
            for row in &plan.left {
                let _ = write!(text, "\n  {}", describe_left(row));
            }
        }
        if let Some(configuration) = plan.configuration() {
            let all = if plan.left.is_empty() { "" } else { "other " };
            let _ = write!(
                text,
                "\n\nWith these [[protect]] blocks in waxseal.toml the {all}requests that would be refused pass; \
                 excepted records stay in plaintext:\n\n{}",
                configuration.trim_end()
            );
        }
        text
    }

    fn counts(&self, text: &mut String, title: &str, counts: &[(usize, &'static str, u64)]) {
        if counts.is_empty() {
            return;
        }
        let _ = write!(text, "\n\n{title}:");
        for (pattern, command, count) in counts {
            let (pattern, command) = (self.pattern(*pattern), display_name(command));
            let _ = write!(text, "\n  {:>9}  {command} on {pattern}", thousands(*count));
        }
    }
}

/// Returns the headline: the number of requests that would be refused.
fn headline(report: &RefusalReport, tried: &[&RefusedRow]) -> String {
    let sum = |is_named: bool| -> u64 {
        let rows = tried.iter();
        let rows = rows.filter(|row| row.pattern.is_some() == is_named);
        rows.map(|row| row.count).sum()
    };
    let (would, other) = (sum(true), sum(false));
    let counts = report.fine.iter().chain(&report.unseen_scripts);
    let fine: u64 = counts.map(|(.., count)| count).sum();
    let all = would + fine + report.aborted;
    if all + other == 0 {
        return "No request named a protected record: this says nothing about the application. Check the patterns, and \
                whether the application connects to this proxy."
            .to_owned();
    }
    let mut text = format!(
        "{} on protected records, of which {} would be refused.",
        requests(all),
        thousands(would)
    );
    if other > 0 {
        let _ = write!(
            text,
            " Beside these, {} that name no protected record would be refused.",
            requests(other)
        );
    }
    text
}

fn list(text: &mut String, title: &str, rows: &[&RefusedRow]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(text, "\n\n{title}:");
    for row in rows {
        let on = match &row.pattern {
            Some((_, pattern)) => format!(" on {pattern}"),
            None => String::new(),
        };
        let (command, cause) = (display_name(row.command), row.cause);
        let _ = write!(
            text,
            "\n  {:>9}  {command}{on}: {cause}",
            thousands(row.count)
        );
        let remedy = match row.setting.is_empty() {
            true => &row.advice,
            false => &row.setting,
        };
        let _ = write!(text, "\n             {remedy}");
        let names = names(row);
        if !names.is_empty() {
            let _ = write!(text, "\n             names: {}", names.join(" "));
        }
    }
}

/// Returns names of records, with bytes that are not text escaped.
fn names(row: &RefusedRow) -> Vec<String> {
    let names = row.names.iter();
    names.map(|name| name.escape_ascii().to_string()).collect()
}

fn requests(count: u64) -> String {
    match count {
        1 => "1 request".to_owned(),
        count => format!("{} requests", thousands(count)),
    }
}

fn display_name(command: &str) -> String {
    match command {
        "other" => "unknown command".to_owned(),
        command => command.to_uppercase().replace('|', " "),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
