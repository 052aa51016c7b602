//! Several users from a list, each with a receipt in a directory. A run that was interrupted is repeated: users who have
//! a receipt there and nothing left are skipped. Users are named by their lines only.

use std::path::{Path, PathBuf};

use serde::Serialize;
use waxseal_upkeep::{ListedUser, ReceiptDirectory, Traces, read_user_list};

use super::{Eraser, TraceSummary, receipt_not_written};
use crate::resources::Resources;
use crate::{Ended, Failure, recorded};

/// The options of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions {
    /// True if nothing is changed.
    pub dry_run: bool,
    /// True if unknown users get receipts as well.
    pub even_if_unknown: bool,
}

/// The result for one user.
#[derive(Debug, Serialize)]
pub struct UserReport {
    /// The line of the user in the list.
    pub line: usize,
    /// What was done.
    pub result: Outcome,
    /// The path of the receipt, if there is one.
    pub receipt: Option<PathBuf>,
    /// The number of records that were deleted.
    pub records_deleted: Option<u64>,
    /// The traces of the user, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<TraceSummary>,
}

/// What was done about one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The user was erased.
    Erased,
    /// The user was erased by an earlier run, which wrote the receipt.
    AlreadyErased,
    /// There is no trace of the user: nothing was done.
    Unknown,
    /// The result in a dry run.
    WouldBeErased,
}

/// The results of a run.
pub struct ListReport {
    /// The number of users in the list.
    pub users: usize,
    /// The results, up to where the run ended.
    pub lines: Vec<UserReport>,
    /// The failure that ended the run before the end of the list.
    pub failure: Option<Failure>,
}

impl ListReport {
    /// The number of users with this result.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.lines_with(outcome).count()
    }

    /// The lines of users with this result.
    pub fn lines_with(&self, outcome: Outcome) -> impl Iterator<Item = usize> {
        let lines = self.lines.iter().filter(move |it| it.result == outcome);
        lines.map(|it| it.line)
    }
}

/// A list of users, and what is needed to erase them.
pub struct ListErasure<'r> {
    resources: &'r Resources,
    eraser: Eraser<'r>,
    users: Vec<ListedUser>,
    directory: Option<ReceiptDirectory>,
    options: ListOptions,
}

impl<'r> ListErasure<'r> {
    /// Reads the list, and checks before anyone is erased that receipts can be written.
    pub async fn open(
        resources: &'r Resources,
        list: &Path,
        receipts: Option<&Path>,
        options: ListOptions,
    ) -> Result<Self, Failure> {
        let directory = receipts.map(ReceiptDirectory::at);
        if directory.is_none() && !options.dry_run {
            return Err(Failure::usage(
                "the receipts of several users are files, and no directory is named",
            )
            .hint("name one: --receipts DIRECTORY; it is created if it does not exist"));
        }
        let users = read_user_list(list)?;
        if let Some(directory) = directory.as_ref().filter(|_| !options.dry_run) {
            directory.prepare()?;
        }
        Ok(Self {
            resources,
            eraser: Eraser::open(resources).await?,
            users,
            directory,
            options,
        })
    }

    /// Erases the users in their order, and passes each result to `report`. Ends with the first failure.
    pub async fn run(
        &self,
        mut report: impl FnMut(&UserReport) -> Result<(), Failure>,
    ) -> Result<ListReport, Failure> {
        let mut done = ListReport {
            users: self.users.len(),
            lines: Vec::with_capacity(self.users.len()),
            failure: None,
        };
        for user in &self.users {
            match self.erase(user).await {
                Ok(line) => {
                    report(&line)?;
                    done.lines.push(line);
                }
                Err(failure) => {
                    done.failure = Some(interrupted(failure, user));
                    break;
                }
            }
        }
        Ok(done)
    }

    async fn erase(&self, listed: &ListedUser) -> Result<UserReport, Failure> {
        let traces = self.eraser.traces(&listed.user).await?;
        let report = |result, receipt, records_deleted| UserReport {
            line: listed.line,
            result,
            receipt,
            records_deleted,
            found: self.options.dry_run.then(|| TraceSummary::from(&traces)),
        };
        if traces.is_unknown() && !self.options.even_if_unknown {
            return Ok(report(Outcome::Unknown, None, None));
        }
        if let Some(path) = self.receipt(listed, &traces)? {
            return Ok(report(Outcome::AlreadyErased, Some(path), None));
        }
        let (Some(directory), false) = (&self.directory, self.options.dry_run) else {
            return Ok(report(Outcome::WouldBeErased, None, None));
        };
        let mut written = None;
        let erase = async {
            let receipt = self.eraser.erase(&listed.user).await?;
            let ring = self.resources.opened_ring()?.ring.ring();
            let path = directory.write(&ring, &receipt);
            let path = path.map_err(|error| receipt_not_written(&error.into()))?;
            written = Some((path, receipt.records_deleted));
            Ok(Ended::Done)
        };
        let operation = recorded::forget(self.resources).with("line", listed.line as u64);
        let trail = &self.resources.trail;
        trail.record_operation(Some(operation), erase).await?;
        let (path, records) = written.unzip();
        Ok(report(Outcome::Erased, path, records))
    }

    /// Returns the receipt of an earlier run for a user of whom nothing has been left since.
    fn receipt(&self, listed: &ListedUser, traces: &Traces) -> Result<Option<PathBuf>, Failure> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        let ring = self.resources.opened_ring()?.ring.ring();
        Ok(directory.find(&ring, &listed.user, traces)?)
    }
}

/// The failure that ends a run at this user.
fn interrupted(failure: Failure, at: &ListedUser) -> Failure {
    let advice = failure.advice().map(|it| format!("{it}; "));
    let advice = advice.unwrap_or_default();
    let advice =
        format!("{advice}what was done stays: the same command continues where this one stopped");
    failure.named(&format!("line {}", at.line)).hint(advice)
}
