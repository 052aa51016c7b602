//! `audit-log verify` and `show`: verifies the audit log, and prints its entries. Needs its key, but neither
//! store nor keyring.

mod show;

use std::path::PathBuf;

use waxseal_audit_log::{BreakKind, ChainKey, ExpectedEntry, Target, Verdict, last_written};
use waxseal_service::audit_log;
use waxseal_service::configuration::file::ConfigurationFile;
use waxseal_service::environment::Environment;
use waxseal_service::{Ended, Failure};

use crate::args::{AuditLogCommand, Common};
use crate::output;

use show::Filter;

/// The hint where a file of the audit log cannot be read.
const NAME_FILES: &str = "name the files of the audit log, the oldest first";

pub(crate) fn run(common: &Common, command: &AuditLogCommand) -> Result<Ended, Failure> {
    let config = ConfigurationFile::read(common.config.as_deref())?;
    match command {
        AuditLogCommand::Verify {
            files,
            key,
            expect_last,
            syslog,
        } => {
            let key = chain_key(key.as_deref(), &config, common)?;
            let expected = expect_last.as_deref().map(parse_expected).transpose()?;
            let files = files_or_configured(files, &config)?;
            verify(&files, &key, *syslog, expected, common.json)
        }
        AuditLogCommand::Show {
            files,
            key,
            since,
            action,
        } => {
            let key = chain_key(key.as_deref(), &config, common)?;
            let (since, action) = (since.as_deref(), action.as_deref());
            let filter = Filter { since, action };
            show::run(
                &files_or_configured(files, &config)?,
                &key,
                &filter,
                common.json,
            )
        }
    }
}

fn chain_key(
    key: Option<&str>,
    config: &ConfigurationFile,
    common: &Common,
) -> Result<ChainKey, Failure> {
    let (url, setting) = match (key, &config.audit_log_key) {
        (Some(url), _) => (url, "--key"),
        (None, Some(url)) => (url.as_str(), "audit_log_key"),
        (None, None) => {
            return Err(Failure::usage("the key of the audit log is not known")
                .hint("name it with --key, or as audit_log_key in waxseal.toml"));
        }
    };
    let environment = Environment::read(common.env_file.as_deref())?;
    audit_log::chain_key(url, &environment, setting)
}

fn verify(
    files: &[PathBuf],
    key: &ChainKey,
    is_syslog: bool,
    expected: Option<ExpectedEntry>,
    as_json: bool,
) -> Result<Ended, Failure> {
    let mut expected: Vec<_> = expected.into_iter().collect();
    // The state file is read before the log: entries that are written meanwhile are not faults.
    if let Some((seq, mac)) = files.last().and_then(|log| last_written(log, key)) {
        expected.extend([ExpectedEntry::Seq(seq), ExpectedEntry::Mac(mac)]);
    }
    let verdict = waxseal_audit_log::verify(files, key, is_syslog, &expected);
    let verdict = verdict.map_err(|error| Failure::failed(error).hint(NAME_FILES))?;
    if verdict.entries == 0 && verdict.unverified > 0 {
        return Err(
            Failure::failed("no entry of the audit log was written under this key")
                .hint("check --key or audit_log_key: it is the key that the log was written with"),
        );
    }
    match as_json {
        true => output::json(&verdict)?,
        false => print(&verdict, files.len())?,
    }
    Ok(match verdict.whole {
        true => Ended::Done,
        false => Ended::Findings,
    })
}

fn files_or_configured(
    files: &[PathBuf],
    config: &ConfigurationFile,
) -> Result<Vec<PathBuf>, Failure> {
    if !files.is_empty() {
        return Ok(files.to_vec());
    }
    let hint = "for example waxseal audit-log verify /var/log/waxseal/audit.jsonl";
    match audit_log::target(config)? {
        Some(Target::File(path)) => Ok(vec![path]),
        Some(Target::Syslog { .. }) => Err(Failure::usage(
            "the entries are in the system's log: name a file that holds them",
        )
        .hint("write them to one, and add --syslog: docs/operate/audit-log.md")),
        None => Err(Failure::usage("no audit log is named").hint(hint)),
    }
}

fn parse_expected(text: &str) -> Result<ExpectedEntry, Failure> {
    let is_mac = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_mac {
        return Ok(ExpectedEntry::Mac(text.to_ascii_lowercase()));
    }
    text.parse().map(ExpectedEntry::Seq).map_err(|_| {
        Failure::usage("--expect-last takes the number of an entry or its mac")
            .hint("as waxseal audit-log verify printed them")
    })
}

fn print(verdict: &Verdict, files: usize) -> Result<(), Failure> {
    let files = match files {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    let entries = match verdict.entries {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    };
    if let Some(broken) = &verdict.broken {
        let line = format!("{}, line {}", broken.file, broken.line);
        output::line(format!("broken: {}", description(broken.kind)))?;
        output::line(format!("first at {line}: {}", broken.text))?;
    } else {
        output::line(format!("whole: {entries} in {files}"))?;
    }
    if let (Some(first), Some(last), Some(mac)) =
        (verdict.first_seq, verdict.last_seq, &verdict.last_mac)
    {
        let whole = if verdict.whole { "" } else { "up to there: " };
        output::line(format!(
            "{whole}first seq {first}, last seq {last}, mac {mac}"
        ))?;
        if first > 1 && verdict.whole {
            output::line(format!(
                "entries 1 to {} are in older files: name them before this one",
                first - 1
            ))?;
        }
    }
    if verdict.whole {
        output::line("next: note the last seq and mac elsewhere, and give it with --expect-last")?;
    } else {
        output::hint("keep the files as they are, and find out who could write to them");
    }
    Ok(())
}

fn description(kind: BreakKind) -> &'static str {
    match kind {
        BreakKind::Changed => "a line was changed",
        BreakKind::Removed => "lines were removed",
        BreakKind::Inserted => "a line was inserted",
        BreakKind::Reordered => "lines are in another order",
        BreakKind::HalfLine => "the last line is incomplete",
        BreakKind::AnotherChain => "another chain",
        BreakKind::CutOff => "the end was cut off",
    }
}
