//! The passes over the records of a keyring: reseal everything under the sealing key, and count the values
//! under each key. An audit covers quarantine as well: a key that only a quarantined value needs is not destroyed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;
use waxseal_core::{EnvelopeRules, Format, KeyId, Mode, Sealer};
use waxseal_keys::rotation::Audit;
use waxseal_keys::{Change, MemberFinding, ProtectedScope};
use waxseal_stores::RecordPattern;
use waxseal_sweep::{
    AuditQuarantine, Class, Event, Keys, MemberCounts, NamesGoal, NamesPass, NamesScope, Position,
    RecordPass, Rotate, Stop, StoredVersion, Sweep, SweepOptions, Tally, Task,
};

use super::{Upkeep, user_key_scope};
use crate::error::UpkeepError;
use crate::scope::ScopeHandle;

/// The records that hold values in quarantine.
const QUARANTINE: &str = "waxseal:quarantine:*";
/// Findings of one pass that are logged one by one. Passes are repeated, and so are their findings.
const MAX_LOGGED_FINDINGS: u64 = 20;

impl Upkeep {
    /// Reseals everything under the sealing key, then counts the values under each key.
    pub async fn sweep(&self, stop: &Stop) -> Result<(Tally, Audit), UpkeepError> {
        let mut resealed = Tally::default();
        for scope in self.all_scopes() {
            let rotate = Arc::new(Rotate::new(scope.sealer.clone()));
            resealed.add(self.pass(&scope, rotate, false, stop).await?);
        }
        let mut audit = self.audit(stop).await?;
        for (&(class, _), group) in &resealed.groups {
            if let Class::Classic(id) | Class::Sealed(id) = class
                && id != self.ring.ring().sealing().id
            {
                *audit.resealed.entry(id.to_string()).or_default() += group.values;
            }
        }
        Ok((resealed, audit))
    }

    /// Counts the values under each key. Does not write to the records.
    pub async fn audit(&self, stop: &Stop) -> Result<Audit, UpkeepError> {
        let mut audit = Audit::begun(self.ring.now_ms());
        for (index, scope) in self.all_scopes().iter().enumerate() {
            let task = Arc::new(waxseal_sweep::Audit::new(scope.sealer.clone(), false));
            let key = self.ring.ring().writing().map(|writing| writing.id);
            let tally = self.pass(scope, task, true, stop).await?;
            if let Some(key) = key.filter(|_| index < self.scopes.len()) {
                let (of, elements) = (
                    scope.protected_scope(),
                    scope.sealer.has_deterministic_elements(),
                );
                let found = member_finding(of, key, audit.began_ms, elements, &tally);
                audit.members.extend(found);
            }
            // Waxseal's own records stay in version 2.
            if index < self.scopes.len() {
                count_by_version(&tally, &mut audit.versions);
            }
            audit.unseen += tally.unseen;
            audit.classic |= scope.sealer.written_format() == Format::Classic
                || tally.count(|class| matches!(class, Class::Classic(_))) > 0;
            audit.unreadable += count_by_key(&tally, &mut audit.values);
        }
        // Last: a value that is moved to quarantine meanwhile is counted twice rather than not at all.
        self.audit_quarantine(&mut audit, stop).await?;
        let mut audited: Vec<_> = self
            .scopes
            .iter()
            .map(ScopeHandle::protected_scope)
            .collect();
        audited.extend(self.user_keys.as_ref().map(user_key_scope));
        let ring = self.ring.ring();
        let (names, unread) = self.audit_names(ring.protected_scopes(), stop).await?;
        audit.names = names;
        audit.unseen += unread;
        if unread > 0 {
            // Values of their records may be in any form.
            audit.members.clear();
        }
        let is_audited = |scope: &&ProtectedScope| audited.iter().any(|it| it.is_same_as(scope));
        let scopes = ring.protected_scopes().iter();
        let uncovered = scopes.filter(|it| !is_audited(it));
        audit.uncovered = uncovered.map(ProtectedScope::bare).collect();
        Ok(audit)
    }

    /// Counts the names of records under each key, and the records whose values were not read since passes over values do not
    /// find them by their names. `None` if it is recorded that names are sealed which this process does not know to be.
    async fn audit_names(
        &self,
        recorded: &[ProtectedScope],
        stop: &Stop,
    ) -> Result<(Option<BTreeMap<String, u64>>, u64), UpkeepError> {
        let (mut by_key, mut unread) = (BTreeMap::new(), 0);
        for scope in &self.scopes {
            let Some(names) = &scope.names else {
                let of = scope.protected_scope();
                let mut recorded = recorded.iter().filter(|it| it.has_sealed_names());
                if recorded.any(|it| it.is_same_as(&of)) {
                    return Ok((None, unread));
                }
                continue;
            };
            let pass = NamesPass::new(
                names.stored.clone(),
                &names.table,
                NamesScope::Pattern(scope.pattern.clone()),
                NamesGoal::Count,
                self.ring.ring().mask().clone(),
                self.options.clone(),
            )?;
            let tally = self.run_pass(&pass, stop).await?;
            unread += tally.names.not_found();
            for (key, count) in tally.names.by_key() {
                *by_key.entry(key.to_string()).or_default() += count;
            }
        }
        Ok((Some(by_key), unread))
    }

