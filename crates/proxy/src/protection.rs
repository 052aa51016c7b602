//! The protected records: their patterns, a sealer for each, and the sources of keys that are not at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use waxseal_core::{Group, Kind, NameMask, Sealer};
use waxseal_keys::{LiveRing, UserKeys};
use waxseal_metrics::OwnWork;
use waxseal_named::{NameTable, NameView};
use waxseal_policy::{PatternId, ProtectedNames, RecordPattern, Scope};

use crate::computations::Computations;
use crate::decoys::{Alarm, Decoys};
use crate::dropped::{DropReason, DroppedMessages};
use crate::keys::RejectedKeys;
use crate::meters::Meters;
use crate::misplaced::MisplacedValues;
use crate::refusals::{ClientLabel, Refusals, RefusedRequest};
use crate::scripts::ScriptCache;
use crate::server_limits::{ServerLimits, ServerSettings};

/// The protected records, and everything that requests and replies about them need.
pub struct Protection {
    names: ProtectedNames,
    /// The names that are stored sealed, if some are.
    table: Option<NameTable>,
    sealers: Vec<Sealer>,
    /// For each pattern, the sealer for names that are excepted from it: it writes plain values and opens sealed ones.
    excepted: Vec<Sealer>,
    mask: NameMask,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
    /// For each pattern, true if its records are under keys of single users.
    per_user: Vec<bool>,
    rejected_keys: RejectedKeys,
    decoys: Option<Decoys>,
    misplaced: MisplacedValues,
    /// For each pattern, true once a plain member was read: there may be more, whatever the keyring has recorded.
    plain_members: Vec<AtomicBool>,
    dropped: DroppedMessages,
    scripts: ScriptCache,
    computations: Arc<Computations>,
    meters: Option<Arc<Meters>>,
    server_limits: ServerLimits,
    refusals: Arc<Refusals>,
    /// The patterns are flags of the command line.
    is_typed: bool,
    trial: Option<Trial>,
}

/// A trial: everything is forwarded, and what would be refused is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The names of records on which commands would be refused are kept for the report.
    pub keeps_names: bool,
}

/// A pattern whose records cannot be under keys of single users: it names no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record pattern \"{0}\" has no {{user}}: its records cannot be under users' own keys")]
pub struct NamesNoUser(pub String);

impl Protection {
    /// Patterns in the order in which they are tried, each with the sealer of its records; and the mask for record names
    /// in the log.
    #[must_use]
    pub fn new(protected: Vec<(RecordPattern, Sealer)>, mask: NameMask) -> Self {
        let (patterns, sealers): (Vec<_>, Vec<_>) = protected.into_iter().unzip();
        let misplaced = MisplacedValues::new(patterns.len());
        let plain_members = patterns.iter().map(|_| AtomicBool::default()).collect();
        let protection = Self {
            names: ProtectedNames::new(patterns),
            table: None,
            per_user: vec![false; sealers.len()],
            excepted: sealers
                .iter()
                .map(|sealer| sealer.clone().writing_plain())
                .collect(),
            sealers,
            mask,
            ring: None,
            users: None,
            rejected_keys: RejectedKeys::default(),
            decoys: None,
            misplaced,
            plain_members,
            dropped: DroppedMessages::new(0),
            scripts: ScriptCache::default(),
            computations: Arc::default(),
            meters: None,
            server_limits: ServerLimits::default(),
            refusals: Arc::default(),
            is_typed: false,
            trial: None,
        };
        protection.with_scopes()
    }

    /// The same with the scopes of the patterns as their sealers and users' keys have them.
    fn with_scopes(mut self) -> Self {
        let groups: Vec<Option<Group>> = self.sealers.iter().map(sealing_group).collect();
        let scope = |index: usize| {
            let group = groups.get(index).cloned().flatten();
            // The index of the first pattern of the group is its number.
            let first = groups.iter().position(|other| *other == group);
            Scope {
                group: group.and_then(|_| u32::try_from(first?).ok()),
                per_user: self.per_user.get(index).copied().unwrap_or_default(),
                deterministic_elements: self
                    .sealers
                    .get(index)
                    .is_some_and(Sealer::has_deterministic_elements),
            }
        };
        self.names = std::mem::take(&mut self.names).with_scopes(scope);
        self
    }

    /// The same, recording refused requests there. With `is_typed` the patterns are flags of the command line, and remedies
    /// are given as flags, too.
    #[must_use]
    pub fn record_refusals(mut self, refusals: Arc<Refusals>, is_typed: bool) -> Self {
        self.refusals = refusals;
        self.is_typed = is_typed;
        self
    }

    /// The same as a trial: requests are forwarded unchanged, whatever the policy would do with them.
    #[must_use]
    pub fn trial(mut self, trial: Option<Trial>) -> Self {
        self.trial = trial;
        self
    }

    /// The same, allowing clients to write and delete records of Waxseal's own, under `waxseal:`.
    #[must_use]
    pub fn allow_own_writes(mut self, allow: bool) -> Self {
        self.names = self.names.allow_own_writes(allow);
        self
    }

