//! The commands of a transaction as they are sent again: with results in the places of the commands that compute, and with
//! scripts in the places of those that move values.
//!
//! Any command may fail when it is executed, although all is known that it depends on. So nothing is written that was
//! computed behind a command which changes the record, but by a script that compares. Only the first result of a record goes
//! without: what it was computed from is watched.
//!
//! Commands that follow each other on one value are written at once, by the first of them. The others leave only `EXISTS` in
//! the queue, so that there is a reply in their places.

use std::collections::HashMap;

use waxseal_compute::Expiry;
use waxseal_lua::{REPLACE_FIELD, write_eval};
use waxseal_named::NameView;
use waxseal_policy::Moved;
use waxseal_policy::table::find;
use waxseal_resp::{write_bulk, write_request_head};

use super::Replay;
use super::groups::{Group, groups};
use super::journal::{ComputedEntry, Entry, MoveEntry, Replaced};
use super::queueing::OWN_EXISTS;
use super::sources::{MoveSource, values_at_destination};
use super::values::{Current, WatchedValues};
use crate::answers;
use crate::connection::computed::{Chain, Change, has_field_lifetimes, write_compared};
use crate::connection::moves::values::{MovedValue, Source, write_move};
use crate::connection::state::ConnectionState;
use crate::connection::stored::StoredValue;
use crate::location::BorrowedLocation;
use crate::open::ReplayedReply;
use crate::pending::Shape;
use crate::seal::seal_value;

/// The number of times that a transaction may pass through as many bytes as it may have, to compute.
const MAX_PASSES: usize = 16;

impl ConnectionState {
    /// Appends the commands of a transaction, with the results of those that compute and the scripts of those that move in
    /// their places, and puts their replies among its shapes. `Err` is the answer if it cannot be sent.
    pub(super) fn write_queue(
        &self,
        replay: &mut Replay,
        upstream: &mut Vec<u8>,
    ) -> Result<(), Vec<u8>> {
        let Replay {
            journal,
            shapes,
            values,
            sources,
            ..
        } = replay;
        for source in sources.iter_mut() {
            source.begin();
        }
        let mut groups = groups(journal, values);
        // The replies of commands that are written by one before them.
        let mut written_before: HashMap<usize, Shape> = HashMap::new();
        // Bytes of what was computed, and of what it was computed on.
        let (mut computed, mut work) = (0_usize, 0_usize);
        // Bytes of the scripts that move values, each of which may have all values of its record.
        let mut moved = 0_usize;
        let mut at = 0_usize;
        for (position, (entry, sent)) in journal.iter().enumerate() {
            let shape = shapes.get_mut(at).map(|(_, shape)| shape);
            at = at.saturating_add(entry.requests);
            let written = upstream.len();
            let reply = match entry.replaced.as_deref() {
                None => {
                    upstream.extend_from_slice(sent);
                    self.follow((entry, (sent, journal.view())), values, sources);
                    continue;
                }
                Some(Replaced::Computed(entry)) => {
                    if let Some(group) = groups.remove(&position) {
                        let group = self.compute_group(&group, values, sources, upstream)?;
                        computed = computed.saturating_add(group.len);
                        work = work.saturating_add(group.work);
                        written_before.extend(group.shapes);
                    }
                    let is_written = upstream.len() > written;
                    computed = computed.saturating_add(upstream.len().saturating_sub(written));
                    self.check_computed(computed, work)?;
                    if !is_written {
                        write_exists(&[&entry.stored], upstream);
                    }
                    written_before.remove(&position)
                }
                Some(Replaced::Move(entry)) => {
                    let reply = self.move_entry(entry, values, sources, upstream);
                    let script = upstream.len().saturating_sub(written);
                    moved = moved.saturating_add(script);
                    let held = sources.iter().map(MoveSource::retained_bytes);
                    if held.fold(moved, usize::saturating_add) > self.limits.of_moves() {
                        return Err(answers::transaction_too_large());
                    }
                    Some(reply.unwrap_or_else(|answer| {
                        // Nothing is written: the read stays in its place.
                        upstream.extend_from_slice(sent);
                        Shape::Fixed(answer.into())
                    }))
                }
            };
            if let (Some(shape), Some(reply)) = (shape, reply) {
                *shape = reply;
            }
        }
        Ok(())
    }

    /// Follows a command that was sent as it was queued.
    fn follow(
        &self,
        (entry, sent): (&Entry, (&[u8], Option<&NameView>)),
        values: &mut WatchedValues,
        sources: &mut [MoveSource],
    ) {
        entry.with_arguments(sent, |arguments| {
            let Some(row) = find(arguments) else {
                return;
            };
            for at in row.names.places(arguments) {
                self.follow_record((row, arguments, at), values);
            }
        });
        if !sources.is_empty() {
            entry.with_arguments(sent, |arguments| self.add_values_put(arguments, sources));
        }
    }

