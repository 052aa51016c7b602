//! Refused requests of a proxy, as its status page shows them; and `waxseal proxy --trial`: what would be refused,
//! what was fine, and the configuration that would let everything pass.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use waxseal_page::status::{Refused, Trial as TrialView};
use waxseal_proxy::{
    ClientLabel, Protection, RefusalReport, Refusals, RefusedRow, Trial as Settings,
};
use waxseal_stores::RecordPattern;

use crate::args::ProxyArgs;
use crate::config::Protect;
use crate::error::Failure;
use crate::output::{self, span, thousands};
use crate::setup::{Setup, now_ms};

/// The record of refused requests of this process, and its trial if it is one.
#[derive(Clone)]
pub(crate) struct Recorded {
    refusals: Arc<Refusals>,
    trial: Option<Arc<Trial>>,
}

/// A trial.
struct Trial {
    began: Instant,
    shows_names: bool,
    /// In the order of the patterns.
    blocks: Vec<Block>,
}

/// A `[[protect]]` as it is configured.
struct Block {
    pattern: String,
    /// Its lines but for `except` and `scripts`; none where they would tell a record's name.
    lines: Vec<String>,
    excepts: Vec<String>,
    forwards_scripts: bool,
}

/// The report, for a program.
#[derive(Serialize)]
struct Report<'a> {
    seconds: u64,
    patterns: Vec<&'a str>,
    would_be_refused: Vec<Row<'a>>,
    refused: Vec<Row<'a>>,
    /// Requests that would be refused, or were, in more ways than are told apart.
    others: u64,
    fine: Vec<Fine<'a>>,
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
struct Fine<'a> {
    pattern: &'a str,
    command: &'a str,
    count: u64,
}

impl Recorded {
    pub(crate) fn begin(setup: &Setup, args: &ProxyArgs) -> Self {
        let trial = args.trial.then(|| Arc::new(Trial::begin(setup, args)));
        Self {
            refusals: Arc::default(),
            trial,
        }
    }

    pub(crate) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The protection that records its refusals here. `is_typed`: the patterns are flags.
    pub(crate) fn by(&self, protection: Protection, is_typed: bool) -> Protection {
        let trial = self.trial.as_ref().map(|trial| Settings {
            keeps_names: trial.shows_names,
        });
        let refusals = self.refusals.clone();
        protection.record_refusals(refusals, is_typed).trial(trial)
    }

    /// Refused requests, for the status page.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        let now_ms = now_ms();
        let report = self.refusals.report(Instant::now());
        let rows = report.rows.iter().map(|row| Refused {
            command: written(row.command),
            pattern: row.pattern.as_ref().map(|(_, shown)| shown.clone()),
            reason: row.reason.to_owned(),
            is_forwarded: row.is_forwarded,
            count: row.count,
            last_ms: now_ms.saturating_sub(milliseconds(row.last_ago)),
            client: ClientLabel::to_string(&row.client),
            setting: row.setting.clone(),
            advice: row.advice.clone(),
        });
        let others = (report.others > 0).then(|| Refused {
            command: "others".to_owned(),
            reason: "not told apart".to_owned(),
            count: report.others,
            last_ms: now_ms,
            advice: "see the others first".to_owned(),
            ..Refused::default()
        });
        rows.chain(others).collect()
    }

    /// The findings of a trial, for the status page.
    pub(crate) fn trial(&self) -> Option<TrialView> {
        let trial = self.trial.as_ref()?;
        let report = self.refusals.report(Instant::now());
        let fine = report.fine.iter();
        Some(TrialView {
            fine: fine
                .map(|(pattern, command, count)| {
                    (trial.pattern(*pattern).to_owned(), written(command), *count)
                })
                .collect(),
            patterns: trial.patterns().map(str::to_owned).collect(),
            configuration: trial.configuration(&report),
        })
    }

    /// Prints the report of a trial, at its end.
    pub(crate) fn report(&self, json: bool) -> Result<(), Failure> {
        let Some(trial) = &self.trial else {
            return Ok(());
        };
        let report = self.refusals.report(Instant::now());
        match json {
            true => output::json(&trial.json(&report)),
            false => output::line(trial.text(&report) + &sealed_replies(&self.refusals)),
        }
    }
}

