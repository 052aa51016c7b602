//! Outward: a request with values becomes the same request with envelopes. Whatever is no value goes
//! as it came, byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;
use waxseal_core::{Binding, Form, SealError, Sealer, UserKey};
use waxseal_keys::instrumented;
use waxseal_metrics::ValueMetrics;
use waxseal_policy::{Place, RequestChange, ValueSlot};
use waxseal_resp::{write_bulk, write_request_head};

use crate::protection::Protection;
use crate::server_limits::MaxValue;

/// The longest name of a record whose values are sealed. Each value authenticates it, so a hash with
/// a million fields reads it a million times.
const MAX_NAME_LEN: usize = 64 * 1024;

/// The users' keys that the values of one request are sealed under, by argument.
#[derive(Default)]
pub(crate) struct SealingKeys(SmallVec<[(usize, Arc<UserKey>); 2]>);

impl SealingKeys {
    /// Adds the key of a value. The arguments come in any order, each once.
    pub(crate) fn push(&mut self, argument: usize, key: Arc<UserKey>) {
        let in_order = self.0.last().is_none_or(|(last, _)| *last < argument);
        let place = if in_order {
            self.0.len()
        } else {
            self.0.partition_point(|(other, _)| *other < argument)
        };
        self.0.insert(place, (argument, key));
    }

    fn get(&self, argument: usize) -> Option<&Arc<UserKey>> {
        let place = self.0.binary_search_by_key(&argument, |(other, _)| *other);
        self.0.get(place.ok()?).map(|(_, key)| key)
    }
}

/// The bytes sent in place of an argument.
pub(crate) enum Replacement<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The argument, sealed.
    Sealed(ValueSlot),
}

/// Why a request with values is not sent.
pub(crate) enum NotSent {
    /// A value was not sealed.
    NotSealed(SealError),
    /// A value is longer, as it would be stored, than the server takes.
    TooLongForServer { len: u64, most: MaxValue },
}

impl From<SealError> for NotSent {
    fn from(error: SealError) -> Self {
        Self::NotSealed(error)
    }
}

/// One request, taken apart.
pub(crate) struct Request<'a> {
    /// Its bytes.
    pub(crate) raw: &'a [u8],
    pub(crate) arguments: &'a [&'a [u8]],
    /// Where the arguments stand in the bytes; empty for a line of words.
    pub(crate) spans: &'a [(usize, usize)],
}

