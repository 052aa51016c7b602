//! The request direction of values: a request with values becomes the same request with envelopes. Everything else is
//! sent unchanged, byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;
use waxseal_core::{Form, SealError, Sealer, UserKey};
use waxseal_keys::instrumented;
use waxseal_metrics::ValueMetrics;
use waxseal_policy::{RequestChange, ServerGlob, ValueSlot};
use waxseal_resp::{write_bulk, write_request_head};

use crate::location::{BorrowedLocation, binding};
use crate::protection::Protection;
use crate::server_limits::MaxValue;

mod names;
mod prelude;

pub(crate) use names::WireNames;
pub(crate) use prelude::{MemberForms, are_compared};

/// The longest name of a record whose values are sealed. Each value authenticates it, so a hash with a million fields
/// reads it a million times.
const MAX_NAME_LEN: usize = 64 * 1024;

/// The users' keys that the values of one request are sealed under, by the argument that is the value.
#[derive(Default)]
pub(crate) struct SealingKeys(SmallVec<[(usize, Arc<UserKey>); 2]>);

impl SealingKeys {
    /// Adds the key of a value. Arguments are added in any order, each once.
    pub(crate) fn push(&mut self, argument: usize, key: Arc<UserKey>) {
        let in_order = self.0.last().is_none_or(|(last, _)| *last < argument);
        let position = if in_order {
            self.0.len()
        } else {
            self.0.partition_point(|(other, _)| *other < argument)
        };
        self.0.insert(position, (argument, key));
    }

    /// The key of a value, if it is under a user's.
    pub(crate) fn get(&self, argument: usize) -> Option<&Arc<UserKey>> {
        let position = self.0.binary_search_by_key(&argument, |(other, _)| *other);
        self.0.get(position.ok()?).map(|(_, key)| key)
    }
}

/// The bytes sent in place of an argument.
pub(crate) enum Replacement<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The argument, sealed.
    Sealed(ValueSlot),
}

/// The reason why a request with values is not sent.
pub(crate) enum SendError {
    /// A value was not sealed.
    NotSealed(SealError),
    /// A value is longer, as it would be stored, than the server accepts.
    TooLongForServer { len: u64, max: MaxValue },
    /// There are more members than are given the written form at a time.
    TooManyMembers { max: usize },
}

impl From<SealError> for SendError {
    fn from(error: SealError) -> Self {
        Self::NotSealed(error)
    }
}

/// One request and its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Its bytes.
    pub(crate) raw: &'a [u8],
    pub(crate) arguments: &'a [&'a [u8]],
    /// The positions of the arguments in the bytes; empty for an inline request.
    pub(crate) spans: &'a [(usize, usize)],
    /// The names that the server has in place of the client's; none until it has been decided what the arguments are.
    pub(crate) names: &'a WireNames,
}