/// A line of the report about sealed values that were given to applications.
fn sealed_replies(refusals: &Refusals) -> String {
    let replies = match refusals.sealed_replies() {
        0 => return String::new(),
        1 => "1 reply".to_owned(),
        count => format!("{} replies", thousands(count)),
    };
    format!(
        "\n\nWarning: {replies} held sealed values: another process sealed them, and applications read ciphertext."
    )
}

impl Trial {
    fn begin(setup: &Setup, args: &ProxyArgs) -> Self {
        let blocks = setup.protected.iter().map(|protected| {
            let pattern = &protected.pattern;
            let configured = setup.config.protect.iter();
            let configured = configured
                .into_iter()
                .find(|it| it.records == pattern.as_str());
            Block {
                excepts: protected.pattern.excepts().map(str::to_owned).collect(),
                ..Block::of(pattern, configured, args)
            }
        });
        Self {
            began: Instant::now(),
            shows_names: args.show_names,
            blocks: blocks.collect(),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| block.pattern.as_str())
    }

    fn pattern(&self, index: usize) -> &str {
        self.blocks.get(index).map_or("", |it| it.pattern.as_str())
    }

    /// The blocks of the patterns on which something would be refused, with what lets it pass.
    fn configuration(&self, report: &RefusalReport) -> String {
        let mut text = String::new();
        for (index, block) in self.blocks.iter().enumerate() {
            let of_block = |row: &&RefusedRow| {
                let is_own = row.pattern.as_ref().is_some_and(|(of, _)| *of == index);
                row.is_forwarded && (is_own || row.excepts.iter().any(|(of, _)| *of == index))
            };
            let rows: Vec<_> = report.rows.iter().filter(of_block).collect();
            let settled = Settled::of(index, block, &rows);
            if settled.excepts.len() > block.excepts.len()
                || settled.forwards_scripts != block.forwards_scripts
                || !settled.left.is_empty()
            {
                settled.write(block, &mut text);
            }
        }
        text
    }

    fn json<'a>(&'a self, report: &'a RefusalReport) -> Report<'a> {
        let rows = |is_forwarded| {
            let rows = report.rows.iter();
            let rows = rows.filter(move |row| row.is_forwarded == is_forwarded);
            rows.map(|row| Row {
                command: row.command,
                pattern: row.pattern.as_ref().map(|(_, shown)| shown.as_str()),
                reason: row.reason,
                count: row.count,
                setting: &row.setting,
                advice: &row.advice,
                names: names(row),
            })
            .collect()
        };
        let fine = report.fine.iter();
        Report {
            seconds: self.began.elapsed().as_secs(),
            patterns: self.patterns().collect(),
            would_be_refused: rows(true),
            refused: rows(false),
            others: report.others,
            fine: fine
                .map(|(pattern, command, count)| Fine {
                    pattern: self.pattern(*pattern),
                    command,
                    count: *count,
                })
                .collect(),
            configuration: self.configuration(report),
        }
    }

    /// The report, for a person. Nothing that is written to a string fails.
    fn text(&self, report: &RefusalReport) -> String {
        let (tried, refused): (Vec<_>, Vec<_>) =
            report.rows.iter().partition(|row| row.is_forwarded);
        let sum = |rows: &[&RefusedRow]| rows.iter().map(|row| row.count).sum::<u64>();
        let would = sum(&tried);
        let fine: u64 = report.fine.iter().map(|(_, _, count)| count).sum();
        let patterns = self.patterns().collect::<Vec<_>>().join(", ");
        let took = span(milliseconds(self.began.elapsed()));
        let mut text = format!("Trial of {took} on {patterns}.\n");
        if would + fine + report.others == 0 {
            let _ = write!(
                text,
                "No request named a protected record: this says nothing about the application. Check the patterns, \
                 and whether the application connects to this proxy."
            );
        } else {
            let _ = write!(
                text,
                "{} on protected records, of which {} would be refused.",
                requests(would + fine),
                thousands(would)
            );
        }
        list(&mut text, "Would be refused", &tried);
        list(&mut text, "Refused in this trial as well", &refused);
        if report.others > 0 {
            let others = requests(report.others);
            let _ = write!(text, "\n\n{others} more, in other ways than these.");
        }
        if fine > 0 {
            let _ = write!(text, "\n\nWork unchanged:");
            for (pattern, command, count) in &report.fine {
                let (pattern, command) = (self.pattern(*pattern), written(command));
                let _ = write!(text, "\n  {:>9}  {command} on {pattern}", thousands(*count));
            }
        }
        let configuration = self.configuration(report);
        if !configuration.is_empty() {
            let _ = write!(
                text,
                "\n\nWith this in waxseal.toml they pass; what except names stays in plaintext:\n\n{}",
                configuration.trim_end()
            );
        }
        text
    }
}

