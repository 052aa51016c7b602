//! Decoys: records that no application reads, so a client that reads one is an intruder. Their names, and the alarm that
//! is raised when the value of one was opened for a client.
//!
//! Costs one branch for each opened value without decoys, and one hash lookup of the record's name with them. Names come
//! from clients, so the hash is keyed: its collisions cannot be provoked.

use std::collections::HashSet;
use std::sync::Arc;

use waxseal_policy::PatternId;

use crate::location::Name;
use crate::refusals::ClientLabel;

/// A decoy whose value was opened for a client, for the log.
pub struct OpenedDecoy {
    /// The command that read it.
    pub command: &'static str,
    /// The record, as the log may show it.
    pub shown: String,
    /// The client that read it.
    pub client: ClientLabel,
}

/// Called for each decoy that was opened, once for each command that did.
pub type Alarm = Arc<dyn Fn(&OpenedDecoy) + Send + Sync>;

/// The decoys, and their alarm.
pub(crate) struct Decoys {
    names: HashSet<Box<[u8]>>,
    pub(crate) alarm: Alarm,
}

impl Decoys {
    /// Returns `None` if there are no names.
    pub(crate) fn new(names: impl IntoIterator<Item = Vec<u8>>, alarm: Alarm) -> Option<Self> {
        let names: HashSet<_> = names.into_iter().map(Vec::into_boxed_slice).collect();
        (!names.is_empty()).then_some(Self { names, alarm })
    }

    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.names.contains(name)
    }
}

/// A decoy whose values were opened in a reply.
pub(crate) struct DecoyRead {
    pub(crate) command: &'static str,
    pub(crate) pattern: PatternId,
    pub(crate) name: Name,
    /// The number of its values that were opened.
    values: u64,
}

/// The decoys whose values were opened in one reply. The alarm is raised when the reply is passed on: one that waits for
/// keys is opened again.
#[derive(Default)]
pub(crate) struct DecoyReads(Vec<DecoyRead>);

impl DecoyReads {
    #[cold]
    pub(crate) fn record(&mut self, command: &'static str, pattern: PatternId, name: &[u8]) {
        match self.0.last_mut() {
            // Fields and elements of one record follow each other.
            Some(last) if last.command == command && &last.name[..] == name => {
                last.values = last.values.saturating_add(1);
            }
            _ => self.0.push(DecoyRead {
                command,
                pattern,
                name: Name::from_slice(name),
                values: 1,
            }),
        }
    }

    /// The number of values that were opened.
    pub(crate) fn values(&self) -> u64 {
        self.0.iter().map(|read| read.values).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &DecoyRead> {
        self.0.iter()
    }
}