impl Request<'_> {
    /// Appends what is sent for the request. On an error nothing was appended.
    pub(crate) fn send(
        &self,
        change: &RequestChange,
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match change {
            RequestChange::None => self.forward(out),
            RequestChange::Reword { arguments, word } => {
                write_request_head(out, self.arguments.len());
                let mut replaced = arguments.iter().peekable();
                for index in 0..self.arguments.len() {
                    let is_replaced = replaced.next_if(|at| **at == index).is_some();
                    write_bulk(
                        out,
                        if is_replaced {
                            word.as_bytes()
                        } else {
                            self.wire(index)
                        },
                    );
                }
            }
            RequestChange::Glob { arguments, glob } => {
                let ServerGlob::Bytes(glob) = glob else {
                    // It is among the names of the request.
                    self.forward(out);
                    return Ok(());
                };
                let replaced: SmallVec<[_; 2]> = arguments
                    .iter()
                    .map(|at| (*at, Replacement::Bytes(glob)))
                    .collect();
                self.send_replaced(&replaced, protection, keys, out)?;
            }
            RequestChange::Omit(omitted) => {
                let sent = self.arguments.len().saturating_sub(omitted.len());
                write_request_head(out, sent);
                let mut omitted = omitted.iter().peekable();
                for index in 0..self.arguments.len() {
                    if omitted.next_if(|at| **at == index).is_none() {
                        write_bulk(out, self.wire(index));
                    }
                }
            }
            RequestChange::Replace { command, arguments } => {
                let last = arguments.end.min(self.arguments.len());
                let arguments = arguments.start.min(last)..last;
                write_request_head(out, arguments.len().saturating_add(1));
                write_bulk(out, command.as_bytes());
                for index in arguments {
                    write_bulk(out, self.wire(index));
                }
            }
            RequestChange::Seal(slots) => {
                let mut slots = Cow::Borrowed(&slots[..]);
                if !slots.is_sorted_by_key(|slot| slot.argument) {
                    slots.to_mut().sort_unstable_by_key(|slot| slot.argument);
                }
                let before = out.len();
                let sent = if self.spans.is_empty() {
                    self.send_rebuilt(&slots, protection, keys, out)
                } else {
                    self.send_spliced(&slots, protection, keys, out)
                };
                if let Err(error) = sent {
                    out.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Appends the request with these arguments, which are in order, replaced. On an error nothing was appended.
    pub(crate) fn send_replaced(
        &self,
        replaced: &[(usize, Replacement<'_>)],
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let before = out.len();
        write_request_head(out, self.arguments.len());
        let mut replaced = replaced.iter().peekable();
        for index in 0..self.arguments.len() {
            match replaced.next_if(|(at, _)| *at == index) {
                None => write_bulk(out, self.wire(index)),
                Some((_, Replacement::Bytes(bytes))) => write_bulk(out, bytes),
                Some((_, Replacement::Sealed(slot))) => {
                    let sealed = self.seal(slot, protection, keys, |value| write_bulk(out, value));
                    if let Err(error) = sealed {
                        out.truncate(before);
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends the bytes between names and values unchanged, the stored names, and the values sealed. The slots are in order.
    fn send_spliced(
        &self,
        slots: &[ValueSlot],
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let mut copied = 0;
        let mut names = self.names.iter().peekable();
        let mut slots = slots.iter().peekable();
        loop {
            let at = slots.peek().map(|slot| slot.argument);
            // What is both is sealed as a value: as a name it would be in clear where it is not one.
            let name = names.next_if(|(argument, _)| at.is_none_or(|at| *argument < at));
            let Some(argument) = name.map(|(argument, _)| argument).or(at) else {
                break;
            };
            // A value that is not found would be sent in clear.
            let (head, end) = self.place(argument).ok_or(SealError::TooLong)?;
            out.extend_from_slice(self.raw.get(copied..head).unwrap_or_default());
            match name {
                Some((_, name)) => write_bulk(out, name),
                None => {
                    names.next_if(|(argument, _)| Some(*argument) == at);
                    if let Some(slot) = slots.next() {
                        self.seal(slot, protection, keys, |value| write_bulk(out, value))?;
                    }
                }
            }
            copied = end;
        }
        out.extend_from_slice(self.raw.get(copied..).unwrap_or_default());
        Ok(())
    }

    /// Appends an inline request, which cannot hold an envelope, as an array. The slots are in order.
    fn send_rebuilt(
        &self,
        slots: &[ValueSlot],
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        write_request_head(out, self.arguments.len());
        let mut slots = slots.iter().peekable();
        for index in 0..self.arguments.len() {
            match slots.next_if(|slot| slot.argument == index) {
                Some(slot) => self.seal(slot, protection, keys, |value| write_bulk(out, value))?,
                None => write_bulk(out, self.wire(index)),
            }
        }
        // A value that was not found was sent in clear.
        match slots.next() {
            None => Ok(()),
            Some(_) => Err(SealError::TooLong.into()),
        }
    }

    /// Seals a value and hands it to `write`.
    fn seal(
        &self,
        slot: &ValueSlot,
        protection: &Protection,
        keys: &SealingKeys,
        write: impl FnOnce(&[u8]),
    ) -> Result<(), SendError> {
        let value = self.arguments.get(slot.argument).copied();
        let location = slot.location.resolve(self.arguments);
        let key = keys.get(slot.argument);
        write(&seal_value(
            value.unwrap_or_default(),
            location,
            key,
            protection,
        )?);
        Ok(())
    }
}

/// A value as it is stored at this location, under this user's key if it is under one.
pub(crate) fn seal_value<'v>(
    value: &'v [u8],
    location: BorrowedLocation<'_>,
    key: Option<&Arc<UserKey>>,
    protection: &Protection,
) -> Result<Cow<'v, [u8]>, SendError> {
    let (pattern, name) = (location.pattern, location.name);
    if name.len() > MAX_NAME_LEN {
        return Err(SealError::TooLong.into());
    }
    let binding = binding(location);
    let sealer = protection.sealer(pattern).ok_or(SealError::NoKey)?;
    // Values of excepted names are not counted as sealed or not sealed.
    let meters = protection.metered().filter(|_| !pattern.is_excepted());
    let meters = meters.map(|meters| &meters.values);
    let since = meters.and_then(ValueMetrics::start_seal_timer);
    let is_user_key = sealer.mode().seals() && protection.user(pattern, name).is_some();
    protection.check_for_envelope(value, pattern, || {
        let opens = |sealer: &Sealer| {
            matches!(sealer.open(value, binding), Ok(Some(opened)) if opened.form != Form::Plain)
        };
        // One of an older version than is accepted is an envelope as well.
        let sealer = sealer.clone().accepting_all();
        match key {
            Some(key) => opens(&sealer.for_user(key.clone())),
            None => opens(&sealer),
        }
    });
    let stored = if !is_user_key {
        sealer.to_store(value, binding)
    } else {
        // It is never sealed under another key instead.
        let key = key.ok_or(SealError::NoKey)?;
        let sealer = sealer.clone().for_user(key.clone());
        sealer.seal(value, binding).map(Cow::Owned)
    };
    if let Some(meters) = meters {
        meters.record_seal_duration(since);
        meters.sealed(instrumented::seal_outcome(&stored, sealer));
    }
    let stored = stored?;
    let max = protection.server_limits().max_value();
    let len = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    if len > max.bytes {
        // The server would close the connection after receiving the whole value.
        return Err(SendError::TooLongForServer { len, max });
    }
    Ok(stored)
}
