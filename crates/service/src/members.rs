//! The forms of members, as commands and processes find them: recorded in the keyring, so that the proxy looks members up in
//! one form where there is one ([`MemberForms`](waxseal_keys::MemberForms)), and taken back before another one is written.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_core::KeyId;
use waxseal_keys::{Change, LiveRing, MemberFinding, ProtectedScope};
use waxseal_sweep::Tally;
use waxseal_upkeep::member_finding;

use crate::configuration::protected::Protected;
use crate::resources::{Resources, scopes};
use crate::{Failure, notice};

/// The interval at which the reports of processes are read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Passes over protected records, from their beginning.
pub struct MemberPasses {
    began_ms: u64,
    key: Option<KeyId>,
}

impl MemberPasses {
    /// Passes that begin now.
    #[must_use]
    pub fn begin(resources: &Resources) -> Self {
        let live = resources.ring().map(|opened| &opened.ring);
        let writing = live.and_then(|live| live.ring().writing().map(|key| key.id));
        Self {
            began_ms: live.map_or(0, LiveRing::now_ms),
            key: writing,
        }
    }

    /// Records what they found, if they were complete. A failure is a warning: nothing depends on it.
    pub async fn record<'p>(
        &self,
        resources: &Resources,
        passes: impl Iterator<Item = (&'p Protected, &'p Tally)>,
    ) {
        let (Some(opened), Some(key)) = (resources.ring(), self.key) else {
            return;
        };
        let location = resources.configuration.store.location();
        let finding = |(protected, tally): (&Protected, &Tally)| {
            let scope = scopes::protected_scope(&location, protected);
            let elements = protected.deterministic_elements;
            member_finding(scope, key, self.began_ms, elements, tally)
        };
        let findings: Vec<MemberFinding> = passes.filter_map(finding).collect();
        if findings.is_empty() {
            return;
        }
        if let Err(error) = opened.ring.change(&Change::Members(findings)).await {
            notice::warning_with_hint(
                &format!("the keyring does not record in which forms members are: {error}"),
                "nothing else is wrong; the next audit, migration or rotation records it",
            );
        }
    }
}

/// Must come before members are written plain: takes back what the keyring has recorded of one form, and waits until the
/// processes that report know it.
pub async fn allow_several_forms(resources: &Resources) -> Result<(), Failure> {
    let Some(opened) = resources.ring() else {
        return Ok(());
    };
    let location = resources.configuration.store.location();
    let protected = resources.configuration.protected.iter();
    let scopes: Vec<ProtectedScope> = protected
        .map(|it| scopes::protected_scope(&location, it))
        .collect();
    let live = &opened.ring;
    let Some(version) = live.allow_several_forms(&scopes).await? else {
        return Ok(());
    };
    // Each process polls and reports once in an interval. One that does not is out of reach, and must not hold up others.
    let settings = live.ring().settings().clone();
    let deadline = Instant::now() + settings.refresh() * 3;
    while Instant::now() < deadline {
        let reports = live.reports().await?;
        if reports.all_know(version, live.now_ms(), &settings) {
            break;
        }
        sleep(POLL_INTERVAL.min(settings.refresh())).await;
    }
    Ok(())
}
