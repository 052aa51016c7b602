//! The erasure of a user: first the ledger, then the key, then the records. After the first step nothing
//! brings the user back, whatever becomes of the others; all of them can be done again.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use waxseal_keys::{Bytes, Change, LiveRing, Receipt, Signed, UserKeys};
use waxseal_stores::{Cursor, RecordName, RecordPattern, RecordStore};

use crate::error::UpkeepError;
use crate::realm::Realm;

/// Records that a scan looks at at a time.
const PAGE: usize = 1000;

/// Erases a user, and tells what was done, signed.
///
/// The user's records are those that the patterns with `{user}` name, and what was moved aside from
/// them; records under other patterns are not known to be the user's. `users` is `None` where users have no keys of their own: then the records
/// are deleted and the ledger is written all the same.
pub async fn forget(
    user: &[u8],
    ring: &LiveRing,
    users: Option<&UserKeys>,
    realms: &[Realm],
) -> Result<Receipt, UpkeepError> {
    let hash = ring.ring().user(user);
    let written = ring.change(&Change::Erase(hash.clone())).await?;
    let key_destroyed = match users {
        Some(users) => users.destroy(user).await?,
        None => false,
    };
    let mut records_deleted = 0;
    let mut stores: Vec<String> = Vec::new();
    for realm in realms {
        let Some(name) = realm.pattern.name_of(user) else {
            continue;
        };
        records_deleted += quarantined(&*realm.store, &name).await?;
        if realm.store.delete(&RecordName::from(name)).await? {
            records_deleted += 1;
        }
        let location = realm.store.location();
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
        erased: point_in_time(at),
        key_destroyed,
        records_deleted,
        store: stores.join(" "),
        public_key: Bytes(Vec::new()),
        signature: None,
    };
    Ok(receipt.signed(&written))
}

/// Deletes what was moved aside from a record: its name stands in the names of those records.
async fn quarantined(store: &dyn RecordStore, record: &[u8]) -> Result<u64, UpkeepError> {
    let pattern = RecordPattern::of_own("waxseal:quarantine:*")?;
    let start = [b"waxseal:quarantine:{", record, b"}:"].concat();
    let mut deleted = 0;
    let mut cursor = Some(Cursor::start());
    while let Some(at) = cursor {
        let page = store.scan(&pattern, &at, PAGE).await?;
        for name in page.names {
            if name.as_bytes().starts_with(&start) && store.delete(&name).await? {
                deleted += 1;
            }
        }
        cursor = page.next;
    }
    Ok(deleted)
}

/// Milliseconds since the Unix epoch as RFC 3339 has it.
fn point_in_time(at_ms: u64) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
