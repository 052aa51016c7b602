//! The erasure of a user: first the ledger, then the key, then the records. After the first step nothing restores
//! the user, even if the others fail; all of them can be repeated.

mod list;
mod receipts;

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use waxseal_keys::{
    Bytes, Change, IndexKeyState, LiveRing, Receipt, ReceiptNames, Ring, Signed, StoredUserKey,
    UserKeys,
};
use waxseal_named::NameTable;
use waxseal_stores::{Cursor, Lifetime, RecordName, RecordPattern, RecordStore};

pub use list::{ListedUser, UserListError, parse_user_list, read_user_list};
pub use receipts::{ReceiptDirectory, ReceiptError};

use crate::error::UpkeepError;
use crate::scope::ScopeHandle;

/// Names that a scan asks for at a time.
const PAGE: usize = 1000;
/// The prefix of names of values in quarantine.
const QUARANTINE: &str = "waxseal:quarantine:";

/// The traces of a user in the stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// True if the user has a key.
    pub has_key: bool,
    /// True if there is the mark of a destroyed key: of an erasure that a restored ledger does not contain.
    pub had_key: bool,
    /// The number of records.
    pub records: u64,
    /// The number of values in quarantine.
    pub quarantined: u64,
    /// The number of earlier erasures.
    pub erasures: u32,
    /// The time of the last one, in milliseconds since the Unix epoch.
    pub erased_ms: u64,
}

impl Traces {
    /// True if nothing is left to erase.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        !self.has_key && self.records == 0 && self.quarantined == 0
    }

    /// True if nothing shows that the user ever existed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.is_gone() && self.erasures == 0 && !self.had_key
    }
}

/// Finds the traces of a user. Changes nothing.
pub async fn find_traces(
    user: &[u8],
    ring: &LiveRing,
    users: Option<&UserKeys>,
    scopes: &[ScopeHandle],
) -> Result<Traces, UpkeepError> {
    let ledger = ring.ring();
    let erasure = ledger.erasure(&ledger.user(user));
    let key = match users {
        Some(users) => users.stored_key(user).await?,
        None => StoredUserKey::Absent,
    };
    let (erasures, erased_ms) = erasure.map_or((0, 0), |erasure| (erasure.epoch, erasure.at));
    let mut traces = Traces {
        has_key: key == StoredUserKey::Live,
        had_key: key == StoredUserKey::Destroyed,
        erasures,
        erased_ms,
        ..Traces::default()
    };
    for holdings in holdings(user, scopes).await? {
        let lifetimes = holdings.store.lifetimes(&holdings.names).await?;
        let present = lifetimes.iter().filter(|it| **it != Lifetime::Absent);
        traces.records += present.count() as u64;
        traces.quarantined += holdings.quarantined(user).await?.len() as u64;
    }
    Ok(traces)
}

/// Erases a user, and returns the signed receipt.
///
/// The user's records are all that match a pattern with the user in the place of `{user}`, excepted ones included,
/// and what was moved to quarantine from them. Records under other patterns are not known to be the user's. `users`
/// is `None` where users have no keys of their own: then the records are deleted and the ledger is written all the
/// same.
pub async fn forget(
    user: &[u8],
    ring: &LiveRing,
    users: Option<&UserKeys>,
    scopes: &[ScopeHandle],
) -> Result<Receipt, UpkeepError> {
    let hash = ring.ring().user(user);
    let written = ring.change(&Change::Erase(hash.clone())).await?;
    let key_destroyed = match users {
        Some(users) => users.destroy(user).await?,
        None => false,
    };
    let mut records_deleted = 0;
    let mut stores: Vec<String> = Vec::new();
    for holdings in holdings(user, scopes).await? {
        let quarantined = holdings.quarantined(user).await?;
        for name in quarantined.iter().chain(&holdings.names) {
            if holdings.store.delete(name).await? {
                records_deleted += 1;
            }
        }
        let location = holdings.store.location();
        if !stores.contains(&location) {
            stores.push(location);
        }
    }
    let erasure = written.erasure(&hash);
    let (at, epoch) = erasure.map_or((0, 0), |erasure| (erasure.at, erasure.epoch));
    let receipt = Receipt {
        receipt: Receipt::kind(),
        environment: written.environment().to_owned(),
        ring: written.id().to_owned(),
        ring_version: written.version(),
        user: hash,
        erasure: epoch,
        erased: rfc3339(at),
        key_destroyed,
        records_deleted,
        store: stores.join(" "),
        names: names_of_copies(&written, scopes),
        public_key: Bytes(Vec::new()),
        signature: None,
    };
    Ok(receipt.signed(&written))
}

/// What older copies of the store tell about the names of a user's records, where these are sealed.
fn names_of_copies(ring: &Ring, scopes: &[ScopeHandle]) -> Option<ReceiptNames> {
    let mut scopes = scopes.iter().filter(|it| it.pattern.names_user());
    if !scopes.any(|it| it.names.is_some()) {
        return None;
    }
    let keys = ring.index_keys().iter();
    let seals_names = |state| matches!(state, IndexKeyState::Writing | IndexKeyState::Reading);
    let keys = keys.filter(|key| seals_names(key.state));
    Some(ReceiptNames {
        index_keys: keys.map(|key| key.id.to_string()).collect(),
    })
}

