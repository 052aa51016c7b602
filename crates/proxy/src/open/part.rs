//! Replies to requests that were sent as `GET` or `HGET`, of which the client gets the length or a part of the value.

use std::borrow::Cow;

use waxseal_policy::ValuePart;
use waxseal_resp::{Item, Kind, write_bulk, write_integer};

use super::{OpenFailure, ReplyOpener};
use crate::location::OwnedLocation;

impl ReplyOpener<'_> {
    /// Appends the length of a value.
    pub(super) fn length(
        &mut self,
        item: Item<'_>,
        location: &OwnedLocation,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let value = self.whole_value(item, location)?;
        write_integer(out, i64::try_from(value.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Appends a part of a value.
    pub(super) fn part(
        &mut self,
        item: Item<'_>,
        part: &ValuePart<OwnedLocation>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let value = self.whole_value(item, &part.location)?;
        write_bulk(out, byte_range(&value, part.start, part.end));
        Ok(())
    }

    /// The value, which is empty if there is none.
    fn whole_value<'r>(
        &mut self,
        item: Item<'r>,
        location: &OwnedLocation,
    ) -> Result<Cow<'r, [u8]>, OpenFailure> {
        match item.kind {
            Kind::Bulk => self.open(item.text, location.borrowed()),
            Kind::Null => Ok(Cow::Borrowed(&[])),
            _ => Err(OpenFailure::Unexpected),
        }
    }
}

/// The part that GETRANGE selects: both ends included, from the end if negative, cut to the value.
fn byte_range(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_start = |at: i64| if at < 0 { len.saturating_add(at) } else { at };
    let start = from_start(start).max(0);
    let end = from_start(end).max(0).min(len.saturating_sub(1));
    if start > end || len == 0 {
        return &[];
    }
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    value.get(start..end.saturating_add(1)).unwrap_or_default()
}
