//! `audit`: counts the values under each protected pattern, and writes nothing to the store. The report is printed, and on
//! request written as signed JSON and as a page.

mod count;
mod show;
mod verify;

use waxseal_files::OutputFile;
use waxseal_keys::{Ring, Signed};
use waxseal_page::report::{Report, Signature, page};
use waxseal_service::audit::{
    self, AuditedPattern, Keys, ReportContext, RequiredNames, Requirements, SignedReport, text,
};
use waxseal_service::members::MemberPasses;
use waxseal_service::resources::{Resources, keys};
use waxseal_service::{Ended, Failure, now_ms};

use crate::args::{AuditArgs, AuditCommand, Common, NamesArg};
use crate::commands::unmatched;
use crate::output::{self, thousands};

use count::Counted;

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
pub(crate) fn check(resources: &Resources, args: &AuditArgs) -> Result<(), Failure> {
    if args.report.is_some() && !resources.configuration.has_keyring() {
        return Err(Failure::usage(
            "a report is signed with the key of a keyring, and no keyring is configured",
        )
        .hint(
            "waxseal keyring init creates one; name it with --keyring or in waxseal.toml. --html alone \
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

pub(crate) async fn run(resources: &Resources, args: &AuditArgs) -> Result<Ended, Failure> {
    let began_ms = now_ms();
    let passes = MemberPasses::begin(resources);
    let Counted { tallies, survey } = count::count(resources, args).await?;
    let ended_ms = now_ms();
    let swept = resources.configuration.protected.iter().zip(&tallies);
    passes.record(resources, swept).await;
    // One version of the ring for the keys of the report and for its signature.
    let ring = match resources.configuration.has_keyring() {
        true => Some(resources.opened_ring()?.ring.ring()),
        false => None,
    };
    let audited = resources.configuration.protected.iter().zip(&tallies);
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
        environment: resources.configuration.environment_name(),
        store: &resources.configuration.store.location(),
        mode: resources.configuration.mode,
        ring: ring.as_deref(),
        keys: Keys {
            configured: &keys::ids(resources),
            state: &|id| keys::state(resources, id),
        },
    };
    let report = audit::report(&context, &audited, &survey.unmatched);
    if output::is_json() {
        output::json(&report)?;
    } else {
        show::print(&report)?;
    }
    let fails = args.require_clean && report.is_inconclusive();
    unmatched::print(&survey, if fails { "error" } else { "warning" });
    if !output::is_json() {
        recommend_sealed(&report);
        warn_of_downgrade(&report);
    }
    write(resources, args, ring.as_deref(), &report)?;
    Ok(verdict(resources, args, &report))
}

/// Recommends the sealed format for values in the format of the Node.js guide.
fn recommend_sealed(report: &Report) {
    let (values, are) = match report.total.classic {
        0 => return,
        1 => ("1 value".to_owned(), "is"),
        values => (format!("{} values", thousands(values)), "are"),
    };
    output::hint(&format!(
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
    output::hint(&format!(
        "the mode is {mode}: anyone who can write to the store can put a plain value in the place of a sealed \
         one, and it is accepted; {when} (SECURITY.md)"
    ));
}

/// Prints the findings that fail the audit.
fn verdict(resources: &Resources, args: &AuditArgs, report: &Report) -> Ended {
    let total = &report.total;
    if args.require_clean && total.excepted.unsealed() > 0 {
        output::hint(&format!(
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
        version: args.require_version,
        names: args.require_names.map(|names| match names {
            NamesArg::Sealed => RequiredNames::Sealed {
                in_clear: resources
                    .configuration
                    .protected
                    .iter()
                    .any(|it| it.names.is_none() && it.pattern.has_wildcard()),
            },
            NamesArg::Plain => RequiredNames::Plain,
        }),
    };
    for finding in audit::findings(report, requirements) {
        output::error(&finding.text);
        output::hint(finding.hint);
        ended = Ended::Findings;
    }
    ended
}

/// Writes the requested files: all of them, or none.
fn write(
    resources: &Resources,
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
    resources.trail.add_detail("clean", report.clean);
    resources.trail.add_detail("values", report.total.total);
    resources.trail.add_detail("signed_by", signer.clone());
    for file in files {
        let path = file.keep()?;
        let shown = path.display();
        output::stderr_line(&match &signer {
            Some(signer) => format!("waxseal: wrote {shown}, signed by {signer}"),
            None => format!("waxseal: wrote {shown}, not signed: no keyring is configured"),
        });
    }
    Ok(())
}