    /// Appends the script that moves values. `Err` is its answer if it cannot.
    fn move_entry(
        &self,
        entry: &MoveEntry,
        values: &mut WatchedValues,
        sources: &mut [MoveSource],
        upstream: &mut Vec<u8>,
    ) -> Result<Shape, Vec<u8>> {
        let name = entry.source.name();
        let is_source = |it: &MoveSource| it.source.name() == name;
        let source = sources.iter().find(|it| is_source(it));
        let candidates = source.map(|it| it.candidates(entry.moved));
        let candidates = candidates.unwrap_or_default().into_iter();
        let sealed = self.seal_moved(candidates, &entry.destination, entry.key.as_ref());
        let sealed = sealed.map_err(|error| self.record_send_error(entry.command, &[], &error))?;
        let names = entry.stored.each_ref().map(|stored| &stored[..]);
        let dialect = self.protection.server_limits().dialect();
        write_move(entry.moved, names, (&sealed, dialect), upstream);
        values.follow_move(entry, &sealed);
        let failure = source.and_then(|it| it.failure.clone());
        let otherwise =
            failure.unwrap_or_else(|| answers::unforeseen_in_transaction(entry.command));
        let is_moved_on = |it: &MoveSource| it.source.name() == &entry.destination.name[..];
        let moved_on: Vec<MovedValue> = match sources.iter().any(is_moved_on) {
            true => values_at_destination(&sealed, entry.moved),
            false => Vec::new(),
        };
        drop(sealed);
        if let Some(source) = sources.iter_mut().find(|it| is_source(it)) {
            source.take(entry.moved);
        }
        if let Some(destination) = sources.iter_mut().find(|it| is_moved_on(it)) {
            destination.add(moved_on);
        }
        let element = match (entry.moved, &entry.source) {
            (Moved::Element { .. }, Source::Protected(location)) => Some(location.clone()),
            _ => None,
        };
        let reply = ReplayedReply::Moved { element, otherwise };
        Ok(Shape::Replayed(Box::new(reply)))
    }

    /// Computes commands that are written at once, and appends what they write, or what compares if that may tell that
    /// they fail. Nothing is appended if nothing has to be done. `Err` is the answer if the transaction cannot be sent.
    fn compute_group(
        &self,
        group: &Group<'_>,
        values: &mut WatchedValues,
        sources: &mut [MoveSource],
        upstream: &mut Vec<u8>,
    ) -> Result<Written, Vec<u8>> {
        let Some((value, current)) = values.get(group.value).zip(values.current(group.value))
        else {
            return Err(answers::unforeseen_in_transaction("exec"));
        };
        let location = value.location.borrowed();
        let name = value.stored.clone();
        let place = (&name[..], location.field);
        let record = values.record(location.name);
        let is_touched = record.is_some_and(|record| record.is_touched);
        let held = match current {
            Current::Value(value) => Ok(value.as_ref()),
            Current::WrongType => Err(None),
            Current::Failed(answer) => Err(Some(answer)),
        };
        let (mut chain, mut computed) = self.compute_answers(group, held)?;
        let next = self.sealed(group, location, &mut chain);
        let next = match next {
            Ok(next) => next,
            Err(answer) => {
                // Nothing is written.
                computed.answers.fill(answer);
                chain.change = None;
                None
            }
        };
        let stored = next.as_ref().map(|value| &*value.stored);
        let is_compared = is_touched && !matches!(held, Err(Some(_)));
        if is_compared {
            // Where a record of another type is expected, no value is the right one.
            let before = match held {
                Ok(held) => held.map(|value| &*value.stored),
                Err(_) => Some(&b""[..]),
            };
            let change = chain.change.map(|change| (change, stored));
            let dialect = self.protection.server_limits().dialect();
            write_compared(place, (before, change), dialect, upstream);
        } else if let Some(change) = chain.change {
            self.write_watched(change, stored, place, upstream);
        }
        let shapes = group.shapes(computed.answers, is_compared);
        if let Some(change) = chain.change {
            if let Some(value) = &next {
                let is_source = |it: &&mut MoveSource| it.source.name() == location.name;
                for source in sources.iter_mut().filter(is_source) {
                    source.add([MovedValue {
                        kind: location.kind,
                        field: location.field.map(Box::from),
                        value: value.clone(),
                    }]);
                }
            }
            group.leave(change, next, values);
        }
        Ok(Written {
            shapes,
            len: computed.len,
            work: computed.work,
        })
    }

