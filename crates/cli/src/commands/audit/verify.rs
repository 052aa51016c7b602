//! `audit verify`: whether a report is as it was signed, by whom, and what it says. Of a page also
//! whether it shows what was signed: it is made again from what it carries.

use serde::Serialize;
use waxseal_keys::{Signed, SignedError};
use waxseal_page::report::{Report, Signature, embedded_json, page};
use waxseal_service::{Ended, Failure};

use super::paper::Paper;
use super::show;
use crate::args::{AuditCommand, Common};
use crate::commands::signed::{self, Expected};
use crate::output::{self, sanitize_for_terminal, thousands};

/// No report is longer.
const LIMIT: u64 = 16 * 1024 * 1024;
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Told<'a> {
    verified: bool,
    /// Whether the signer is the expected one; `null` where none was expected.
    expected_signer: Option<bool>,
    signer: Option<String>,
    /// Whether a page shows what was signed; `null` where it is none, or of another version.
    page_shows_it: Option<bool>,
    error: Option<String>,
    audit: Option<&'a Report>,
}

/// What becomes of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// It is no page.
    NoPage,
    /// It shows what was signed.
    Same,
    /// It does not.
    Other,
    /// Another version made it, perhaps in other words.
    OfAnotherVersion,
}

pub(super) async fn run(common: &Common, command: &AuditCommand) -> Result<Ended, Failure> {
    let AuditCommand::Verify { file, key } = command;
    let (bytes, name) = signed::read(file, LIMIT, "the report")?;
    let expected = Expected::of(common, key.as_deref()).await?;
    let text = String::from_utf8_lossy(&bytes);
    let is_page = text.trim_start().starts_with("<!DOCTYPE html>");
    let json = match is_page {
        true => match embedded_json(&text) {
            Some(json) => json.as_bytes(),
            None => return unsigned(common, &name),
        },
        false => &bytes,
    };
    let paper = match Paper::verify(json, expected.key()) {
        Ok(paper) => paper,
        Err(error) => return refuse(common, &name, &error),
    };
    let shown = match is_page {
        true => shown(&paper, &text),
        false => Shown::NoPage,
    };
    if shown == Shown::Other {
        let text = "the page does not show what was signed: it was changed";
        return refused(
            common,
            &name,
            text,
            None,
            "read the figures of the signed JSON in it, or ask \
            whoever issued it for the original",
        );
    }
    if common.json {
        output::json(&Told {
            verified: true,
            expected_signer: expected.key().map(|_| true),
            signer: Some(paper.signer()),
            page_shows_it: (shown == Shown::Same).then_some(true),
            error: None,
            audit: Some(&paper.audit),
        })?;
    } else {
        print(&paper, &expected, shown)?;
    }
    if shown == Shown::OfAnotherVersion {
        output::warn("the page was made by another version of waxseal");
        output::hint(&format!(
            "what was signed is what this command prints; waxseal {} also says whether the page shows it",
            sanitize_for_terminal(&paper.audit.waxseal)
        ));
        return Ok(Ended::Findings);
    }
    Ok(Ended::Done)
}

fn shown(paper: &Paper, text: &str) -> Shown {
    let (signer, json) = (paper.signer(), paper.to_json());
    let signature = Signature {
        signer: &signer,
        json: &json,
    };
    match page(&paper.audit, Some(signature)) == text {
        true => Shown::Same,
        false if paper.audit.waxseal == VERSION => Shown::Other,
        false => Shown::OfAnotherVersion,
    }
}

fn unsigned(common: &Common, name: &str) -> Result<Ended, Failure> {
    let hint = "waxseal audit --html signs where a keyring is configured";
    refused(common, name, "the page holds no signed report", None, hint)
}

fn refuse(common: &Common, name: &str, error: &SignedError) -> Result<Ended, Failure> {
    let hint = match error {
        SignedError::Form { .. } => "it must be what waxseal audit --report or --html wrote, whole",
        other => signed::advice(other),
    };
    let is_expected = matches!(error, SignedError::Signer).then_some(false);
    refused(common, name, &error.to_string(), is_expected, hint)
}

fn refused(
    common: &Common,
    name: &str,
    text: &str,
    expected_signer: Option<bool>,
    hint: &str,
) -> Result<Ended, Failure> {
    if common.json {
        output::json(&Told {
            verified: false,
            expected_signer,
            signer: None,
            page_shows_it: None,
            error: Some(text.to_owned()),
            audit: None,
        })?;
    }
    output::error(&format!("{name} does not verify: {text}"));
    output::hint(hint);
    Ok(Ended::Findings)
}

fn print(paper: &Paper, expected: &Expected, shown: Shown) -> Result<(), Failure> {
    let report = &paper.audit;
    let verified = match shown {
        Shown::Same => "the report is as it was signed, and the page shows it",
        _ => "the report is as it was signed",
    };
    let ring = report.keyring.as_ref();
    let ring = ring.map(|it| format!("{}, version {}", it.ring, it.version));
    let opened = match report.deep {
        true => "every value",
        false => "values in the classic format; sealed ones were told by their headers",
    };
    let clean = match report.clean {
        true => "yes",
        false => "no",
    };
    for (word, text) in [
        ("verified", verified.to_owned()),
        ("signed by", expected.describe(&paper.signer())),
        ("keyring", ring.unwrap_or_else(|| "none".to_owned())),
        ("environment", report.environment.clone()),
        ("store", report.store.clone()),
        ("counted", format!("{} to {}", report.began, report.ended)),
        ("by", format!("waxseal {}", report.waxseal)),
        ("opened", opened.to_owned()),
        ("clean", clean.to_owned()),
        ("values", thousands(report.total.total)),
    ] {
        output::line(format!("{word:<12} {}", sanitize_for_terminal(&text)))?;
    }
    for pattern in &report.patterns {
        let counts = &pattern.counts;
        let types = counts.other_type_records();
        let text = format!(
            "{} ({}): {} ({}), {} records of other types",
            pattern.name,
            pattern.records,
            show::summary(counts),
            show::shares(counts),
            thousands(types)
        );
        output::line(format!(
            "{:<12} {}",
            "pattern",
            sanitize_for_terminal(&text)
        ))?;
    }
    for unmatched in &report.unmatched {
        let text = sanitize_for_terminal(&unmatched.describe());
        output::line(format!("{:<12} {text}", "unmatched"))?;
    }
    for key in &report.keys {
        let end = match show::is_old(key) {
            true => format!(", {}", show::end(key)),
            false => String::new(),
        };
        let values = thousands(key.values);
        let text = format!("{} ({}): {values} values{end}", key.id, key.state);
        output::line(format!("{:<12} {}", "key", sanitize_for_terminal(&text)))?;
    }
    expected.warn();
    Ok(())
}