    /// The same with the messages in these channels protected: patterns, each with the sealer of its messages, whose group
    /// they are bound to. Their indexes follow those of the records.
    #[must_use]
    pub fn channels(mut self, protected: Vec<(RecordPattern, Sealer)>) -> Self {
        let (patterns, sealers): (Vec<_>, Vec<_>) = protected.into_iter().unzip();
        self.names = self.names.channels(patterns);
        self.per_user.extend(sealers.iter().map(|_| false));
        let excepted = sealers.iter().map(|sealer| sealer.clone().writing_plain());
        self.excepted.extend(excepted);
        self.sealers.extend(sealers);
        self.misplaced = MisplacedValues::new(self.sealers.len());
        self.dropped = DroppedMessages::new(self.sealers.len());
        self
    }

    /// The same with the names of records stored as this table has them. It must have been made of the same patterns, in the
    /// same order.
    #[must_use]
    pub fn name_table(mut self, table: NameTable) -> Self {
        let of_table = table.protected();
        let managed: Vec<bool> = of_table
            .iter()
            .map(|(id, _)| of_table.is_managed(id))
            .collect();
        let is_managed = |index: usize| managed.get(index).copied().unwrap_or_default();
        self.names = self.names.with_managed_names(is_managed);
        self.table = Some(table);
        self
    }

    /// The same with unknown scripts and functions forwarded for the records of the patterns at whose index `forwards`
    /// returns true. Known scripts run as for all others.
    #[must_use]
    pub fn forward_scripts(mut self, forwards: impl Fn(usize) -> bool) -> Self {
        self.names = self.names.forward_scripts(forwards);
        self
    }

    /// The same, asking this ring for keys that values name and sealers do not have, and for confirmation that values may
    /// still be sealed. The sealers must use its keyring, which they follow without further calls.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// The same with the values of some patterns under keys of single users: those at whose index `per_user` returns
    /// true. All other patterns are unchanged.
    pub fn user_keys(
        mut self,
        users: UserKeys,
        per_user: impl Fn(usize) -> bool,
    ) -> Result<Self, NamesNoUser> {
        for (id, pattern) in self.names.iter() {
            let chosen = per_user(id.index());
            if chosen && !pattern.names_user() {
                return Err(NamesNoUser(pattern.as_str().to_owned()));
            }
            if let Some(is_per_user) = self.per_user.get_mut(id.index()) {
                *is_per_user = chosen;
            }
        }
        self.users = Some(users);
        Ok(self.with_scopes())
    }

    /// The same with these records as decoys, by their whole names: `alarm` is called when the value of one is opened for a
    /// client. A decoy that matches no pattern is never opened.
    #[must_use]
    pub fn decoys(mut self, names: impl IntoIterator<Item = Vec<u8>>, alarm: Alarm) -> Self {
        self.decoys = Decoys::new(names, alarm);
        self
    }

    /// The same, counted by these meters, which must have the same patterns.
    #[must_use]
    pub fn meters(mut self, meters: Arc<Meters>) -> Self {
        self.meters = Some(meters);
        self
    }

    /// The patterns.
    #[must_use]
    pub fn names(&self) -> &ProtectedNames {
        &self.names
    }

    /// How names are stored, with the keys as they are now; `None` if all are stored as they are. In a trial nothing is sealed.
    pub(crate) fn name_view(&self) -> Option<NameView> {
        let table = self.table.as_ref().filter(|_| !self.is_trial());
        table.map(NameTable::view)
    }

    /// The sealer of a pattern's records; for an excepted name, one that writes plain values and opens sealed ones. `None`
    /// for an id of another set of patterns.
    pub(crate) fn sealer(&self, pattern: PatternId) -> Option<&Sealer> {
        let sealers = match pattern.is_excepted() {
            true => &self.excepted,
            false => &self.sealers,
        };
        sealers.get(pattern.index())
    }

    /// True if keys can be fetched while a request or reply waits for them.
    #[inline]
    pub(crate) fn follows_keys(&self) -> bool {
        self.ring.is_some() || self.users.is_some()
    }

    /// The decoys, if there are any.
    #[inline]
    pub(crate) fn active_decoys(&self) -> Option<&Decoys> {
        self.decoys.as_ref()
    }

    /// Warns that a plain value of this kind was read from a record or channel of this pattern, whose values are sealed.
    pub(crate) fn plain_value_read(&self, pattern: PatternId, kind: Kind) {
        if matches!(kind, Kind::Member | Kind::ListElement)
            && let Some(plain_members) = self.plain_members.get(pattern.index())
        {
            plain_members.store(true, Ordering::Relaxed);
        }
        self.misplaced.warn_of_plain(pattern, kind, &self.names);
    }

    /// True if values of this kind, which are found by their bytes, may be stored in another form than this sealer of the
    /// pattern writes.
    pub(crate) fn has_other_forms(&self, sealer: &Sealer, pattern: PatternId, kind: Kind) -> bool {
        let plain_members = self.plain_members.get(pattern.index());
        sealer.has_other_forms(kind) || plain_members.is_some_and(|it| it.load(Ordering::Relaxed))
    }