    /// Records in the keyring what an audit of this process found of members.
    pub async fn record_members(&self, audit: &Audit) -> Result<(), UpkeepError> {
        if !audit.members.is_empty() {
            let change = Change::Members(audit.members.clone());
            self.ring.change(&change).await?;
        }
        Ok(())
    }

    /// Counts the values in quarantine, once in each store of protected records.
    async fn audit_quarantine(&self, audit: &mut Audit, stop: &Stop) -> Result<(), UpkeepError> {
        let mut counted = Vec::new();
        for scope in &self.scopes {
            let location = scope.store.location();
            if counted.contains(&location) {
                continue;
            }
            counted.push(location);
            let sealer = Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed);
            let quarantine = ScopeHandle {
                store: scope.store.clone(),
                pattern: RecordPattern::parse_own(QUARANTINE)?,
                sealer: sealer.clone(),
                users: None,
                names: None,
            };
            let task = Arc::new(AuditQuarantine::new(sealer));
            let tally = self.pass(&quarantine, task, true, stop).await?;
            // A value that could not be read may be under any key.
            audit.unseen += tally.unseen;
            audit.unreadable += count_by_key(&tally, &mut audit.quarantined);
        }
        Ok(())
    }

    /// The protected records, then Waxseal's own: the canary is resealed last.
    fn all_scopes(&self) -> Vec<ScopeHandle> {
        let internal = self.internal.iter().map(|(store, pattern)| ScopeHandle {
            store: store.clone(),
            pattern: pattern.clone(),
            // In version 2 whatever the ring says: former versions of Waxseal read them.
            sealer: Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed)
                .rules(EnvelopeRules::default())
                .accepting_all(),
            users: None,
            names: None,
        });
        self.scopes.iter().cloned().chain(internal).collect()
    }

    /// Runs a task over the records of one scope.
    async fn pass(
        &self,
        scope: &ScopeHandle,
        task: Arc<dyn Task>,
        dry_run: bool,
        stop: &Stop,
    ) -> Result<Tally, UpkeepError> {
        let sweep = Sweep {
            store: scope.store.clone(),
            pattern: scope.pattern.clone(),
            task,
            mask: self.ring.ring().mask().clone(),
            keys: Keys {
                ring: Some(self.ring.clone()),
                users: scope.users.clone(),
            },
            options: SweepOptions {
                dry_run,
                ..self.options.clone()
            },
        };
        self.run_pass(&sweep, stop).await
    }

    /// Runs a pass to its end, and logs its findings.
    async fn run_pass(&self, pass: &dyn RecordPass, stop: &Stop) -> Result<Tally, UpkeepError> {
        let mut findings = 0u64;
        let mut watch = |event: Event<'_>| {
            if let Event::Finding(finding) = event {
                findings += 1;
                if findings <= MAX_LOGGED_FINDINGS {
                    warn!(record = %finding.record, cause = %finding.cause, "skipped");
                }
            }
        };
        let report = pass.run(Position::default(), stop, &mut watch).await;
        if findings > MAX_LOGGED_FINDINGS {
            let more = findings - MAX_LOGGED_FINDINGS;
            warn!("{more} more records were skipped: waxseal audit counts them");
        }
        let report = report.map_err(|interrupted| interrupted.error)?;
        if !report.complete {
            return Err(UpkeepError::Stopped);
        }
        Ok(report.position.counts())
    }
}

/// What a complete pass over a scope that began at this time, under this index key, found of members; `None` if it found
/// none, or could not read all records.
#[must_use]
pub fn member_finding(
    scope: ProtectedScope,
    key: KeyId,
    began_ms: u64,
    elements: bool,
    tally: &Tally,
) -> Option<MemberFinding> {
    let in_one_form = match tally.members {
        MemberCounts { other: 1.., .. } => false,
        MemberCounts { written: 1.., .. } if tally.unseen == 0 => true,
        _ => return None,
    };
    Some(MemberFinding {
        scope,
        key,
        began_ms,
        elements,
        in_one_form,
    })
}

/// Adds the values by the version of what is stored: all versions, since an audit without any counted none.
fn count_by_version(tally: &Tally, by_version: &mut BTreeMap<String, u64>) {
    for version in StoredVersion::ALL {
        let values = tally.versions.get(&version).copied().unwrap_or_default();
        *by_version.entry(version.as_str().to_owned()).or_default() += values;
    }
}

/// Adds the values under each key of the ring to `by_key`, and returns the number of values that do not open.
fn count_by_key(tally: &Tally, by_key: &mut BTreeMap<String, u64>) -> u64 {
    let mut unopenable = 0;
    for (&(class, _), group) in &tally.groups {
        match class {
            Class::Classic(id) | Class::Sealed(id) | Class::UnknownKey(id) => {
                *by_key.entry(id.to_string()).or_default() += group.values;
            }
            Class::Unopenable => unopenable += group.values,
            Class::Empty | Class::Plain | Class::OfUser | Class::Erased => {}
        }
    }
    unopenable
}
