//! The commands of a transaction as they were queued, so that they can be queued again.

use std::sync::Arc;

use waxseal_compute::Operation;
use waxseal_core::UserKey;
use waxseal_resp::{RequestLimits, RequestScanner, Scan};

use crate::location::OwnedLocation;

/// What was queued since `MULTI`.
#[derive(Default)]
pub(in crate::connection) struct Journal {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The command that is being queued is this one.
    next: Option<Box<ComputedEntry>>,
    has_computed: bool,
    /// Something was queued that is not in it.
    is_incomplete: bool,
    /// `CLIENT CACHING`, sent just before `MULTI`, which applies to all its commands.
    caching: Option<Box<[u8]>>,
}

/// One command.
pub(super) struct Entry {
    /// Its end in the bytes.
    end: usize,
    /// The number of requests that it is, which is larger with a prelude.
    pub(super) requests: usize,
    /// The command that its read stands for.
    pub(super) computed: Option<Box<ComputedEntry>>,
}

/// A command that computes.
pub(super) struct ComputedEntry {
    pub(super) command: &'static str,
    pub(super) operation: Operation,
    /// Where there is no value it changes nothing, and the answer is null.
    pub(super) needs_value: bool,
    pub(super) location: OwnedLocation,
    /// The user's key that its value is sealed under.
    pub(super) key: Option<Arc<UserKey>>,
}

impl Journal {
    /// A journal of a transaction that `CLIENT CACHING` was said before.
    pub(in crate::connection) fn new(caching: Option<Box<[u8]>>) -> Self {
        Self {
            caching,
            ..Self::default()
        }
    }

    /// Adds a command that was queued as so many requests. Returns false if it would become longer than `max`.
    pub(in crate::connection) fn push(
        &mut self,
        (sent, requests): (&[u8], usize),
        max: usize,
    ) -> bool {
        let computed = self.next.take();
        if self.is_incomplete || self.bytes.len().saturating_add(sent.len()) > max {
            self.mark_incomplete();
            return false;
        }
        self.has_computed |= computed.is_some();
        self.bytes.extend_from_slice(sent);
        self.entries.push(Entry {
            end: self.bytes.len(),
            requests,
            computed,
        });
        true
    }

    /// The command that is queued next stands for this one.
    pub(super) fn add_computed(&mut self, entry: ComputedEntry) {
        self.next = Some(Box::new(entry));
    }

    /// A command was queued that is not in it.
    pub(in crate::connection) fn mark_incomplete(&mut self) {
        self.is_incomplete = true;
        self.has_computed |= self.next.take().is_some();
        self.bytes = Vec::new();
    }

    pub(in crate::connection) fn has_computed(&self) -> bool {
        self.has_computed
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    pub(super) fn caching(&self) -> Option<&[u8]> {
        self.caching.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of requests that were queued.
    pub(super) fn requests(&self) -> usize {
        self.entries.iter().map(|entry| entry.requests).sum()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The commands, each with its bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Entry, &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let bytes = self.bytes.get(start..entry.end).unwrap_or_default();
            start = entry.end;
            (entry, bytes)
        })
    }

    /// True if `holds` is true of the arguments of any command that was queued as it is.
    pub(super) fn any(&self, mut holds: impl FnMut(&[&[u8]]) -> bool) -> bool {
        self.iter()
            .filter(|(entry, _)| entry.computed.is_none())
            .any(|(_, bytes)| with_arguments(bytes, &mut holds).unwrap_or(true))
    }
}

/// Calls `with` with the arguments of the last of these requests: others are its prelude. `None` if these are not requests.
pub(super) fn with_arguments<T>(mut bytes: &[u8], with: impl FnOnce(&[&[u8]]) -> T) -> Option<T> {
    let limits = RequestLimits {
        held: u64::MAX,
        ..RequestLimits::default()
    };
    loop {
        let mut scanner = RequestScanner::new(limits);
        let Ok(Scan::Complete { len }) = scanner.scan(bytes) else {
            return None;
        };
        if len == bytes.len() {
            return Some(with(&scanner.arguments(bytes)));
        }
        bytes = bytes.get(len..)?;
    }
}
