//! `audit`: counts the values under each protected pattern, and writes nothing to the store. The report is printed, and on
//! request written as signed JSON and as a page.

mod count;
mod show;
mod verify;

use waxseal_files::OutputFile;
use waxseal_keys::{Ring, Signed};
use waxseal_page::report::{Report, Signature, page};
use waxseal_service::audit::{
    self, AuditedPattern, Keys, ReportContext, Requirements, SignedReport, text,
};

use crate::args::{AuditArgs, AuditCommand, Common};
use crate::error::{Ended, Failure};
use crate::output::{self, thousands};
use crate::setup::{Setup, now_ms};

use count::Counted;
pub(crate) use count::audit_of;

/// `audit verify`.
pub(crate) async fn verify(
    common: &Common,
    args: &AuditArgs,
    command: &AuditCommand,
) -> Result<Ended, Failure> {
    if args.says_how_to_count() {
        return Err(Failure::usage("audit verify counts nothing")
            .hint("leave the options before verify away: waxseal audit verify FILE"));
    }
    verify::run(common, command).await
}

/// Refuses reports that could not be written at the end, before anything is opened or counted.
pub(crate) fn check(setup: &Setup, args: &AuditArgs) -> Result<(), Failure> {
    if args.report.is_some() && !setup.follows_ring() {
        return Err(Failure::usage(
            "a report is signed with the key of a keyring, and no keyring is configured",
        )
        .hint(
            "waxseal keyring init makes one; name it with --keyring or in waxseal.toml. --html alone \
             and --json need none, and are not signed",
        ));
    }
    if let (Some(report), Some(html)) = (&args.report, &args.html)
        && waxseal_files::is_same_path(report, html)
    {
        return Err(Failure::usage("--report and --html name the same file")
            .hint("the page holds the signed report as well: --html alone is enough"));
    }
    [&args.report, &args.html]
        .into_iter()
        .flatten()
        .try_for_each(|path| OutputFile::check(path, args.force))
        .map_err(Failure::from)
}

pub(crate) async fn run(setup: &Setup, args: &AuditArgs) -> Result<Ended, Failure> {
    let began_ms = now_ms();
    let Counted { tallies, survey } = count::count(setup, args).await?;
    let ended_ms = now_ms();
    // One version of the ring for the keys of the report and for its signature.
    let ring = match setup.follows_ring() {
        true => Some(setup.opened_ring()?.ring.ring()),
        false => None,
    };
    let audited = setup.protected.iter().zip(&tallies);
    let audited: Vec<_> = audited
        .map(|(protected, tally)| AuditedPattern {
            name: &protected.name,
            pattern: &protected.pattern,
            tally,
        })
        .collect();
    let context = ReportContext {
        began_ms,
        ended_ms,
        deep: args.deep,
        environment: setup.environment_name(),
        store: &setup.url.location(),
        mode: setup.mode,
        ring: ring.as_deref(),
        keys: Keys {
            configured: &setup.key_ids(),
            state: &|id| setup.key_state(id),
        },
    };
    let report = audit::report(&context, &audited, &survey.unmatched);
    if setup.json {
        output::json(&report)?;
    } else {
        show::print(&report)?;
    }
    let fails = args.require_clean && report.is_inconclusive();
    survey.say(if fails { "error" } else { "warning" });
    if !setup.json {
        recommend_sealed(&report);
        warn_of_downgrade(&report);
    }
    write(setup, args, ring.as_deref(), &report)?;
    Ok(verdict(args, &report))
}

/// Recommends the sealed format for values in the format of the Node.js guide.
fn recommend_sealed(report: &Report) {
    let (values, are) = match report.total.classic {
        0 => return,
        1 => ("1 value".to_owned(), "is"),
        values => (format!("{} values", thousands(values)), "are"),
    };
    output::advise(&format!(
        "{values} {are} in the classic format, that of the Node.js guide, which does not bind a value to \
         its record; where nothing but Waxseal reads them, move to sealed: docs/operate/operations.md, From \
         classic to sealed"
    ));
}

/// Warns of an attack that no count shows, possible as long as plain values are accepted.
fn warn_of_downgrade(report: &Report) {
    if !report.allows_downgrade() {
        return;
    }
    let mode = report.mode.as_deref().unwrap_or_default();
    let when = match report.total.plain {
        0 => "mode required refuses it",
        _ => "mode required refuses it, after waxseal migrate",
    };
    output::advise(&format!(
        "the mode is {mode}: anyone who can write to the store can put a plain value in the place of a sealed \
         one, and it is accepted; {when} (SECURITY.md)"
    ));
}

/// Prints the findings that fail the audit.
fn verdict(args: &AuditArgs, report: &Report) -> Ended {
    let total = &report.total;
    if args.require_clean && total.excepted.left() > 0 {
        output::advise(&format!(
            "{}: excepted records are plaintext by configuration and are not counted as plain",
            text::excepted(&total.excepted)
        ));
    }
    // The survey has reported the patterns that match nothing.
    let mut ended = match args.require_clean && report.is_inconclusive() {
        true => Ended::Findings,
        false => Ended::Done,
    };
    let requirements = Requirements {
        clean: args.require_clean,
        deep: args.deep,
    };
    for finding in audit::findings(report, requirements) {
        output::complain("error", &finding.text);
        output::advise(finding.hint);
        ended = Ended::Findings;
    }
    ended
}

/// Writes the requested files: all of them, or none.
fn write(
    setup: &Setup,
    args: &AuditArgs,
    ring: Option<&Ring>,
    report: &Report,
) -> Result<(), Failure> {
    if args.report.is_none() && args.html.is_none() {
        return Ok(());
    }
    let signed = ring.map(|ring| SignedReport::new(report.clone()).signed(ring));
    let signer = signed.as_ref().map(SignedReport::signer);
    let json = signed.as_ref().map(SignedReport::to_json);
    let mut files = Vec::new();
    if let (Some(path), Some(signed)) = (&args.report, &signed) {
        files.push(OutputFile::write(path, &signed.to_file(), args.force)?);
    }
    if let Some(path) = &args.html {
        let signature = signer.as_deref().zip(json.as_deref());
        let signature = signature.map(|(signer, json)| Signature { signer, json });
        files.push(OutputFile::write(
            path,
            &page(report, signature),
            args.force,
        )?);
    }
    setup.trail.add_detail("clean", report.clean);
    setup.trail.add_detail("values", report.total.total);
    setup.trail.add_detail("signed_by", signer.clone());
    for file in files {
        let path = file.keep()?;
        let shown = path.display();
        output::say(&match &signer {
            Some(signer) => format!("waxseal: wrote {shown}, signed by {signer}"),
            None => format!("waxseal: wrote {shown}, not signed: no keyring is configured"),
        });
    }
    Ok(())
}