    /// Counts and logs a message that a client does not get.
    pub(crate) fn message_dropped(
        &self,
        pattern: PatternId,
        channel: &[u8],
        reason: DropReason,
        client: &ClientLabel,
    ) {
        if let Some(meters) = self.metered() {
            meters.message_dropped(pattern, reason);
        }
        let shown = self.names.pattern(pattern).shown();
        let channel = || self.show(pattern, channel);
        self.dropped
            .record((pattern.index(), shown), channel, reason, client);
    }

    /// Warns if a value that a client writes to a record of this pattern is an envelope already. `opens` tries our keys on
    /// it.
    pub(crate) fn check_for_envelope(
        &self,
        value: &[u8],
        pattern: PatternId,
        opens: impl FnOnce() -> bool,
    ) {
        if !self.misplaced.detect_envelope(value, pattern, opens) {
            return;
        }
        if let Some(meters) = self.metered() {
            meters.values.sealed_twice(pattern.index());
        }
        let sealer = self.sealer(pattern);
        let seals = sealer.is_some_and(|sealer| sealer.mode().seals());
        self.misplaced.warn_of_envelope(pattern, &self.names, seals);
    }

    /// Counts a script that is forwarded to the server.
    pub(crate) fn script_forwarded(&self, command: &'static str) {
        self.misplaced.script();
        if let Some(meters) = self.metered() {
            meters.traffic.script_forwarded(command);
        }
    }

    /// Counts a request that is carried out with requests of the proxy's own.
    pub(crate) fn carried_out(&self, work: OwnWork) {
        if let Some(meters) = self.metered() {
            meters.traffic.carried_out(work);
        }
    }

    /// Counts an attempt at one that changed nothing, because what had been read was changed.
    pub(crate) fn retried(&self, work: OwnWork) {
        if let Some(meters) = self.metered() {
            meters.traffic.retried(work);
        }
    }

    /// The record of refused requests.
    pub(crate) fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// Records and counts a request that was refused, or would have been, and logs it unless that was done recently.
    pub(crate) fn refused(&self, request: RefusedRequest<'_>) {
        if let Some(meters) = self.metered() {
            let pattern = request.pattern.map(|(id, _)| id);
            meters.refused(
                request.command,
                request.reason,
                pattern,
                request.is_forwarded,
            );
        }
        if let Some(line) = self.refusals.record(request, Instant::now()) {
            line.log();
        }
    }

    /// True if the patterns are flags of the command line.
    pub(crate) fn is_typed(&self) -> bool {
        self.is_typed
    }

    /// True in a trial, which forwards everything.
    #[inline]
    pub(crate) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// True if the names of records are kept.
    pub(crate) fn keeps_names(&self) -> bool {
        self.trial.is_some_and(|trial| trial.keeps_names)
    }

    /// The scripts whose texts have passed.
    pub(crate) fn scripts(&self) -> &ScriptCache {
        &self.scripts
    }

    /// The records on which commands compute.
    pub(crate) fn computations(&self) -> &Arc<Computations> {
        &self.computations
    }

    /// The meters, if anything is counted.
    #[inline]
    pub(crate) fn metered(&self) -> Option<&Arc<Meters>> {
        self.meters.as_ref()
    }

    /// Updates the server's limits, which are respected from here on.
    pub fn update_server_limits(&self, settings: &ServerSettings) {
        self.server_limits.update(settings);
    }

    /// The server's limits for one connection, as far as they are known.
    #[inline]
    pub(crate) fn server_limits(&self) -> &ServerLimits {
        &self.server_limits
    }

    /// The ring that is followed.
    pub(crate) fn live_ring(&self) -> Option<&LiveRing> {
        self.ring.as_ref()
    }

    /// The source of users' keys.
    pub(crate) fn users(&self) -> Option<&UserKeys> {
        self.users.as_ref()
    }

    /// Keys of users that were looked up and not found.
    pub(crate) fn rejected_keys(&self) -> &RejectedKeys {
        &self.rejected_keys
    }

    /// The user whose key a record's values are under, if its pattern is per user. A record whose name has no user is under
    /// the ring's key.
    pub(crate) fn user<'n>(&self, pattern: PatternId, name: &'n [u8]) -> Option<&'n [u8]> {
        let per_user = self.per_user.get(pattern.index()).copied()?;
        per_user
            .then(|| self.names.pattern(pattern).user(name))
            .flatten()
    }

    /// A record name as the log may show it.
    pub(crate) fn show(&self, pattern: PatternId, name: &[u8]) -> String {
        self.mask.show(self.names.pattern(pattern).prefix(), name)
    }
}

/// The group that a pattern's values are bound to in place of their record.
fn sealing_group(sealer: &Sealer) -> Option<Group> {
    sealer.group().filter(|group| group.seals()).cloned()
}
