//! The record behind a stored name, the name of a record in quarantine, or a mask, for anyone who has the keys.

use waxseal_core::{KeyId, sanitize_for_terminal};
use waxseal_stores::{Cursor, RecordName};

use crate::Failure;
use crate::resources::{Resources, guard, keys, record_names};

/// Names that a scan asks for at a time.
const PAGE: usize = 1_000;
/// The prefix of the names of records in quarantine, and what is before the name of the record that was moved.
const QUARANTINE: &[u8] = b"waxseal:quarantine:{";

/// A record that was found.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The name that applications know.
    pub name: RecordName,
    /// The key that its name is sealed under; `None` if it was found by its mask.
    pub key: Option<KeyId>,
    /// The name as logs and reports show it.
    pub mask: String,
}

/// Finds the records that a text stands for: one by its stored name, or all that have this mask.
pub async fn find(resources: &Resources, text: &[u8]) -> Result<Vec<FoundRecord>, Failure> {
    let found = match opened(resources, text)? {
        Some(found) => vec![found],
        None => by_mask(resources, text).await?,
    };
    for record in &found {
        resources.trail.add_detail("record", record.mask.clone());
    }
    Ok(found)
}

/// The record with this stored name, or the one that was moved to quarantine under it.
fn opened(resources: &Resources, text: &[u8]) -> Result<Option<FoundRecord>, Failure> {
    let stored = origin(text).unwrap_or(text);
    let tables = [
        record_names::table(resources)?,
        record_names::as_if_sealed(resources)?,
    ];
    for table in tables.into_iter().flatten() {
        let mut logical = Vec::new();
        let view = table.accepting_all_pads().view();
        if let Some(key) = view.open_any(stored, &mut logical) {
            return Ok(Some(FoundRecord {
                mask: mask(resources, &logical),
                name: RecordName::from(logical),
                key: Some(key),
            }));
        }
    }
    Ok(None)
}

/// All records with this mask, by a pass over the names.
async fn by_mask(resources: &Resources, text: &[u8]) -> Result<Vec<FoundRecord>, Failure> {
    let Some(text) = std::str::from_utf8(text).ok().filter(|it| is_mask(it)) else {
        return Err(Failure::usage(
            "it is neither a stored name that opens under the configured keys nor a mask",
        )
        .hint(
            "a stored name is that of redis-cli, for example wa:~9VcDE…; a mask is that of a log or report, for example \
             wa:#1f0c77ab; waxseal inspect takes the name that applications know",
        ));
    };
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    let mut found: Vec<FoundRecord> = Vec::new();
    for protected in resources.configuration.all_protected() {
        let pattern = &protected.pattern;
        let mut cursor = Some(Cursor::start());
        while let Some(at) = cursor {
            let page = store.scan(pattern, &at, PAGE).await?;
            for name in page.names {
                let shown = keys::name_mask(resources).show(pattern.prefix(), name.as_bytes());
                let is_new = found.iter().all(|it| it.name != name);
                if shown == text && is_new && pattern.matches(name.as_bytes()) {
                    found.push(FoundRecord {
                        name,
                        key: None,
                        mask: shown,
                    });
                }
            }
            cursor = page.next;
        }
    }
    Ok(found)
}

fn mask(resources: &Resources, name: &[u8]) -> String {
    let protected = resources.configuration.protected_records(name);
    let prefix = protected.map_or("", |it| it.pattern.prefix());
    keys::name_mask(resources).show(prefix, name)
}

/// The name of the record that was moved to quarantine under this one.
fn origin(stored: &[u8]) -> Option<&[u8]> {
    let origin_and_id = stored.strip_prefix(QUARANTINE)?;
    let len = origin_and_id.windows(2).rposition(|pair| pair == b"}:")?;
    origin_and_id.get(..len)
}

/// True for a name as logs and reports show it: a prefix, `#` and eight hexadecimal digits.
fn is_mask(text: &str) -> bool {
    let tag = text.rsplit_once('#').map_or("", |(_, tag)| tag);
    tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name for a terminal: what cannot be printed is left out.
#[must_use]
pub fn printable(name: &RecordName) -> String {
    sanitize_for_terminal(&String::from_utf8_lossy(name.as_bytes()))
}
