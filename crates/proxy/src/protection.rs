//! What is protected and how: the patterns, one sealer for each, and where keys come from that are not
//! at hand.

use std::sync::Arc;
use std::time::Instant;

use waxseal_core::{NameMask, Sealer};
use waxseal_keys::{LiveRing, UserKeys};
use waxseal_policy::{PatternId, ProtectedNames, RecordPattern};

use crate::decoys::{Alarm, Decoys};
use crate::keys::NegativeCache;
use crate::meters::Meters;
use crate::misplaced::Misplaced;
use crate::refusals::{Refusals, RefusedRequest};
use crate::scripts::ScriptCache;
use crate::server_limits::{ServerLimits, ServerSettings};

/// The protected records and what seals them.
pub struct Protection {
    names: ProtectedNames,
    sealers: Vec<Sealer>,
    /// For each pattern, what writes and opens values of names that are excepted from it.
    excepted: Vec<Sealer>,
    mask: NameMask,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
    /// For each pattern, whether its records are under keys of single users.
    per_user: Vec<bool>,
    rejected_keys: NegativeCache,
    decoys: Option<Decoys>,
    misplaced: Misplaced,
    scripts: ScriptCache,
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
    /// Names of records that commands would be refused on are kept for the report.
    pub keeps_names: bool,
}

/// A pattern whose records cannot be under keys of single users: it names no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record pattern \"{0}\" has no {{user}}: its records cannot be under users' own keys")]
pub struct NamesNoUser(pub String);

impl Protection {
    /// Patterns in the order in which they are tried, each with the sealer of its records; and how
    /// record names are shown in the log.
    #[must_use]
    pub fn new(protected: Vec<(RecordPattern, Sealer)>, mask: NameMask) -> Self {
        let (patterns, sealers): (Vec<_>, Vec<_>) = protected.into_iter().unzip();
        let misplaced = Misplaced::new(patterns.len());
        Self {
            names: ProtectedNames::new(patterns),
            per_user: vec![false; sealers.len()],
            excepted: sealers
                .iter()
                .map(|it| it.clone().writing_plain())
                .collect(),
            sealers,
            mask,
            ring: None,
            users: None,
            rejected_keys: NegativeCache::default(),
            decoys: None,
            misplaced,
            scripts: ScriptCache::default(),
            meters: None,
            server_limits: ServerLimits::default(),
            refusals: Arc::default(),
            is_typed: false,
            trial: None,
        }
    }

    /// The same, recording refused requests there. `is_typed`: the patterns are flags of the command line, and
    /// remedies are told as flags, too.
    #[must_use]
    pub fn record_refusals(mut self, refusals: Arc<Refusals>, is_typed: bool) -> Self {
        self.refusals = refusals;
        self.is_typed = is_typed;
        self
    }

    /// The same as a trial: requests are forwarded as they are, whatever the policy would do with them.
    #[must_use]
    pub fn trial(mut self, trial: Option<Trial>) -> Self {
        self.trial = trial;
        self
    }

    /// The same, letting clients write and delete records of Waxseal's own, under `waxseal:`.
    #[must_use]
    pub fn allow_own_writes(mut self, allow: bool) -> Self {
        self.names = self.names.allow_own_writes(allow);
        self
    }

    /// The same with unknown scripts and functions forwarded for the records of those patterns for whose place in the
    /// order, from 0, `forwards` says so. Known scripts are run as for all others.
    #[must_use]
    pub fn forward_scripts(mut self, forwards: impl Fn(usize) -> bool) -> Self {
        self.names = self.names.forward_scripts(forwards);
        self
    }

    /// The same, asking this ring for keys that values name and sealers do not hold, and whether
    /// values may still be sealed. The sealers must be over its keyring: they follow it by themselves.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// The same with the values of some patterns under keys of single users: those for whose place in
    /// the order, from 0, `per_user` says so. All other patterns stay as they are.
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
            if let Some(place) = self.per_user.get_mut(id.index()) {
                *place = chosen;
            }
        }
        self.users = Some(users);
        Ok(self)
    }

    /// The same with these records as decoys, by their whole names: `alarm` is told when the value of one
    /// is opened for a client. One that no pattern means is never met.
    #[must_use]
    pub fn decoys(mut self, names: impl IntoIterator<Item = Vec<u8>>, alarm: Alarm) -> Self {
        self.decoys = Decoys::new(names, alarm);
        self
    }

    /// The same, counted by these meters, whose names are of the same patterns.
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

    /// The sealer of a pattern's records; for a name that is excepted one that writes plain values and opens
    /// sealed ones. `None` for an id of another set of patterns.
    pub(crate) fn sealer(&self, pattern: PatternId) -> Option<&Sealer> {
        let sealers = match pattern.is_excepted() {
            true => &self.excepted,
            false => &self.sealers,
        };
        sealers.get(pattern.index())
    }

    /// Whether keys can come while a request or reply waits for them.
    #[inline]
    pub(crate) fn follows_keys(&self) -> bool {
        self.ring.is_some() || self.users.is_some()
    }

    /// The decoys, if there are any.
    #[inline]
    pub(crate) fn watched(&self) -> Option<&Decoys> {
        self.decoys.as_ref()
    }

    /// A plain value was read from a record of this pattern, where values are sealed.
    pub(crate) fn plain_value_read(&self, pattern: PatternId) {
        self.misplaced.warn_of_plain(pattern, &self.names);
    }

    /// Notices a value that a client writes to a record of this pattern and that is an envelope already.
    /// `opens` tries our keys on it.
    pub(crate) fn notice_envelope(
        &self,
        value: &[u8],
        pattern: PatternId,
        opens: impl FnOnce() -> bool,
    ) {
        if !self.misplaced.is_envelope(value, pattern, opens) {
            return;
        }
        if let Some(meters) = self.metered() {
            meters.values.sealed_twice(pattern.index());
        }
        let sealer = self.sealer(pattern);
        let seals = sealer.is_some_and(|sealer| sealer.mode().seals());
        self.misplaced.warn_of_envelope(pattern, &self.names, seals);
    }

    /// A script goes to the server.
    pub(crate) fn script_forwarded(&self, command: &'static str) {
        self.misplaced.script();
        if let Some(meters) = self.metered() {
            meters.traffic.script_forwarded(command);
        }
    }

    /// The record of refused requests.
    pub(crate) fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// A request was refused, or would have been: records and counts it, and logs it unless it was lately.
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

    /// The patterns are flags of the command line.
    pub(crate) fn is_typed(&self) -> bool {
        self.is_typed
    }

    /// Everything is forwarded: a trial.
    #[inline]
    pub(crate) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Names of records are kept.
    pub(crate) fn keeps_names(&self) -> bool {
        self.trial.is_some_and(|trial| trial.keeps_names)
    }

    /// The scripts whose texts have passed.
    pub(crate) fn scripts(&self) -> &ScriptCache {
        &self.scripts
    }

    /// What is counted with, if anything is.
    #[inline]
    pub(crate) fn metered(&self) -> Option<&Arc<Meters>> {
        self.meters.as_ref()
    }

    /// The server has told its settings: its limits are respected from here on.
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

    /// Where keys of users come from.
    pub(crate) fn users(&self) -> Option<&UserKeys> {
        self.users.as_ref()
    }

    /// Keys of users that were looked for in vain.
    pub(crate) fn rejected_keys(&self) -> &NegativeCache {
        &self.rejected_keys
    }

    /// The user whose key a record's values are under, where its pattern wants that. A record whose name
    /// has nothing in the place of the user is under the ring's key.
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