/// The records of a user in one store.
struct Holdings {
    /// Where names are sealed, the one with names as they are stored.
    store: Arc<dyn RecordStore>,
    /// The patterns with `{user}`, which tell the user of a record by its name.
    patterns: Vec<RecordPattern>,
    /// The table that opens stored names, where they are sealed.
    table: Option<NameTable>,
    names: Vec<RecordName>,
}

/// Returns the records of a user, by store.
async fn holdings(user: &[u8], scopes: &[ScopeHandle]) -> Result<Vec<Holdings>, UpkeepError> {
    let mut all: Vec<Holdings> = Vec::new();
    for scope in scopes.iter().filter(|it| it.pattern.names_user()) {
        let names = names_of(user, scope).await?;
        let sealed = scope.names.as_ref();
        let store = sealed.map_or(&scope.store, |names| &names.stored);
        let mut known = all.iter_mut();
        match known.find(|it| Arc::ptr_eq(&it.store, store)) {
            Some(holdings) => {
                holdings.patterns.push(scope.pattern.clone());
                holdings.names.extend(names);
            }
            None => all.push(Holdings {
                store: store.clone(),
                patterns: vec![scope.pattern.clone()],
                table: sealed.map(|names| names.table.accepting_all_pads()),
                names,
            }),
        }
    }
    for holdings in &mut all {
        holdings.names.sort_unstable();
        holdings.names.dedup();
    }
    Ok(all)
}

/// Returns the names of a user's records under one pattern. If it has other wildcards beside `{user}`, they are
/// found by a scan. Where names are sealed, these are stored names in all forms: a record that was left behind in another
/// one is the user's as well.
async fn names_of(user: &[u8], scope: &ScopeHandle) -> Result<Vec<RecordName>, UpkeepError> {
    let pattern = &scope.pattern;
    if let Some(names) = &scope.names {
        let view = names.table.accepting_all_pads().view();
        let mut logical = Vec::new();
        let is_theirs = |name: &RecordName| {
            logical.clear();
            let name = name.as_bytes();
            match view.open_any(name, &mut logical) {
                Some(_) => is_of_user(pattern, &logical, user),
                None => is_of_user(pattern, name, user),
            }
        };
        let all = RecordPattern::behind(pattern.name_prefix())?;
        return scan(&*names.stored, &all, is_theirs).await;
    }
    if !pattern.has_many_records_per_user() {
        return Ok(Vec::from_iter(pattern.name_of(user).map(RecordName::from)));
    }
    let narrow = pattern.of_user(user);
    let is_theirs = |name: &RecordName| is_of_user(pattern, name.as_bytes(), user);
    scan(&*scope.store, narrow.as_ref().unwrap_or(pattern), is_theirs).await
}

fn is_of_user(pattern: &RecordPattern, name: &[u8], user: &[u8]) -> bool {
    pattern.user(name) == Some(user) && pattern.matches(name)
}

impl Holdings {
    /// Returns the names of values in quarantine that were moved from records of the user, whether these still exist
    /// or not.
    async fn quarantined(&self, user: &[u8]) -> Result<Vec<RecordName>, UpkeepError> {
        let pattern = RecordPattern::parse_own(&format!("{QUARANTINE}*"))?;
        let view = self.table.as_ref().map(NameTable::view);
        let is_of_user = |name: &[u8]| {
            let mut patterns = self.patterns.iter();
            patterns.any(|pattern| is_of_user(pattern, name, user))
        };
        let is_theirs = |name: &RecordName| {
            let Some(origin) = origin(name.as_bytes()) else {
                return false;
            };
            let mut logical = Vec::new();
            let opened = view
                .as_ref()
                .and_then(|it| it.open_any(origin, &mut logical));
            is_of_user(origin) || opened.is_some() && is_of_user(&logical)
        };
        scan(&*self.store, &pattern, is_theirs).await
    }
}

/// Returns the name of the record that a value in quarantine was moved from: `waxseal:quarantine:{NAME}:ID`.
fn origin(name: &[u8]) -> Option<&[u8]> {
    let tail = name
        .strip_prefix(QUARANTINE.as_bytes())?
        .strip_prefix(b"{")?;
    let end = tail.windows(2).rposition(|pair| pair == b"}:")?;
    tail.get(..end)
}

/// Returns the names under a pattern that pass the filter, each once.
async fn scan(
    store: &dyn RecordStore,
    pattern: &RecordPattern,
    mut is_included: impl FnMut(&RecordName) -> bool,
) -> Result<Vec<RecordName>, UpkeepError> {
    let mut names = Vec::new();
    let mut cursor = Some(Cursor::start());
    while let Some(at) = cursor {
        let page = store.scan(pattern, &at, PAGE).await?;
        names.extend(page.names.into_iter().filter(&mut is_included));
        cursor = page.next;
    }
    // A scan may return a name twice.
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Formats the time of an erasure, in milliseconds since the Unix epoch, as receipts have it (RFC 3339).
#[must_use]
pub fn rfc3339(at_ms: u64) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
