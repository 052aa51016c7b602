//! `doctor`: checks what usually goes wrong, one line each: ok, warning or problem, with what to do
//! about it. It writes nothing to the store, and goes on after a problem as far as it can.

mod certificates;
pub(crate) mod excepts;
mod format;
mod guard;
mod host;
mod keyring;
mod limits;
mod overlaps;
mod reach;
mod scripts;
mod store;

use serde::Serialize;
use waxseal_page::status::Finding as Seen;

use crate::args::Common;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::{Setup, advise};

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    Warning,
    Problem,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

#[derive(Serialize)]
struct Finding {
    grade: Grade,
    check: &'static str,
    found: String,
    advice: Option<String>,
}

/// What has been found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding {
            grade: Grade::Ok,
            check,
            found: found.into(),
            advice: None,
        });
    }

    /// All is well, and something can be better.
    fn recommend(&mut self, check: &'static str, found: impl Into<String>, advice: &str) {
        self.ok(check, found);
        if let Some(finding) = self.0.last_mut() {
            finding.advice = Some(advice.to_owned());
        }
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, advice: &str) {
        let advice = Some(advice.to_owned());
        self.0.push(Finding {
            grade: Grade::Warning,
            check,
            found: found.into(),
            advice,
        });
    }

    fn problem(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let advice = Some(advice.into()).filter(|advice| !advice.is_empty());
        self.0.push(Finding {
            grade: Grade::Problem,
            check,
            found: found.into(),
            advice,
        });
    }

    fn failure(&mut self, check: &'static str, failure: &Failure) {
        self.problem(check, failure.text(), failure.advice().unwrap_or_default());
    }
}

pub(crate) async fn run(common: &Common) -> Result<Ended, Failure> {
    let mut findings = Findings::default();
    host::check(&mut findings);
    match Setup::read(common) {
        Ok(mut setup) => {
            keyring::open(&mut setup, &mut findings).await;
            keyring::check(&setup, keyring::Ask::Custodians, &mut findings).await;
            host::check_configuration(&setup, &mut findings).await;
            overlaps::check(&setup, &mut findings);
            format::check(&setup, &mut findings);
            scripts::check(&setup, &mut findings);
            certificates::check(&setup, &mut findings);
            store::check(&setup, store::Commands::Tried, &mut findings).await;
            limits::check(&setup, &mut findings).await;
        }
        Err(failure) => findings.failure("configuration", &advise(common, failure).await),
    }
    let problems = findings
        .0
        .iter()
        .any(|finding| finding.grade == Grade::Problem);
    if common.json {
        output::json(&findings.0)?;
    } else {
        for finding in &findings.0 {
            print(finding)?;
        }
    }
    Ok(if problems {
        Ended::Findings
    } else {
        Ended::Done
    })
}

/// The same from inside a process that has everything open, for its status page. Custodians are not
/// asked: each question costs money or a try, and what runs needs none of them.
pub(crate) async fn look_around(setup: &Setup) -> Vec<Seen> {
    let mut findings = Findings::default();
    host::check(&mut findings);
    keyring::check(setup, keyring::Ask::Nobody, &mut findings).await;
    host::check_configuration(setup, &mut findings).await;
    overlaps::check(setup, &mut findings);
    format::check(setup, &mut findings);
    scripts::check(setup, &mut findings);
    certificates::check(setup, &mut findings);
    // A user who may not send a command would be logged by the server each time.
    store::check(setup, store::Commands::NotTried, &mut findings).await;
    let seen = |finding: Finding| Seen {
        grade: finding.grade.word(),
        check: finding.check.to_owned(),
        found: finding.found,
        advice: finding.advice,
    };
    findings.0.into_iter().map(seen).collect()
}

fn print(finding: &Finding) -> Result<(), Failure> {
    let grade = finding.grade.word();
    output::line(format!(
        "{grade:<8} {:<14} {}",
        finding.check, finding.found
    ))?;
    if let Some(advice) = &finding.advice {
        output::line(format!("{:<8} {:<14} -> {advice}", "", ""))?;
    }
    Ok(())
}
