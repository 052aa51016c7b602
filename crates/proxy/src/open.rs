//! The reply direction of values: a whole reply with envelopes becomes the same reply with values. Everything else
//! passes unchanged.
//!
//! A value that does not open makes the whole reply an error, so that no client can take it for a missing value. Two
//! kinds of replies are exceptions, in which the error replaces only the one value: those of a transaction, where each
//! reply is separate, and of a command that does not deliver the others again: it removes several values from the store,
//! or delivers entries of a stream.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_policy::{Layout, ReplyShape};
use waxseal_resp::{Item, Items, Kind, ReplyError, write_array_head, write_bulk, write_integer};

use crate::answers;
use crate::location::{self, BorrowedLocation, OwnedLocation, ValueKind};
use crate::pending::{OwnedShape, Protocol, Shape};

mod channels;
mod computed;
mod fields;
mod members;
mod messages;
mod names;
mod part;
mod replayed;
mod sorted;
mod streams;
mod values;

pub(crate) use channels::{
    INVALIDATIONS, is_keyevent, is_of_server, logical_channel, split_keyspace,
};
pub(crate) use computed::ComputedReply;
pub(crate) use members::MAX_GLOB_STEPS;
pub(crate) use messages::{Message, MessageParts, channel, pattern};
pub(crate) use names::{NameOpener, Named, QuotedNames, write_name, write_no_name};
pub(crate) use replayed::{ReplayedReply, Unwritten, WriteGroup};
pub(crate) use sorted::{
    LookedUp, SortedRead, SortedRecord, SortedReply, SortedSource, check_count, read_lookups,
    read_sorted, sort_error, write_results,
};
pub(crate) use values::{ReplyFindings, ValueOpener};

/// The reason why a reply cannot be passed on as it was expected.
pub(crate) enum OpenFailure {
    /// A value in it does not open: this is the answer.
    Broken(Vec<u8>),
    /// It is not a reply to the request: the pairing is lost.
    Unexpected,
}

impl From<ReplyError> for OpenFailure {
    fn from(_: ReplyError) -> Self {
        Self::Unexpected
    }
}

/// Opens the values of whole replies.
pub(crate) struct ReplyOpener<'a> {
    pub(crate) values: ValueOpener<'a>,
    pub(crate) names: NameOpener<'a>,
    pub(crate) protocol: Protocol,
    pub(crate) command: &'static str,
    /// Commands of a transaction that were not written, by the first of their group.
    pub(crate) unwritten: HashMap<usize, Unwritten>,
}

