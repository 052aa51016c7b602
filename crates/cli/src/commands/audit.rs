//! `audit`: counts what lies under each protected pattern, and writes nothing into the store. What it
//! counted is shown, and where that is asked for written as a signed report and as a page.

mod count;
pub(crate) mod file;
mod paper;
mod report;
mod show;
mod verify;

use waxseal_keys::{Ring, Signed};
use waxseal_page::report::{Report, Signature, page};
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use crate::args::{AuditArgs, AuditCommand, Common};
use crate::commands::unmatched;
use crate::output::{self, thousands};

use count::Counted;
use file::NewFile;
use paper::Paper;
use report::Pass;

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

/// Refuses what could not be written in the end, before anything is opened or counted.
pub(crate) fn check(resources: &Resources, args: &AuditArgs) -> Result<(), Failure> {
    if args.report.is_some() && !resources.configuration.has_keyring() {
        return Err(Failure::usage(
            "a report is signed with the key of a keyring, and no keyring is configured",
        )
        .hint(
            "waxseal keyring init makes one; name it with --keyring or in waxseal.toml. --html alone \
             and --json need none, and are not signed",
        ));
    }
    if let (Some(report), Some(html)) = (&args.report, &args.html)
        && file::is_same(report, html)
    {
        return Err(Failure::usage("--report and --html name the same file")
            .hint("the page holds the signed report as well: --html alone is enough"));
    }
    [&args.report, &args.html]
        .into_iter()
        .flatten()
        .try_for_each(|path| file::check(path, args.force))
}

pub(crate) async fn run(resources: &Resources, args: &AuditArgs) -> Result<Ended, Failure> {
    let began_ms = now_ms();
    let Counted { tallies, survey } = count::count(resources, args).await?;
    let pass = Pass {
        began_ms,
        ended_ms: now_ms(),
        deep: args.deep,
    };
    // The same for what is told about keys and for the signature, whatever becomes of it meanwhile.
    let ring = match resources.configuration.has_keyring() {
        true => Some(resources.opened_ring()?.ring.ring()),
        false => None,
    };
    let mut report = report::report(resources, ring.as_deref(), &pass, &tallies);
    report.unmatched.clone_from(&survey.unmatched);
    let is_inconclusive = report.is_inconclusive() || report.excepts_everything();
    report.clean = report.total.is_clean() && !is_inconclusive;
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
    Ok(verdict(args, &report))
}

/// Says that there is a better format than the one of the Node.js guide.
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

/// Says what an attacker can do whom no count shows, as long as plain values are accepted.
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

/// Says what fails the audit, if anything does.
fn verdict(args: &AuditArgs, report: &Report) -> Ended {
    let total = &report.total;
    if args.require_clean && total.excepted.unsealed() > 0 {
        output::hint(&format!(
            "{}: excepted records are plaintext by configuration and are not counted as plain",
            show::excepted(&total.excepted)
        ));
    }
    // Which pattern matches nothing was told.
    let mut ended = match args.require_clean && report.is_inconclusive() {
        true => Ended::Findings,
        false => Ended::Done,
    };
    let mut fail = |text: &str, advice: &str| {
        output::error(text);
        output::hint(advice);
        ended = Ended::Findings;
    };
    if args.require_clean && report.excepts_everything() {
        fail(
            "every record is excepted from its pattern: no new value is sealed",
            "narrow the excepts, or correct the pattern; waxseal doctor checks each except",
        );
    }
    if args.require_clean && total.plain > 0 {
        fail(
            "there is plaintext under a protected pattern",
            "waxseal migrate seals it",
        );
    }
    if args.require_clean && !total.other_types.is_empty() {
        fail(
            &format!("{} cannot be sealed", show::other_types(total)),
            "their values are stored as they are: keep such data in strings, hashes or lists, or under \
             names that no pattern protects",
        );
    }
    if args.require_clean && total.unseen > 0 {
        let text = match total.unseen {
            1 => "1 record could not be read, or not to its end".to_owned(),
            records => format!(
                "{} records could not be read, or not to their end",
                thousands(records)
            ),
        };
        fail(
            &text,
            "its values may be plain: the warnings above tell which it is, and why",
        );
    }
    if args.deep && total.unopenable > 0 {
        let text = match total.unopenable {
            1 => "1 value does not open".to_owned(),
            values => format!("{} values do not open", thousands(values)),
        };
        fail(
            &text,
            "waxseal inspect NAME tells why; damaged, moved, or under a key that is not configured",
        );
    }
    ended
}

/// Writes the files that were asked for: all of them, or none.
fn write(
    resources: &Resources,
    args: &AuditArgs,
    ring: Option<&Ring>,
    report: &Report,
) -> Result<(), Failure> {
    if args.report.is_none() && args.html.is_none() {
        return Ok(());
    }
    let signed = ring.map(|ring| Paper::of(report.clone()).signed(ring));
    let signer = signed.as_ref().map(Paper::signer);
    let json = signed.as_ref().map(Paper::to_json);
    let mut files = Vec::new();
    if let (Some(path), Some(signed)) = (&args.report, &signed) {
        files.push(NewFile::write(path, &signed.to_file(), args.force)?);
    }
    if let Some(path) = &args.html {
        let signature = signer.as_deref().zip(json.as_deref());
        let signature = signature.map(|(signer, json)| Signature { signer, json });
        files.push(NewFile::write(path, &page(report, signature), args.force)?);
    }
    resources.trail.add_detail("clean", report.clean);
    resources.trail.add_detail("values", report.total.total);
    resources.trail.add_detail("signed_by", signer.clone());
    for file in files {
        let shown = file.keep()?;
        output::stderr_line(&match &signer {
            Some(signer) => format!("waxseal: wrote {shown}, signed by {signer}"),
            None => format!("waxseal: wrote {shown}, not signed: no keyring is configured"),
        });
    }
    Ok(())
}
