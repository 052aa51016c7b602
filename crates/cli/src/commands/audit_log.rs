//! `audit-log verify` and `show`: whether the audit log is whole, and what is in it. Needs its key, and
//! neither store nor keyring.

mod show;

use std::path::PathBuf;

use crate::args::{AuditLogCommand, Common};
use crate::audit_log::{self, Codes, Expected, Kind, Target, Verdict, state_of, state_seq};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{Ended, Failure};
use crate::output;

use show::Wanted;

pub(crate) fn run(common: &Common, command: &AuditLogCommand) -> Result<Ended, Failure> {
    let config = Config::read(common.config.as_deref())?;
    match command {
        AuditLogCommand::Verify {
            files,
            key,
            expect_last,
            syslog,
        } => {
            let codes = codes(key.as_deref(), &config, common)?;
            let noted = expect_last.as_deref().map(noted).transpose()?;
            let files = named(files, &config)?;
            verify(&files, &codes, *syslog, noted, common.json)
        }
        AuditLogCommand::Show {
            files,
            key,
            since,
            action,
        } => {
            let codes = codes(key.as_deref(), &config, common)?;
            let (since, action) = (since.as_deref(), action.as_deref());
            let wanted = Wanted { since, action };
            show::run(&named(files, &config)?, &codes, &wanted, common.json)
        }
    }
}

fn codes(key: Option<&str>, config: &Config, common: &Common) -> Result<Codes, Failure> {
    let (key, named_by) = match (key, &config.audit_log_key) {
        (Some(key), _) => (key, "--key"),
        (None, Some(key)) => (key.as_str(), "audit_log_key"),
        (None, None) => {
            return Err(Failure::usage("the key of the audit log is not known")
                .hint("name it with --key, or as audit_log_key in waxseal.toml"));
        }
    };
    let environment = Environment::read(common.env_file.as_deref())?;
    audit_log::codes(key, &environment, named_by)
}

fn verify(
    files: &[PathBuf],
    codes: &Codes,
    of_syslog: bool,
    noted: Option<Expected>,
    as_json: bool,
) -> Result<Ended, Failure> {
    let mut expected: Vec<_> = noted.into_iter().collect();
    // What was written last is known here, where this machine wrote it. It is looked at first: entries
    // that are written meanwhile are no fault.
    if let Some((seq, mac)) = files.last().and_then(|it| state_seq(&state_of(it), codes)) {
        expected.extend([Expected::Seq(seq), Expected::Mac(mac)]);
    }
    let verdict = audit_log::verify(files, codes, of_syslog, &expected);
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
    match as_json {
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
        .hint("write them to one, and add --syslog: docs/operate/audit-log.md")),
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
