//! `doctor`: prints what the checks of `waxseal-service` find.

use waxseal_service::doctor::{self, Finding, Grade};
use waxseal_service::{Ended, Failure};

use crate::args::Common;
use crate::output;

pub(crate) async fn run(common: &Common) -> Result<Ended, Failure> {
    let findings = doctor::run(&common.flags()).await;
    if common.json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            print(finding)?;
        }
    }
    let has_problem = findings.iter().any(|it| it.grade == Grade::Problem);
    Ok(match has_problem {
        true => Ended::Findings,
        false => Ended::Done,
    })
}

fn print(finding: &Finding) -> Result<(), Failure> {
    let grade = finding.grade.as_str();
    output::line(format!(
        "{grade:<8} {:<14} {}",
        finding.check, finding.found
    ))?;
    if let Some(advice) = &finding.advice {
        output::line(format!("{:<8} {:<14} -> {advice}", "", ""))?;
    }
    Ok(())
}