impl ReplyOpener<'_> {
    /// Appends what the client gets for this reply. An `Err` means that the pairing is lost, and nothing was appended.
    pub(crate) fn reply(
        &mut self,
        reply: &[u8],
        shape: &Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let before = out.len();
        let mut items = Items::of(reply);
        match self.element(&mut items, shape, out) {
            Ok(()) => Ok(()),
            Err(OpenFailure::Broken(answer)) => {
                out.truncate(before);
                out.extend_from_slice(&answer);
                Ok(())
            }
            Err(OpenFailure::Unexpected) => {
                out.truncate(before);
                Err(OpenFailure::Unexpected)
            }
        }
    }

    /// Appends the replies of a transaction, each by its shape.
    pub(crate) fn transaction(
        &mut self,
        reply: &[u8],
        queued: &[(&'static str, Shape)],
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let before = out.len();
        let opened = self.each_queued(reply, queued, out);
        if opened.is_err() {
            out.truncate(before);
        }
        opened
    }

    fn each_queued(
        &mut self,
        reply: &[u8],
        queued: &[(&'static str, Shape)],
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let mut items = Items::of(reply);
        pass_attributes(&mut items, out)?;
        let head = items.next()?.ok_or(OpenFailure::Unexpected)?;
        match head.kind {
            Kind::Array(count) if count == queued.len() => {}
            // Not executed: an error, or null if a watched record had changed.
            Kind::Error | Kind::Null => {
                out.extend_from_slice(head.raw);
                return Ok(());
            }
            _ => return Err(OpenFailure::Unexpected),
        }
        let is_dropped = |(_, shape): &&(_, Shape)| matches!(shape, Shape::Dropped);
        match queued.iter().filter(is_dropped).count() {
            0 => out.extend_from_slice(head.raw),
            dropped => write_array_head(out, queued.len().saturating_sub(dropped)),
        }
        // The error of the prelude before a command.
        let mut failed = None;
        for (command, shape) in queued {
            self.command = command;
            let reply = items.skip()?;
            if matches!(shape, Shape::Dropped) {
                failed = matches!(reply.first(), Some(b'-' | b'!')).then_some(reply);
                continue;
            }
            match failed.take() {
                Some(error) => {
                    out.extend_from_slice(&answers::carried_out_without_prelude(command, error));
                }
                None => self.reply(reply, shape, out)?,
            }
        }
        Ok(())
    }

    fn element(
        &mut self,
        items: &mut Items<'_>,
        shape: &Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        pass_attributes(items, out)?;
        let mut start = items.clone();
        let first = items.next()?.ok_or(OpenFailure::Unexpected)?;
        if let Shape::Computed(computed) = shape {
            return self.computed(items, first, computed, out);
        }
        if let Shape::Sorted(sorted) = shape {
            return self.sorted(items, first, sorted, out);
        }
        if matches!(shape, Shape::Scripted) {
            let error = (first.kind == Kind::Error).then_some(first.raw);
            match error {
                Some(error) => out.extend_from_slice(&answers::prelude_failed(self.command, error)),
                None => out.extend_from_slice(start.skip()?),
            }
            return Ok(());
        }
        if let Shape::Replayed(replayed) = shape {
            return self.replayed(items, first, replayed, out);
        }
        if let Shape::Quoting(quoting) = shape {
            let is_text = matches!(first.kind, Kind::Bulk | Kind::Simple | Kind::Other);
            if first.kind == Kind::Error || (is_text && quoting.is_text) {
                quoting.names.write(first, out);
                return Ok(());
            }
            *items = start;
            return self.element(items, &quoting.inner, out);
        }
        if first.kind == Kind::Error {
            out.extend_from_slice(first.raw);
            return Ok(());
        }
        match shape {
            Shape::Computed(_)
            | Shape::Sorted(_)
            | Shape::Replayed(_)
            | Shape::Quoting(_)
            | Shape::Scripted => Ok(()),
            Shape::Prefixes(prefixes) => channels::tracking_info(items, first, prefixes, out),
            Shape::Fixed(reply) => {
                start.skip()?;
                out.extend_from_slice(reply);
                Ok(())
            }
            Shape::Values(shape) => self.values_of(items, (start, first), shape, out),
            // Left out by the caller.
            Shape::Dropped => Ok(()),
            Shape::ScriptsExist(identifiable) => match first.kind {
                Kind::Array(count) if count == identifiable.len() => {
                    scripts_exist(items, first, identifiable, out)
                }
                _ => {
                    out.extend_from_slice(start.skip()?);
                    Ok(())
                }
            },
        }
    }

    /// Appends a reply of this shape, of which `first` was read from `start`.
    fn values_of(
        &mut self,
        items: &mut Items<'_>,
        (mut start, first): (Items<'_>, Item<'_>),
        shape: &OwnedShape,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        match shape {
            ReplyShape::Verbatim => {
                out.extend_from_slice(start.skip()?);
                Ok(())
            }
            ReplyShape::Record(location, layout) => {
                self.record(items, first, (location, *layout), out)
            }
            ReplyShape::EachName(names) => {
                let locations = names.iter().map(|protected| {
                    protected
                        .map(|(pattern, name)| location::record(pattern, name, ValueKind::String))
                });
                self.each(items, first, locations, out)
            }
            ReplyShape::EachField(of) => {
                let fields = of.fields.iter();
                let locations = fields.map(|field| Some(of.record.with_field(field)));
                self.each(items, first, locations, out)
            }
            ReplyShape::AnyName(names, kind) => self.popped(items, first, (names, *kind), out),
            ReplyShape::Streams(names) => self.streams(items, first, names, out),
            ReplyShape::Part(part) => self.part(first, part, out),
            ReplyShape::Members(scan) => self.scanned_members(items, first, scan, out),
            ReplyShape::Names(found) => self.found_names(items, (start, first), found, out),
        }
    }

    /// Appends the values of one record. A new kind of data is one more layout, and one more arm here.
    fn record(
        &mut self,
        items: &mut Items<'_>,
        first: Item<'_>,
        (location, layout): (&OwnedLocation, Layout),
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        match layout {
            Layout::Value => self.value(first, location.borrowed(), out),
            Layout::Elements => match first.kind {
                Kind::Array(count) => self.elements(items, first, count, location.borrowed(), out),
                _ => self.value(first, location.borrowed(), out),
            },
            Layout::Fields => self.fields(items, first, location, out),
            Layout::ScannedFields => {
                expect(first.kind, Kind::Array(2))?;
                out.extend_from_slice(first.raw);
                out.extend_from_slice(items.skip()?);
                let page = items.next()?.ok_or(OpenFailure::Unexpected)?;
                self.fields(items, page, location, out)
            }
            Layout::OnlyValues => self.only_values(items, first, location, out),
            Layout::Length => self.length(first, location, out),
            Layout::Scored => self.scored(items, first, location.borrowed(), out),
            Layout::FirstOfEach => self.first_of_each(items, first, location.borrowed(), out),
            Layout::Entries => self.entries(items, first, location.borrowed(), out),
            Layout::ClaimedEntries => self.claimed_entries(items, first, location.borrowed(), out),
            Layout::StreamInfo => self.stream_info(items, first, location.borrowed(), out),
        }
    }

    /// Appends a value or a null. A value in an unusual encoding is opened all the same: otherwise a server could make
    /// up a value by encoding it differently.
    fn value(
        &mut self,
        item: Item<'_>,
        location: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        match item.kind {
            Kind::Bulk | Kind::Simple | Kind::Other => match self.open(item.text, location)? {
                Cow::Borrowed(_) => out.extend_from_slice(item.raw),
                Cow::Owned(value) => write_bulk(out, &value),
            },
            Kind::Null | Kind::Error => {
                out.extend_from_slice(item.raw);
            }
            _ => return Err(OpenFailure::Unexpected),
        }
        Ok(())
    }

    fn elements(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        count: usize,
        location: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        out.extend_from_slice(head.raw);
        for _ in 0..count {
            let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
            self.one_of_several(item, location, out)?;
        }
        Ok(())
    }

    /// Like [`value`](Self::value), but if the command delivers values once, an error replaces only this one: the others
    /// would be lost.
    fn one_of_several(
        &mut self,
        item: Item<'_>,
        location: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let before = out.len();
        match self.value(item, location, out) {
            Err(OpenFailure::Broken(answer)) if delivers_once(self.command) => {
                out.truncate(before);
                out.extend_from_slice(&answer);
                Ok(())
            }
            other => other,
        }
    }

    /// An array with one element for each location.
    fn each<'p>(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        locations: impl ExactSizeIterator<Item = Option<BorrowedLocation<'p>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        match head.kind {
            Kind::Array(count) if count == locations.len() => {}
            Kind::Null => {
                out.extend_from_slice(head.raw);
                return Ok(());
            }
            _ => return Err(OpenFailure::Unexpected),
        }
        out.extend_from_slice(head.raw);
        for location in locations {
            match location {
                Some(location) => {
                    let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
                    self.one_of_several(item, location, out)?;
                }
                None => out.extend_from_slice(items.skip()?),
            }
        }
        Ok(())
    }

    fn open<'s>(
        &mut self,
        stored: &'s [u8],
        location: BorrowedLocation<'_>,
    ) -> Result<Cow<'s, [u8]>, OpenFailure> {
        let opened = self.values.open(self.command, stored, location);
        opened.map_err(OpenFailure::Broken)
    }
}

