//! `audit-log verify`: whether the audit log is whole. Needs its key, and neither store nor keyring.

use std::path::PathBuf;

use crate::args::{AuditLogCommand, Common};
use crate::audit_log::{self, Expected, Kind, Target, Verdict, state_of, state_seq};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{Ended, Failure};
use crate::output;

pub(crate) fn run(common: &Common, command: &AuditLogCommand) -> Result<Ended, Failure> {
    let AuditLogCommand::Verify {
        files,
        key,
        expect_last,
        syslog,
    } = command;
    let config = Config::read(common.config.as_deref())?;
    let (key, named_by) = match (key, &config.audit_log_key) {
        (Some(key), _) => (key, "--key"),
        (None, Some(key)) => (key, "audit_log_key"),
        (None, None) => {
            return Err(Failure::usage("the key of the audit log is not known")
                .hint("name it with --key, or as audit_log_key in waxseal.toml"));
        }
    };
    let codes = audit_log::codes(key, &Environment::read()?, named_by)?;
    let files = named(files, &config)?;
    let mut expected = Vec::new();
    if let Some(text) = expect_last {
        expected.push(noted(text)?);
    }
    // What was written last is known here, where this machine wrote it.
    if let Some((seq, mac)) = files.last().and_then(|it| state_seq(&state_of(it), &codes)) {
        expected.extend([Expected::Seq(seq), Expected::Mac(mac)]);
    }
    let verdict = audit_log::verify(&files, &codes, *syslog, &expected);
    let verdict = verdict.map_err(|(path, error)| {
        Failure::failed(format!("{} cannot be read: {error}", path.display()))
            .hint("name the files of the audit log, the oldest first")
    })?;
    if verdict.entries == 0 && verdict.strange > 0 {
        return Err(
            Failure::failed("no entry of the audit log was made under this key")
                .hint("check --key or audit_log_key: it is the key that the log was written with"),
        );
    }
    match common.json {
        true => output::json(&verdict)?,
        false => print(&verdict, files.len())?,
    }
    Ok(match verdict.whole {
        true => Ended::Done,
        false => Ended::Findings,
    })
}

fn named(files: &[PathBuf], config: &Config) -> Result<Vec<PathBuf>, Failure> {
    if !files.is_empty() {
        return Ok(files.to_vec());
    }
    let hint = "for example waxseal audit-log verify /var/log/waxseal/audit.jsonl";
    match audit_log::target(config)? {
        Some(Target::File(path)) => Ok(vec![path]),
        Some(Target::Syslog { .. }) => Err(Failure::usage(
            "the entries are in the system's log: name a file that holds them",
        )
        .hint("write them to one, and add --syslog: docs/audit-log.md")),
        None => Err(Failure::usage("no audit log is named").hint(hint)),
    }
}

fn noted(text: &str) -> Result<Expected, Failure> {
    let is_mac = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_mac {
        return Ok(Expected::Mac(text.to_ascii_lowercase()));
    }
    text.parse().map(Expected::Seq).map_err(|_| {
        Failure::usage("--expect-last takes the number of an entry or its mac")
            .hint("as waxseal audit-log verify printed them")
    })
}

fn print(verdict: &Verdict, files: usize) -> Result<(), Failure> {
    let files = match files {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    if let Some(broken) = &verdict.broken {
        let place = format!("{}, line {}", broken.file, broken.line);
        output::line(format!("broken: {}", word(broken.kind)))?;
        output::line(format!("first at {place}: {}", broken.text))?;
    } else {
        output::line(format!("whole: {} entries in {files}", verdict.entries))?;
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
        output::advise("keep the files as they are, and find out who could write to them");
    }
    Ok(())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Changed => "a line was changed",
        Kind::Removed => "lines were removed",
        Kind::Inserted => "a line was inserted",
        Kind::Reordered => "lines stand in another order",
        Kind::HalfLine => "the last line is half",
        Kind::AnotherChain => "another chain",
        Kind::CutOff => "the end was cut off",
    }
}