impl Request<'_> {
    /// Appends what is to be sent. On an error nothing was appended.
    pub(crate) fn send(
        &self,
        change: RequestChange,
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        match change {
            RequestChange::None => out.extend_from_slice(self.raw),
            RequestChange::Reword { arguments, word } => {
                write_request_head(out, self.arguments.len());
                let mut replaced = arguments.iter().peekable();
                for (index, argument) in self.arguments.iter().enumerate() {
                    let is_replaced = replaced.next_if(|at| **at == index).is_some();
                    write_bulk(
                        out,
                        if is_replaced {
                            word.as_bytes()
                        } else {
                            argument
                        },
                    );
                }
            }
            RequestChange::Replace { command, arguments } => {
                let arguments = self.arguments.get(arguments).unwrap_or_default();
                write_request_head(out, arguments.len().saturating_add(1));
                write_bulk(out, command.as_bytes());
                for argument in arguments {
                    write_bulk(out, argument);
                }
            }
            RequestChange::Seal(mut slots) => {
                slots.sort_unstable_by_key(|slot| slot.argument);
                let before = out.len();
                let sent = if self.spans.is_empty() {
                    self.send_rebuilt(slots, protection, keys, out)
                } else {
                    self.send_spliced(slots, protection, keys, out)
                };
                if let Err(error) = sent {
                    out.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Appends the request with these arguments replaced; they are in order. On an error nothing was appended.
    pub(crate) fn send_replaced(
        &self,
        replaced: &[(usize, Replacement<'_>)],
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        let before = out.len();
        write_request_head(out, self.arguments.len());
        let mut replaced = replaced.iter().peekable();
        for (index, argument) in self.arguments.iter().enumerate() {
            match replaced.next_if(|(at, _)| *at == index) {
                None => write_bulk(out, argument),
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

    /// The bytes between the values as they came, the values sealed. The slots are in order.
    fn send_spliced(
        &self,
        slots: SmallVec<[ValueSlot; 2]>,
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        let mut copied = 0;
        for slot in slots {
            // A value that cannot be found is a value that would go out in clear.
            let found = self.spans.get(slot.argument).copied();
            let (_, end) = found.ok_or(SealError::TooLong)?;
            // A value's head begins where the argument before it ends.
            let before = slot.argument.checked_sub(1);
            let head = before
                .and_then(|before| self.spans.get(before))
                .map_or(0, |(_, end)| end.saturating_add(2));
            out.extend_from_slice(self.raw.get(copied..head).unwrap_or_default());
            self.seal(&slot, protection, keys, |value| write_bulk(out, value))?;
            copied = end.saturating_add(2);
        }
        out.extend_from_slice(self.raw.get(copied..).unwrap_or_default());
        Ok(())
    }

    /// A line of words cannot hold an envelope: it is written as an array. The slots are in order.
    fn send_rebuilt(
        &self,
        slots: SmallVec<[ValueSlot; 2]>,
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        write_request_head(out, self.arguments.len());
        let mut slots = slots.iter().peekable();
        for (index, argument) in self.arguments.iter().enumerate() {
            match slots.next_if(|slot| slot.argument == index) {
                Some(slot) => self.seal(slot, protection, keys, |value| write_bulk(out, value))?,
                None => write_bulk(out, argument),
            }
        }
        // A value that was not found is a value that went out in clear.
        match slots.next() {
            None => Ok(()),
            Some(_) => Err(SealError::TooLong.into()),
        }
    }

    fn seal(
        &self,
        slot: &ValueSlot,
        protection: &Protection,
        keys: &SealingKeys,
        then: impl FnOnce(&[u8]),
    ) -> Result<(), NotSent> {
        let argument = |index: usize| self.arguments.get(index).copied().unwrap_or_default();
        let Place {
            pattern,
            name,
            field,
        } = slot.place;
        let name = argument(name);
        if name.len() > MAX_NAME_LEN {
            return Err(SealError::TooLong.into());
        }
        let binding = match field {
            Some(field) => Binding::field(name, argument(field)),
            None => Binding::record(name),
        };
        let sealer = protection.sealer(pattern).ok_or(SealError::NoKey)?;
        let value = argument(slot.argument);
        // Values of excepted names are none of those that are counted as sealed or not.
        let meters = protection.metered().filter(|_| !pattern.is_excepted());
        let meters = meters.map(|meters| &meters.values);
        let since = meters.and_then(ValueMetrics::start_seal_timer);
        let of_user = sealer.mode().seals() && protection.user(pattern, name).is_some();
        protection.notice_envelope(value, pattern, || {
            let opens = |sealer: &Sealer| matches!(sealer.open(value, binding), Ok(Some(it)) if it.form != Form::Plain);
            match keys.get(slot.argument) {
                Some(key) => opens(&sealer.clone().for_user(key.clone())),
                None => opens(sealer),
            }
        });
        let stored = if !of_user {
            sealer.to_store(value, binding)
        } else {
            // Never under another key instead.
            let key = keys.get(slot.argument).ok_or(SealError::NoKey)?;
            let sealer = sealer.clone().for_user(key.clone());
            sealer.seal(value, binding).map(Cow::Owned)
        };
        if let Some(meters) = meters {
            meters.record_seal_duration(since);
            meters.sealed(instrumented::seal_outcome(&stored, sealer));
        }
        let stored = stored?;
        let most = protection.server_limits().max_value();
        let len = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        if len > most.bytes {
            // The server would close the connection, after it has got the whole value.
            return Err(NotSent::TooLongForServer { len, most });
        }
        then(&stored);
        Ok(())
    }
}