/// Appends the reply to `SCRIPT EXISTS`, in which scripts whose texts the proxy would ask for are reported as missing.
fn scripts_exist(
    items: &mut Items<'_>,
    head: Item<'_>,
    identifiable: &[bool],
    out: &mut Vec<u8>,
) -> Result<(), OpenFailure> {
    out.extend_from_slice(head.raw);
    for is_identifiable in identifiable {
        match (items.skip()?, is_identifiable) {
            (item, true) => out.extend_from_slice(item),
            (_, false) => write_integer(out, 0),
        }
    }
    Ok(())
}

fn expect(found: Kind, expected: Kind) -> Result<(), OpenFailure> {
    if found == expected {
        Ok(())
    } else {
        Err(OpenFailure::Unexpected)
    }
}

/// True if the next element is an array of two.
fn begins_with_pair(items: &Items<'_>) -> Result<bool, OpenFailure> {
    let next = items.clone().next()?;
    Ok(next.map(|item| item.kind) == Some(Kind::Array(2)))
}

/// Appends attributes unchanged, up to what they belong to.
fn pass_attributes(items: &mut Items<'_>, out: &mut Vec<u8>) -> Result<(), OpenFailure> {
    loop {
        let mut ahead = items.clone();
        let head = ahead.next()?.ok_or(OpenFailure::Unexpected)?;
        let Kind::Attribute(pairs) = head.kind else {
            return Ok(());
        };
        out.extend_from_slice(head.raw);
        for _ in 0..pairs.saturating_mul(2) {
            out.extend_from_slice(ahead.skip()?);
        }
        *items = ahead;
    }
}

/// True for commands that do not deliver the same values again: they remove several from the store, or deliver entries of
/// streams that are pending from then on, or behind the position of the reader.
fn delivers_once(command: &str) -> bool {
    matches!(
        command,
        "lpop"
            | "rpop"
            | "lmpop"
            | "blmpop"
            | "hgetdel"
            | "spop"
            | "zpopmin"
            | "zpopmax"
            | "zmpop"
            | "bzmpop"
            | "xread"
            | "xreadgroup"
            | "xclaim"
            | "xautoclaim"
    )
}
