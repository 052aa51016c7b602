//! Decoys: records that no application reads, so that whoever reads one is somebody else. Which records
//! they are, and who is told when the value of one was opened for a client. How they come into the store
//! is not known here.
//!
//! Costs one branch for each opened value where there are none, and one hash lookup of the record's name
//! where there are. Names come from clients, so the hash is one that they cannot aim at.

use std::collections::HashSet;
use std::sync::Arc;

use waxseal_policy::PatternId;

use crate::pending::Name;
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

/// Told of each decoy that was opened, once for each command that did.
pub type Alarm = Arc<dyn Fn(&OpenedDecoy) + Send + Sync>;

/// The decoys, and who is told.
pub(crate) struct Decoys {
    names: HashSet<Box<[u8]>>,
    pub(crate) alarm: Alarm,
}

impl Decoys {
    /// `None` where there are none.
    pub(crate) fn new(names: impl IntoIterator<Item = Vec<u8>>, alarm: Alarm) -> Option<Self> {
        let names: HashSet<_> = names.into_iter().map(Vec::into_boxed_slice).collect();
        (!names.is_empty()).then_some(Self { names, alarm })
    }

    #[inline]
    pub(crate) fn is_one(&self, name: &[u8]) -> bool {
        self.names.contains(name)
    }
}

/// A decoy that was met in a reply.
pub(crate) struct Met {
    pub(crate) command: &'static str,
    pub(crate) pattern: PatternId,
    pub(crate) name: Name,
    /// How many of its values were opened.
    values: u64,
}

/// The decoys that were met in one reply. Not told before it is given: one that waits for keys is opened
/// again.
#[derive(Default)]
pub(crate) struct DecoyReads(Vec<Met>);

impl DecoyReads {
    #[cold]
    pub(crate) fn note(&mut self, command: &'static str, pattern: PatternId, name: &[u8]) {
        match self.0.last_mut() {
            // Fields and elements of one record stand together.
            Some(last) if last.command == command && &last.name[..] == name => {
                last.values = last.values.saturating_add(1);
            }
            _ => self.0.push(Met {
                command,
                pattern,
                name: Name::from_slice(name),
                values: 1,
            }),
        }
    }

    /// How many values of them were opened.
    pub(crate) fn values(&self) -> u64 {
        self.0.iter().map(|met| met.values).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Met> {
        self.0.iter()
    }
}
