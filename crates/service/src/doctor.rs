//! Doctor's checks of what usually goes wrong. Each finding is ok, a warning or a problem, with what to do
//! about it. Nothing is written to the store, and a problem does not end the checks that are still possible.

mod certificates;
mod channels;
pub mod excepts;
mod format;
mod guard;
mod host;
mod keyring;
mod limits;
mod names;
mod overlaps;
mod positions;
mod reach;
mod scripts;
mod store;
mod versions;

use serde::Serialize;
use waxseal_page::status;

use crate::Failure;
use crate::configuration::Flags;
use crate::resources::{Resources, key_hint};

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing to do.
    Ok,
    /// Something that may go wrong, or that is weaker than it could be.
    Warning,
    /// Something that is wrong.
    Problem,
}

impl Grade {
    /// The grade as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// The finding of one check.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The grade.
    pub grade: Grade,
    /// The name of the check.
    pub check: &'static str,
    /// The finding, in words.
    pub found: String,
    /// The hint.
    pub advice: Option<String>,
}

/// The findings so far.
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

    /// Nothing is wrong, and something could be better.
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

/// Runs every check, from the configuration on.
pub async fn run(flags: &Flags) -> Vec<Finding> {
    let mut findings = Findings::default();
    host::check(&mut findings);
    match Resources::read(flags) {
        Ok(mut resources) => {
            keyring::open(&mut resources, &mut findings).await;
            keyring::check(&resources, keyring::Custodians::Contacted, &mut findings).await;
            check_configured(&resources, store::Commands::Tried, &mut findings).await;
            limits::check(&resources, &mut findings).await;
        }
        Err(failure) => {
            let failure = key_hint::complete(flags, failure).await;
            findings.failure("configuration", &failure);
        }
    }
    findings.0
}

/// Runs the checks from inside a process that has everything open, for its status page. Custodians are not
/// contacted: each request costs money or an attempt, and a running process does not need them.
pub async fn diagnose(resources: &Resources) -> Vec<status::Finding> {
    let mut findings = Findings::default();
    host::check(&mut findings);
    keyring::check(resources, keyring::Custodians::NotContacted, &mut findings).await;
    // The server would log each attempt of a user to send a command that is denied.
    check_configured(resources, store::Commands::NotTried, &mut findings).await;
    let finding = |finding: Finding| status::Finding {
        grade: finding.grade.as_str(),
        check: finding.check.to_owned(),
        found: finding.found,
        advice: finding.advice,
    };
    findings.0.into_iter().map(finding).collect()
}

/// The checks of the configuration and of the store.
async fn check_configured(
    resources: &Resources,
    commands: store::Commands,
    findings: &mut Findings,
) {
    host::check_configuration(resources, findings).await;
    overlaps::check(resources, findings);
    format::check(resources, findings);
    versions::check(resources, findings).await;
    scripts::check(resources, findings);
    channels::check(resources, findings);
    certificates::check(resources, findings);
    store::check(resources, commands, findings).await;
}
