//! The commands of a transaction as they are sent again: with results in the places of the commands that compute, and with
//! scripts in the places of those that move values.
//!
//! A script may fail although all other commands do what they are expected to. So what is computed behind a move is written
//! by a script that compares.

use waxseal_compute::{ApplyError, Expiry, Reply, Write};
use waxseal_lua::{REPLACE_FIELD, REPLACE_STRING, write_eval};
use waxseal_policy::Moved;
use waxseal_resp::{write_bulk, write_request_head};

use super::Replay;
use super::journal::{ComputedEntry, Entry, MoveEntry, Replaced};
use super::replies::{Current, WatchedValue};
use super::simulation::follow_move;
use super::sources::{MoveSource, values_at_destination};
use crate::answers;
use crate::connection::computed::has_field_lifetimes;
use crate::connection::moves::values::{MovedValue, Source, write_move};
use crate::connection::state::ConnectionState;
use crate::connection::stored::StoredValue;
use crate::location::BorrowedLocation;
use crate::open::ReplayedReply;
use crate::pending::Shape;
use crate::seal::seal_value;

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
        for value in values.iter_mut() {
            value.begin();
        }
        for source in sources.iter_mut() {
            source.begin();
        }
        // Bytes of the scripts that move values, each of which may have all values of its record.
        let mut moved = 0_usize;
        let mut at = 0_usize;
        for (entry, sent) in journal.iter() {
            let shape = shapes.get_mut(at).map(|(_, shape)| shape);
            at = at.saturating_add(entry.requests);
            let written = upstream.len();
            let reply = match entry.replaced.as_deref() {
                None => {
                    upstream.extend_from_slice(sent);
                    self.follow((entry, sent), values, sources);
                    continue;
                }
                Some(Replaced::Computed(entry)) => {
                    self.compute_entry(entry, values, sources, upstream)
                }
                Some(Replaced::Move(entry)) => self.move_entry(entry, values, sources, upstream),
            };
            if entry.moves().is_some() {
                moved = moved.saturating_add(upstream.len().saturating_sub(written));
                let held = sources.iter().map(MoveSource::retained_bytes);
                if held.fold(moved, usize::saturating_add) > self.limits.of_moves() {
                    return Err(answers::transaction_too_large());
                }
            }
            let reply = reply.unwrap_or_else(|answer| {
                // Nothing is written: the read stays in its place.
                upstream.extend_from_slice(sent);
                Shape::Fixed(answer.into())
            });
            if let Some(shape) = shape {
                *shape = reply;
            }
        }
        Ok(())
    }

    /// Follows a command that was sent as it was queued.
    fn follow(
        &self,
        (entry, sent): (&Entry, &[u8]),
        values: &mut [WatchedValue],
        sources: &mut [MoveSource],
    ) {
        for value in values {
            let location = value.location.borrowed();
            let next = entry.with_arguments(sent, |arguments| {
                self.following(arguments, location, &value.current)
            });
            if let Some(Some(next)) = next {
                value.current = next;
            }
        }
        for source in sources {
            let put =
                entry.with_arguments(sent, |arguments| self.values_put(arguments, &source.source));
            for value in put.into_iter().flatten() {
                match value {
                    Ok(value) => source.add([value]),
                    Err(answer) => {
                        source.failure.get_or_insert(answer);
                    }
                }
            }
        }
    }

    /// Appends the script that moves values. `Err` is its answer if it cannot.
    fn move_entry(
        &self,
        entry: &MoveEntry,
        values: &mut [WatchedValue],
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
        let names = [name, &*entry.destination.name];
        let dialect = self.protection.server_limits().dialect();
        write_move(entry.moved, names, (&sealed, dialect), upstream);
        follow_move(entry, &sealed, values);
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

    /// Appends what a command that computes writes. `Err` is its answer if it writes nothing.
    fn compute_entry(
        &self,
        entry: &ComputedEntry,
        values: &mut [WatchedValue],
        sources: &mut [MoveSource],
        upstream: &mut Vec<u8>,
    ) -> Result<Shape, Vec<u8>> {
        let value = values.iter_mut().find(|it| it.location == entry.location);
        let current = value.map(|value| &mut value.current).ok_or_else(Vec::new)?;
        let held = match &*current {
            Current::Value(value) => value.as_ref(),
            Current::Failed(answer) => return Err(answer.clone()),
            Current::WrongType => return Err(answers::server_error(entry.operation.wrong_type())),
        };
        if entry.needs_value && held.is_none() {
            return Err(self.computed_reply(&Reply::Null));
        }
        let limit = self.limits.value;
        let outcome = match entry
            .operation
            .apply(&[held.map(StoredValue::value)], limit)
        {
            Ok(outcome) => outcome,
            Err(ApplyError::Server(error)) => return Err(answers::server_error(error)),
            Err(ApplyError::TooLarge { .. }) => {
                return Err(answers::computed_too_large(entry.command, limit));
            }
        };
        let answer = self.computed_reply(&outcome.reply);
        let location = entry.location.borrowed();
        let before = held.map(|value| &*value.stored);
        let next = match outcome.write {
            Write::Keep => return Err(answer),
            Write::Delete => None,
            Write::Put(value) => {
                let key = entry.key.as_ref();
                let stored = seal_value(&value, location, key, &self.protection);
                let stored =
                    stored.map_err(|error| self.record_send_error(entry.command, &[], &error))?;
                Some(StoredValue::sealed(stored.into_owned(), value))
            }
        };
        let stored = next.as_ref().map(|value| &*value.stored);
        let shape = if entry.is_behind_move {
            self.write_compared((before, stored), entry, upstream);
            let is_field = location.field.is_some();
            Shape::Replayed(Box::new(ReplayedReply::Computed { answer, is_field }))
        } else {
            match stored {
                Some(stored) => {
                    self.write_put(stored, location, entry.operation.expiry(), upstream);
                }
                None => {
                    write_request_head(upstream, 2);
                    write_bulk(upstream, b"dEL");
                    write_bulk(upstream, location.name);
                }
            }
            Shape::Fixed(answer.into())
        };
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
        *current = Current::Value(next);
        Ok(shape)
    }

    /// Appends the request that writes a result if the value is the one that it was computed from.
    fn write_compared(
        &self,
        (before, stored): (Option<&[u8]>, Option<&[u8]>),
        entry: &ComputedEntry,
        upstream: &mut Vec<u8>,
    ) {
        let exists: &[u8] = if before.is_some() { b"1" } else { b"0" };
        let (before, new) = (before.unwrap_or_default(), stored.unwrap_or_default());
        let names = [&entry.location.name[..]];
        if let Some(field) = entry.location.field.as_deref() {
            let lifetimes = has_field_lifetimes(self.protection.server_limits().dialect());
            let arguments = [field, exists, before, new, lifetimes];
            return write_eval(upstream, REPLACE_FIELD, &names, &arguments);
        }
        let number;
        let (mode, time): (&str, &[u8]) = match (stored, entry.operation.expiry()) {
            (None, _) => ("DELETE", b""),
            (Some(_), Expiry::Keep) => ("KEEPTTL", b""),
            (Some(_), Expiry::Clear) => ("NONE", b""),
            (Some(_), Expiry::Set(option, time)) => {
                number = time.to_string();
                (option.as_str(), number.as_bytes())
            }
        };
        let arguments = [exists, before, new, mode.as_bytes(), time];
        write_eval(upstream, REPLACE_STRING, &names, &arguments);
    }

    /// Appends the request that writes a result. The value is watched, so nothing is compared.
    fn write_put(
        &self,
        stored: &[u8],
        location: BorrowedLocation<'_>,
        expiry: Expiry,
        upstream: &mut Vec<u8>,
    ) {
        if let Some(field) = location.field {
            let lifetimes = has_field_lifetimes(self.protection.server_limits().dialect());
            let arguments = [field, b"*", b"", stored, lifetimes];
            if lifetimes == b"1" {
                return write_eval(upstream, REPLACE_FIELD, &[location.name], &arguments);
            }
            write_request_head(upstream, 4);
            for argument in [b"hSET", location.name, field, stored] {
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
        write_bulk(upstream, location.name);
        write_bulk(upstream, stored);
        for option in options {
            write_bulk(upstream, option);
        }
    }

    /// A computed reply in the protocol of the client.
    fn computed_reply(&self, reply: &Reply) -> Vec<u8> {
        let mut answer = Vec::new();
        reply.write(&mut answer, self.client.protocol.of_computed());
        answer
    }
}
