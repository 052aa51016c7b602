//! The commands of a transaction as they were queued, so that they can be queued again.

use std::sync::Arc;

use waxseal_compute::Operation;
use waxseal_core::UserKey;
use waxseal_named::NameView;
use waxseal_policy::{Moved, ProtectedNames};
use waxseal_resp::{RequestLimits, RequestScanner, Scan};

use super::index::QueueIndex;
use crate::connection::moves::values::Source;
use crate::connection::names::logical_arguments;
use crate::location::{Name, OwnedLocation};

/// What was queued since `MULTI`.
#[derive(Default)]
pub(in crate::connection) struct Journal {
    bytes: Vec<u8>,
    /// Bytes of commands that scripts run.
    scripted_bytes: usize,
    entries: Vec<Entry>,
    /// The command that is being queued is a script that runs this one.
    scripted: Option<Vec<u8>>,
    /// The command that is being queued is this one.
    next: Option<Box<Replaced>>,
    has_replaced: bool,
    /// What the first entries may leave, their number and their bytes.
    index: (QueueIndex, usize, usize),
    /// Something was queued that is not in it.
    is_incomplete: bool,
    /// `CLIENT CACHING`, sent just before `MULTI`, which applies to all its commands.
    caching: Option<Box<[u8]>>,
    /// The keys that its names are stored under; none before the first such name.
    view: Option<NameView>,
}

/// One command.
pub(super) struct Entry {
    /// Its end in the bytes.
    end: usize,
    /// The number of requests that it is, which is larger with a prelude.
    pub(super) requests: usize,
    /// The command that its read stands for.
    pub(super) replaced: Option<Box<Replaced>>,
    /// The command that its script runs.
    scripted: Option<Vec<u8>>,
}

/// A command in whose place a read was queued.
pub(super) enum Replaced {
    Computed(ComputedEntry),
    Move(MoveEntry),
}

/// A command that computes.
pub(super) struct ComputedEntry {
    pub(super) command: &'static str,
    pub(super) operation: Operation,
    /// Where there is no value it changes nothing, and the answer is null.
    pub(super) needs_value: bool,
    pub(super) location: OwnedLocation,
    /// The stored name of its record.
    pub(super) stored: Name,
    /// The user's key that its value is sealed under.
    pub(super) key: Option<Arc<UserKey>>,
}

/// A command that moves values to a record which they are not bound to.
pub(super) struct MoveEntry {
    pub(super) command: &'static str,
    pub(super) moved: Moved,
    pub(super) source: Source,
    pub(super) destination: OwnedLocation,
    /// The stored names of the two records.
    pub(super) stored: [Name; 2],
    /// The user's key that the values are sealed under.
    pub(super) key: Option<Arc<UserKey>>,
}

impl Entry {
    /// Calls `with` with the arguments of the command that these bytes are, or that they run, with the names that the client
    /// said. `None` if it is none.
    pub(super) fn with_arguments<T>(
        &self,
        (sent, view): (&[u8], Option<&NameView>),
        with: impl FnOnce(&[&[u8]]) -> T,
    ) -> Option<T> {
        let command = self.scripted.as_deref().unwrap_or(sent);
        with_arguments(command, |all| logical_arguments(view, all, with))
    }

    /// The move that its read stands for.
    pub(super) fn moves(&self) -> Option<&MoveEntry> {
        match self.replaced.as_deref() {
            Some(Replaced::Move(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The computed command that its read stands for.
    pub(super) fn computed(&self) -> Option<&ComputedEntry> {
        match self.replaced.as_deref() {
            Some(Replaced::Computed(entry)) => Some(entry),
            _ => None,
        }
    }
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
        let replaced = self.next.take();
        let scripted = self.scripted.take();
        let added = scripted.as_ref().map_or(0, Vec::len);
        self.scripted_bytes = self.scripted_bytes.saturating_add(added);
        if self.is_incomplete || self.len().saturating_add(sent.len()) > max {
            self.mark_incomplete();
            return false;
        }
        self.has_replaced |= replaced.is_some();
        self.bytes.extend_from_slice(sent);
        self.entries.push(Entry {
            end: self.bytes.len(),
            requests,
            replaced,
            scripted,
        });
        true
    }

    /// The request that is queued next is a script that runs this command.
    pub(in crate::connection) fn add_scripted(&mut self, command: Vec<u8>) {
        self.scripted = Some(command);
    }

    /// The command that is queued next stands for this one.
    pub(super) fn add_replaced(&mut self, command: Replaced) {
        self.next = Some(Box::new(command));
    }

    /// A command was queued that is not in it.
    pub(in crate::connection) fn mark_incomplete(&mut self) {
        self.is_incomplete = true;
        self.has_replaced |= self.next.take().is_some();
        self.bytes = Vec::new();
    }

    pub(in crate::connection) fn has_replaced(&self) -> bool {
        self.has_replaced
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// The keys that its names are stored under.
    pub(super) fn view(&self) -> Option<&NameView> {
        self.view.as_ref()
    }

    /// The same, to be set.
    pub(in crate::connection) fn view_mut(&mut self) -> &mut Option<NameView> {
        &mut self.view
    }

    pub(super) fn caching(&self) -> Option<&[u8]> {
        self.caching.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        let bytes = self.bytes.len().saturating_add(self.scripted_bytes);
        bytes.saturating_add(self.index.0.retained_bytes())
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

    /// What all the commands may leave that were queued.
    pub(super) fn index(&mut self, names: &ProtectedNames) -> &QueueIndex {
        let (index, entries, start) = &mut self.index;
        for entry in self.entries.iter().skip(*entries) {
            match entry.replaced.as_deref() {
                Some(replaced) => index.add_replaced(replaced),
                None => {
                    let bytes = self.bytes.get(*start..entry.end).unwrap_or_default();
                    let bytes = (bytes, self.view.as_ref());
                    let known = entry.with_arguments(bytes, |all| index.add(names, all));
                    if known.is_none() {
                        index.add_unknown();
                    }
                }
            }
            *start = entry.end;
        }
        *entries = self.entries.len();
        index
    }
}

/// Calls `with` with the arguments of the last of these requests: others are its prelude. `None` if these are not requests.
pub(in crate::connection) fn with_arguments<T>(
    mut bytes: &[u8],
    with: impl FnOnce(&[&[u8]]) -> T,
) -> Option<T> {
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