/// A block with what lets the refused requests pass.
struct Settled<'a> {
    excepts: Vec<&'a str>,
    forwards_scripts: bool,
    /// Requests that no line lets pass.
    left: Vec<&'a RefusedRow>,
}

impl<'a> Settled<'a> {
    fn of(index: usize, block: &'a Block, rows: &[&'a RefusedRow]) -> Self {
        let mut settled = Self {
            excepts: block.excepts.iter().map(String::as_str).collect(),
            forwards_scripts: block.forwards_scripts,
            left: Vec::new(),
        };
        for row in rows {
            let globs = row.excepts.iter().filter(|(of, _)| *of == index);
            for glob in globs.flat_map(|(_, globs)| globs) {
                if !settled.excepts.contains(&glob.as_str()) {
                    settled.excepts.push(glob);
                }
            }
            if row.excepts.is_empty() && row.scripts && !block.lines.is_empty() {
                settled.forwards_scripts = true;
            } else if row.excepts.is_empty() {
                settled.left.push(row);
            }
        }
        settled
    }

    fn write(&self, block: &Block, text: &mut String) {
        if !text.is_empty() {
            text.push('\n');
        }
        for row in &self.left {
            let (command, advice) = (written(row.command), &row.advice);
            let _ = writeln!(
                text,
                "# {command} on {}: {}: {advice}",
                block.pattern, row.cause
            );
        }
        if block.lines.is_empty() {
            return;
        }
        let _ = writeln!(text, "[[protect]]");
        for line in &block.lines {
            let _ = writeln!(text, "{line}");
        }
        if !self.excepts.is_empty() {
            let globs: Vec<_> = self.excepts.iter().map(|glob| toml_string(glob)).collect();
            let _ = writeln!(text, "except = [{}]", globs.join(", "));
        }
        if self.forwards_scripts {
            let _ = writeln!(text, "scripts = \"forward\"");
        }
    }
}

impl Block {
    fn of(pattern: &RecordPattern, configured: Option<&Protect>, args: &ProxyArgs) -> Self {
        let text = |name: &str, value: Option<&str>| {
            value.map(|value| format!("{name} = {}", toml_string(value)))
        };
        let format = args
            .format
            .map(|format| waxseal_core::Format::from(format).to_string());
        let mut lines = Vec::new();
        let mut forwards_scripts = false;
        lines.extend(text("name", configured.and_then(|it| it.name.as_deref())));
        lines.extend(text("records", Some(pattern.as_str())));
        let of_config = configured.and_then(|it| it.format.as_deref());
        lines.extend(text("format", format.as_deref().or(of_config)));
        if let Some(configured) = configured {
            lines.extend(
                configured
                    .per_user_keys
                    .then(|| "per_user_keys = true".to_owned()),
            );
            lines.extend(text("refused", configured.refused.as_deref()));
            lines.extend(text("plain_values", configured.plain_values.as_deref()));
            forwards_scripts = configured.scripts.as_deref() == Some("forward");
        }
        if pattern.shown() != pattern.as_str() {
            // It is the whole name of a record, which no report tells.
            lines.clear();
        }
        Self {
            pattern: pattern.shown().to_owned(),
            lines,
            excepts: Vec::new(),
            forwards_scripts,
        }
    }
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
        let (command, cause) = (written(row.command), row.cause);
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

/// Names of records, of which bytes that are no text are written out.
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

fn written(command: &str) -> String {
    command.to_uppercase().replace('|', " ")
}

fn toml_string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