    /// Computes the commands of a group on this value, or on none for this reason. `Err` is the answer if that would be too
    /// much.
    fn compute_answers(
        &self,
        group: &Group<'_>,
        held: Result<Option<&StoredValue>, Option<&Vec<u8>>>,
    ) -> Result<(Chain, Answers), Vec<u8>> {
        let mut chain = Chain::default();
        let mut computed = Answers::default();
        let before = held.ok().flatten().map_or(0, |it| it.value().len());
        for (_, entry) in &group.members {
            let passed = chain.value.as_ref().map_or(before, Vec::len);
            computed.work = computed.work.saturating_add(passed);
            let answer = match held {
                Ok(held) => self.compute_entry(entry, &mut chain, held),
                Err(None) => answers::server_error(entry.operation.wrong_type()),
                Err(Some(answer)) => answer.clone(),
            };
            computed.len = computed.len.saturating_add(answer.len());
            computed.answers.push(answer);
            self.check_computed(computed.len, computed.work)?;
        }
        Ok((chain, computed))
    }

    /// `Err` is the answer to a transaction that holds or sends too many bytes, or computes on too many.
    fn check_computed(&self, len: usize, work: usize) -> Result<(), Vec<u8>> {
        let max = self.limits.of_transactions();
        match len > max || work / MAX_PASSES > max {
            true => Err(answers::transaction_too_large()),
            false => Ok(()),
        }
    }

    /// The answer to a command, computed behind the others of its group.
    fn compute_entry(
        &self,
        entry: &ComputedEntry,
        chain: &mut Chain,
        held: Option<&StoredValue>,
    ) -> Vec<u8> {
        let limit = self.limits.value;
        let operation = (&entry.operation, entry.needs_value);
        let Some(reply) = chain.compute(held.map(StoredValue::value), operation, limit) else {
            return answers::computed_too_large(entry.command, limit);
        };
        let mut answer = Vec::new();
        reply.write(&mut answer, self.client.protocol.of_computed());
        answer
    }

    /// The value that a group leaves, as it is stored. `Err` is the answer if it cannot be sealed.
    fn sealed(
        &self,
        group: &Group<'_>,
        location: BorrowedLocation<'_>,
        chain: &mut Chain,
    ) -> Result<Option<StoredValue>, Vec<u8>> {
        let Some((value, (_, entry))) = chain.value.take().zip(group.members.last()) else {
            return Ok(None);
        };
        let stored = seal_value(&value, location, entry.key.as_ref(), &self.protection);
        let stored = stored.map_err(|error| self.record_send_error(entry.command, &[], &error))?;
        Ok(Some(StoredValue::sealed(stored.into_owned(), value)))
    }

    /// Appends the request that makes a change to what was read and is watched, so that nothing needs to be compared. The
    /// place is the stored name of the record, and the field.
    fn write_watched(
        &self,
        change: Change,
        stored: Option<&[u8]>,
        (name, field): (&[u8], Option<&[u8]>),
        upstream: &mut Vec<u8>,
    ) {
        let (Change::Put(expiry), Some(stored)) = (change, stored) else {
            write_request_head(upstream, 2);
            write_bulk(upstream, b"dEL");
            write_bulk(upstream, name);
            return;
        };
        if let Some(field) = field {
            let lifetimes = has_field_lifetimes(self.protection.server_limits().dialect());
            let arguments = [field, b"*", b"", stored, lifetimes];
            if lifetimes == b"1" {
                return write_eval(upstream, REPLACE_FIELD, &[name], &arguments);
            }
            write_request_head(upstream, 4);
            for argument in [b"hSET", name, field, stored] {
                write_bulk(upstream, argument);
            }
            return;
        }
        let number;
        let options: &[&[u8]] = match expiry {
            Expiry::Keep => &[b"KEEPTTL"],
            Expiry::Clear => &[],
            Expiry::Set(option, time) => {
                number = time.to_string();
                &[option.as_str().as_bytes(), number.as_bytes()]
            }
        };
        write_request_head(upstream, options.len().saturating_add(3));
        write_bulk(upstream, b"sET");
        write_bulk(upstream, name);
        write_bulk(upstream, stored);
        for option in options {
            write_bulk(upstream, option);
        }
    }
}

/// The replies of commands that were computed.
#[derive(Default)]
struct Answers {
    answers: Vec<Vec<u8>>,
    /// Bytes of them.
    len: usize,
    /// Bytes of the values that they were computed on.
    work: usize,
}

/// Commands of a group that was written.
struct Written {
    /// The replies, with their positions.
    shapes: Vec<(usize, Shape)>,
    len: usize,
    work: usize,
}

/// Appends a request that changes nothing.
fn write_exists(names: &[&[u8]], upstream: &mut Vec<u8>) {
    write_request_head(upstream, names.len().saturating_add(1));
    write_bulk(upstream, OWN_EXISTS);
    for name in names {
        write_bulk(upstream, name);
    }
}
