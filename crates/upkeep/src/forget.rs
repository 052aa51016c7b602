//! The erasure of a user: first the ledger, then the key, then the records. After the first step nothing
//! brings the user back, whatever becomes of the others; all of them can be done again.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use waxseal_keys::{Bytes, Change, LiveRing, Receipt, Signed, StoredUserKey, UserKeys};
use waxseal_stores::{Cursor, Lifetime, RecordName, RecordPattern, RecordStore};

use crate::error::UpkeepError;
use crate::scope::ScopeHandle;

/// Records that a scan looks at at a time.
const PAGE: usize = 1000;
/// The prefix of names of values in quarantine.
const QUARANTINE: &str = "waxseal:quarantine:";

/// The traces of a user in the stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// True if the user has a key.
    pub has_key: bool,
    /// True if the mark of a destroyed key is there: an erasure that a restored ledger does not know.
    pub had_key: bool,
    /// Records.
    pub records: u64,
    /// Values in quarantine.
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

    /// True if nothing shows that there ever was such a user.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.is_gone() && self.erasures == 0 && !self.had_key
    }
}

/// Looks for the traces of a user, and changes nothing.
pub async fn traces(
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
    let mut found = Traces {
        has_key: key == StoredUserKey::Live,
        had_key: key == StoredUserKey::Destroyed,
        erasures,
        erased_ms,
        ..Traces::default()
    };
    for holdings in holdings(user, scopes).await? {
        let lifetimes = holdings.store.lifetimes(&holdings.names).await?;
        let there = lifetimes.iter().filter(|it| **it != Lifetime::Absent);
        found.records += there.count() as u64;
        found.quarantined += holdings.quarantined(user).await?.len() as u64;
    }
    Ok(found)
}

/// Erases a user, and tells what was done, signed.
///
/// The user's records are all that match a pattern with the user in the place of `{user}`, excepted ones among
/// them, and what was moved aside from them; records under other patterns are not known to be the user's. `users` is `None` where users have no keys of their own: then the records
/// are deleted and the ledger is written all the same.
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
        let aside = holdings.quarantined(user).await?;
        for name in aside.iter().chain(&holdings.names) {
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
        public_key: Bytes(Vec::new()),
        signature: None,
    };
    Ok(receipt.signed(&written))
}

/// The records of a user in one store.
struct Holdings {
    store: Arc<dyn RecordStore>,
    /// The patterns that say who a record is about.
    patterns: Vec<RecordPattern>,
    names: Vec<RecordName>,
}

/// The records of a user, by store.
async fn holdings(user: &[u8], scopes: &[ScopeHandle]) -> Result<Vec<Holdings>, UpkeepError> {
    let mut all: Vec<Holdings> = Vec::new();
    for scope in scopes.iter().filter(|it| it.pattern.names_user()) {
        let names = names_of(user, scope).await?;
        let mut known = all.iter_mut();
        match known.find(|it| Arc::ptr_eq(&it.store, &scope.store)) {
            Some(holdings) => {
                holdings.patterns.push(scope.pattern.clone());
                holdings.names.extend(names);
            }
            None => all.push(Holdings {
                store: scope.store.clone(),
                patterns: vec![scope.pattern.clone()],
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

/// The names of a user's records under one pattern. Where it has other wildcards beside `{user}`, no one can
/// tell them but the store.
async fn names_of(user: &[u8], scope: &ScopeHandle) -> Result<Vec<RecordName>, UpkeepError> {
    let pattern = &scope.pattern;
    if !pattern.has_many_of_user() {
        return Ok(Vec::from_iter(pattern.name_of(user).map(RecordName::from)));
    }
    let narrow = pattern.of_user(user);
    let is_theirs = |name: &RecordName| is_of(pattern, name.as_bytes(), user);
    scan(&*scope.store, narrow.as_ref().unwrap_or(pattern), is_theirs).await
}

fn is_of(pattern: &RecordPattern, name: &[u8], user: &[u8]) -> bool {
    pattern.user(name) == Some(user) && pattern.matches(name)
}

impl Holdings {
    /// The names of values in quarantine that came from records of the user, be these there or not.
    async fn quarantined(&self, user: &[u8]) -> Result<Vec<RecordName>, UpkeepError> {
        let pattern = RecordPattern::of_own(&format!("{QUARANTINE}*"))?;
        let is_theirs = |name: &RecordName| {
            let origin = origin(name.as_bytes());
            origin.is_some_and(|it| self.patterns.iter().any(|of| is_of(of, it, user)))
        };
        scan(&*self.store, &pattern, is_theirs).await
    }
}

/// The name of the record that a value in quarantine came from: `waxseal:quarantine:{NAME}:ID`.
fn origin(name: &[u8]) -> Option<&[u8]> {
    let rest = name
        .strip_prefix(QUARANTINE.as_bytes())?
        .strip_prefix(b"{")?;
    let end = rest.windows(2).rposition(|pair| pair == b"}:")?;
    rest.get(..end)
}

/// The names under a pattern that are wanted, each once.
async fn scan(
    store: &dyn RecordStore,
    pattern: &RecordPattern,
    is_wanted: impl Fn(&RecordName) -> bool,
) -> Result<Vec<RecordName>, UpkeepError> {
    let mut found = Vec::new();
    let mut cursor = Some(Cursor::start());
    while let Some(at) = cursor {
        let page = store.scan(pattern, &at, PAGE).await?;
        found.extend(page.names.into_iter().filter(&is_wanted));
        cursor = page.next;
    }
    // A scan may name a record twice.
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The time of an erasure as receipts have it (RFC 3339), of milliseconds since the Unix epoch.
#[must_use]
pub fn rfc3339(at_ms: u64) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
