//! `audit verify`: verifies the signature of a report, and prints the signer and the report. A page is also rendered again
//! and compared with the report that it contains.

use serde::Serialize;
use waxseal_keys::{Signed, SignedError};
use waxseal_page::report::{Report, embedded_json};
use waxseal_service::audit::{PageCheck, SignedReport, text};
use waxseal_service::{Ended, Failure};

use super::show;
use crate::args::{AuditCommand, Common};
use crate::commands::signed::{self, Expected};
use crate::output::{self, sanitize_for_terminal, thousands};

/// The largest report that is read.
const LIMIT: u64 = 16 * 1024 * 1024;

#[derive(Serialize)]
struct VerifyReport<'a> {
    verified: bool,
    /// True if the signer is the expected one; `null` if none was expected.
    expected_signer: Option<bool>,
    signer: Option<String>,
    /// True if a page shows the signed report; `null` if it is not a page, or of another version.
    page_shows_it: Option<bool>,
    error: Option<String>,
    audit: Option<&'a Report>,
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
            None => return unsigned(&name),
        },
        false => &bytes,
    };
    let signed = match SignedReport::verify(json, expected.key()) {
        Ok(signed) => signed,
        Err(error) => return refuse(&name, &error),
    };
    let page = is_page.then(|| signed.check_page(&text));
    if page == Some(PageCheck::Changed) {
        let text = "the page does not show what was signed: it was changed";
        return refused(
            &name,
            text,
            None,
            "read the figures of the signed JSON in it, or ask the issuer for the original",
        );
    }
    if output::is_json() {
        output::json(&VerifyReport {
            verified: true,
            expected_signer: expected.key().map(|_| true),
            signer: Some(signed.signer()),
            page_shows_it: (page == Some(PageCheck::Same)).then_some(true),
            error: None,
            audit: Some(&signed.audit),
        })?;
    } else {
        print(&signed, &expected, page)?;
    }
    if page == Some(PageCheck::OtherVersion) {
        output::warn("the page was written by another version of waxseal");
        output::hint(&format!(
            "what was signed is what this command prints; waxseal {} also says whether the page shows it",
            sanitize_for_terminal(&signed.audit.waxseal)
        ));
        return Ok(Ended::Findings);
    }
    Ok(Ended::Done)
}

fn unsigned(name: &str) -> Result<Ended, Failure> {
    let hint = "waxseal audit --html signs where a keyring is configured";
    refused(name, "the page holds no signed report", None, hint)
}

fn refuse(name: &str, error: &SignedError) -> Result<Ended, Failure> {
    let hint = match error {
        SignedError::Form { .. } => "it must be what waxseal audit --report or --html wrote, whole",
        other => signed::advice(other),
    };
    let is_expected = matches!(error, SignedError::Signer).then_some(false);
    refused(name, &error.to_string(), is_expected, hint)
}

fn refused(
    name: &str,
    text: &str,
    expected_signer: Option<bool>,
    hint: &str,
) -> Result<Ended, Failure> {
    if output::is_json() {
        output::json(&VerifyReport {
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

fn print(
    signed: &SignedReport,
    expected: &Expected,
    page: Option<PageCheck>,
) -> Result<(), Failure> {
    let report = &signed.audit;
    let verified = match page {
        Some(PageCheck::Same) => "the report is as it was signed, and the page shows it",
        _ => "the report is as it was signed",
    };
    let ring = report.keyring.as_ref();
    let ring = ring.map(|it| format!("{}, version {}", it.ring, it.version));
    let opened = match report.deep {
        true => "every value",
        false => "values in the classic format; sealed ones were recognized by their headers",
    };
    let clean = match report.clean {
        true => "yes",
        false => "no",
    };
    for (word, text) in [
        ("verified", verified.to_owned()),
        ("signed by", expected.describe(&signed.signer())),
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
            text::summary(counts),
            text::shares(counts),
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
