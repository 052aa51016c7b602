//! Values that the proxy reads itself, to compute on them, compare or move them: as they are stored, and opened.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_resp::{Item, Items, Kind, ReplyError};

use super::state::ConnectionState;
use crate::keys::{KeyRequest, Lookup};
use crate::location::BorrowedLocation;
use crate::open::ValueOpener;

/// The keys that were fetched for a reply, if that has been done.
pub(super) type Fetched<'a> = Option<&'a HashMap<Box<[u8]>, Lookup>>;

/// A value that exists.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct StoredValue {
    /// The bytes that are stored.
    pub(super) stored: Vec<u8>,
    /// The value, if it is not what is stored.
    opened: Option<Vec<u8>>,
}

/// What a read has found.
pub(super) enum ValueRead<'r> {
    /// The value, if there is one.
    Value(Option<StoredValue>),
    /// The server's error.
    Error(&'r [u8]),
    /// The value does not open: this is the answer.
    Unopened(Vec<u8>),
    /// It does not open without these keys.
    Missing(Box<KeyRequest>),
}

impl StoredValue {
    /// A value that is stored as it is.
    pub(super) fn plain(stored: &[u8]) -> Self {
        Self {
            stored: stored.to_vec(),
            opened: None,
        }
    }

    /// A value that was sealed here.
    pub(super) fn sealed(stored: Vec<u8>, value: Vec<u8>) -> Self {
        Self {
            stored,
            opened: Some(value),
        }
    }

    /// Opens the bytes that are stored at a location. `Err` is the answer if they do not open; if a key is missing, these
    /// bytes are taken for the value, and [`ValueOpener::finish`] has the key.
    pub(super) fn open(
        values: &mut ValueOpener<'_>,
        command: &'static str,
        stored: &[u8],
        location: BorrowedLocation<'_>,
    ) -> Result<Self, Vec<u8>> {
        let opened = match values.open(command, stored, location)? {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => Some(value),
        };
        Ok(Self {
            stored: stored.to_vec(),
            opened,
        })
    }

    /// The value.
    pub(super) fn value(&self) -> &[u8] {
        self.opened.as_deref().unwrap_or(&self.stored)
    }

    /// True if it is stored in another form than its own.
    pub(super) fn is_sealed(&self) -> bool {
        self.opened.is_some()
    }

    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        let opened = self.opened.as_ref().map_or(0, Vec::len);
        self.stored.len().saturating_add(opened)
    }
}

impl ConnectionState {
    /// Takes the next item of a reply as the value at this location.
    pub(super) fn read_value<'r>(
        &self,
        command: &'static str,
        items: &mut Items<'r>,
        location: BorrowedLocation<'_>,
        fetched: Fetched<'_>,
    ) -> Result<ValueRead<'r>, ReplyError> {
        let item = first_item(items)?;
        let stored = match item.kind {
            Kind::Null => return Ok(ValueRead::Value(None)),
            Kind::Error => return Ok(ValueRead::Error(item.raw)),
            Kind::Bulk | Kind::Simple | Kind::Other => item.text,
            _ => return Err(ReplyError::Type),
        };
        let mut values = ValueOpener::new(&self.protection, fetched);
        let opened = StoredValue::open(&mut values, command, stored, location);
        match values.finish() {
            Ok(findings) => self.report_findings(command, findings),
            Err(key_request) => return Ok(ValueRead::Missing(key_request)),
        }
        Ok(match opened {
            Ok(value) => ValueRead::Value(Some(value)),
            Err(answer) => ValueRead::Unopened(answer),
        })
    }
}

/// The first item of a reply, without attributes.
pub(super) fn first_item<'r>(items: &mut Items<'r>) -> Result<Item<'r>, ReplyError> {
    let mut item = items.next()?.ok_or(ReplyError::Type)?;
    while let Kind::Attribute(pairs) = item.kind {
        for _ in 0..pairs.saturating_mul(2) {
            items.skip()?;
        }
        item = items.next()?.ok_or(ReplyError::Type)?;
    }
    Ok(item)
}
