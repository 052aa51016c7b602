//! The records that a transaction moves values from. The values are read before it is sent, and it is sent with a script in
//! the place of each move, which gets every value that may be there by then with its new form: those that were read, and
//! those that the commands before it write there. What these commands remove or reorder need not be followed. Behind one
//! that may leave any other value, a move is refused.

use std::collections::HashMap;

use waxseal_policy::table::{Row, find};
use waxseal_policy::{Action, Effect, End, Moved, RequestChange, Transform, decide};
use waxseal_resp::{write_bulk, write_request_head};

use super::journal::{Journal, MoveEntry, Replaced};
use crate::connection::moves::values::{
    MovedValue, Resealed, Source, max_values, write_read_record,
};
use crate::connection::state::ConnectionState;
use crate::location::{Name, ValueKind};
use crate::open::ValueOpener;
use crate::pending::{Pending, ReplayStep};

/// A read of elements, as the proxy itself asks.
const OWN_LRANGE: &[u8] = b"lRANGE";

/// Commands that put no value into any record that they name.
const REMOVING: &[&str] = &[
    "blmpop",
    "blpop",
    "brpop",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "del",
    "expire",
    "expireat",
    "getdel",
    "getex",
    "hdel",
    "lmpop",
    "lpop",
    "lrem",
    "ltrim",
    "persist",
    "pexpire",
    "pexpireat",
    "rpop",
    "spop",
    "srem",
    "touch",
    "unlink",
    "zmpop",
    "zpopmax",
    "zpopmin",
    "zrem",
];

/// Commands after which a list has the elements that it had, or none.
const KEEPING: &[&str] = &[
    "del",
    "expire",
    "expireat",
    "persist",
    "pexpire",
    "pexpireat",
    "touch",
    "unlink",
];

/// Commands that only add elements to a list, or replace some.
const PUSHING: &[&str] = &["linsert", "lpush", "lpushx", "lset", "rpush", "rpushx"];

/// A record that values are moved from.
pub(super) struct MoveSource {
    /// The first command that moves values from it.
    pub(super) command: &'static str,
    pub(super) source: Source,
    /// The name that it is stored under.
    pub(super) stored: Name,
    reads: Reads,
    /// What was read; of elements, those from the head.
    pub(super) left: Vec<MovedValue>,
    /// The elements that were read from the tail.
    pub(super) right: Vec<MovedValue>,
    /// The answer to a move of a value that does not open, or of a record of another type.
    pub(super) failure: Option<Vec<u8>>,
    /// The values that the commands so far may have put there.
    added: Vec<MovedValue>,
    /// The numbers of elements that the moves so far have taken from its head and its tail.
    taken: (usize, usize),
}

/// What is read of a source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// All of it.
    Record,
    /// All elements of a list.
    List,
    /// So many elements from the head and from the tail.
    Ends {
        left: usize,
        right: usize,
        /// Elements leave it only by moves, and none come: each move takes the next one.
        only_moves: bool,
    },
}

/// Where a command may leave values that are not known when the transaction is sent again.
pub(super) struct UnknownValues {
    /// In a protected record that it names.
    pub(super) in_protected: bool,
    /// In any other one.
    pub(super) in_plain: bool,
}

/// Where a command with names at these places may leave values that are not known when the transaction is sent again.
pub(super) fn unknown_values(
    row: &Row,
    (arguments, places): (&[&[u8]], &[usize]),
    action: &Action,
) -> UnknownValues {
    if row.reads || REMOVING.contains(&row.name) {
        return UnknownValues {
            in_protected: false,
            in_plain: false,
        };
    }
    let mut names = places.iter().map(|at| arguments.get(*at));
    let first = names.next();
    let is_alone = names.all(|name| Some(name) == first);
    let in_protected = match action {
        // The values are among the arguments, each with its record.
        Action::Transform(Transform {
            request: RequestChange::Seal(_),
            ..
        }) => !is_alone && !matches!(row.name, "mset" | "msetnx" | "msetex"),
        // It brings no values.
        Action::Forward | Action::Transform(_) => !is_alone,
        _ => true,
    };
    UnknownValues {
        in_protected,
        in_plain: true,
    }
}

/// True if a command may change records that it does not name.
pub(super) fn changes_unnamed(row: &Row, effect: Effect) -> bool {
    let is_known = matches!(
        row.name,
        "select" | "swapdb" | "flushdb" | "flushall" | "move" | "migrate" | "restore" | "debug"
    );
    is_known || effect == Effect::Script || row.name.starts_with("fcall")
}

/// True for the proxy's own read in the place of a command that sorts.
pub(super) fn is_read_for_sort(arguments: &[&[u8]]) -> bool {
    let text = arguments.get(1).copied().unwrap_or_default();
    arguments.first() == Some(&&b"eVAL"[..]) && text == waxseal_lua::read_sorted().as_bytes()
}

/// The names of records in a request.
fn names_in<'a>(
    row: &Row,
    arguments: &'a [&'a [u8]],
) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
    let places = row.names.places(arguments).into_iter();
    places.filter_map(|at| arguments.get(at).copied())
}

impl Reads {
    /// What is read if values are also moved in this way.
    fn with(self, moved: Moved) -> Self {
        match (self, moved) {
            (
                Self::Ends {
                    left,
                    right,
                    only_moves,
                },
                Moved::Element { from, .. },
            ) => Self::Ends {
                left: left.saturating_add(usize::from(from == End::Left)),
                right: right.saturating_add(usize::from(from == End::Right)),
                only_moves,
            },
            (Self::List, Moved::Element { .. }) => Self::List,
            _ => Self::Record,
        }
    }

    /// What is read if elements also come.
    fn with_added(self) -> Self {
        match self {
            Self::Ends { left, right, .. } => Self::Ends {
                left,
                right,
                only_moves: false,
            },
            other => other,
        }
    }

    /// What is read if elements also leave by other commands.
    fn with_removed(self) -> Self {
        match self {
            Self::Ends { .. } => Self::List,
            other => other,
        }
    }
}

impl MoveSource {
    /// The records that a transaction moves values from, each once.
    pub(super) fn all_of(journal: &Journal) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for entry in journal.entries().iter().filter_map(|entry| entry.moves()) {
            let name = entry.source.name();
            let known = all.iter_mut().find(|it| it.source.name() == name);
            match known {
                Some(source) => source.reads = source.reads.with(entry.moved),
                None => all.push(Self::new(entry)),
            }
        }
        if all.is_empty() {
            return all;
        }
        for (entry, sent) in journal.iter() {
            match entry.replaced.as_deref() {
                Some(Replaced::Move(entry)) => {
                    let into = |it: &&mut Self| it.source.name() == &entry.destination.name[..];
                    for source in all.iter_mut().filter(into) {
                        source.reads = source.reads.with_added();
                    }
                }
                Some(Replaced::Computed(_)) => {}
                None => {
                    entry.with_arguments((sent, journal.view()), |arguments| {
                        for source in &mut all {
                            source.reads = source.reads_behind(arguments);
                        }
                    });
                }
            }
        }
        all
    }

    fn new(entry: &MoveEntry) -> Self {
        let none = Reads::Ends {
            left: 0,
            right: 0,
            only_moves: true,
        };
        Self {
            command: entry.command,
            source: entry.source.clone(),
            stored: entry.stored[0].clone(),
            reads: none.with(entry.moved),
            left: Vec::new(),
            right: Vec::new(),
            failure: None,
            added: Vec::new(),
            taken: (0, 0),
        }
    }

    /// What is read of it if this command is in the transaction.
    fn reads_behind(&self, arguments: &[&[u8]]) -> Reads {
        let Some(row) = find(arguments) else {
            return self.reads;
        };
        let is_named = names_in(row, arguments).any(|name| name == self.source.name());
        match is_named {
            _ if !is_named || row.reads || KEEPING.contains(&row.name) => self.reads,
            _ if PUSHING.contains(&row.name) => self.reads.with_added(),
            _ => self.reads.with_removed(),
        }
    }

    /// Before the first command.
    pub(super) fn begin(&mut self) {
        self.added.clear();
        self.taken = (0, 0);
    }

    /// Before it is read.
    pub(super) fn forget(&mut self) {
        self.left.clear();
        self.right.clear();
        self.failure = None;
    }

    /// True if its values are read as those of a record of any type.
    pub(super) fn is_read_whole(&self) -> bool {
        self.reads == Reads::Record
    }

    /// Appends the requests that read it. Returns the ends that they read from.
    pub(super) fn write_reads(&self, max_bytes: usize, out: &mut Vec<u8>) -> Vec<End> {
        let name = &self.stored[..];
        let mut ends = Vec::new();
        let mut read = |end: End, start: &str, stop: &str| {
            write_request_head(out, 4);
            for argument in [OWN_LRANGE, name, start.as_bytes(), stop.as_bytes()] {
                write_bulk(out, argument);
            }
            ends.push(end);
        };
        match self.reads {
            Reads::Record => {
                write_read_record(name, max_bytes, out);
                ends.push(End::Left);
            }
            // One more than can be moved, so that it is known that there are more.
            Reads::List => read(End::Left, "0", &max_values(max_bytes).to_string()),
            Reads::Ends { left, right, .. } => {
                if left > 0 {
                    read(End::Left, "0", &left.saturating_sub(1).to_string());
                }
                if right > 0 {
                    read(End::Right, &format!("-{right}"), "-1");
                }
            }
        }
        ends
    }

    /// Bytes that are held for it.
    pub(super) fn retained_bytes(&self) -> usize {
        let values = self.left.iter().chain(&self.right).chain(&self.added);
        values.map(MovedValue::retained_bytes).sum()
    }

    /// The values that the next command may move.
    pub(super) fn candidates(&self, moved: Moved) -> Vec<&MovedValue> {
        match (self.reads, moved) {
            (
                Reads::Ends {
                    only_moves: true, ..
                },
                Moved::Element { from, .. },
            ) => {
                let next = match from {
                    End::Left => self.left.get(self.taken.0),
                    End::Right => self.right.iter().rev().nth(self.taken.1),
                };
                next.into_iter().collect()
            }
            _ => {
                let values = self.left.iter().chain(&self.right).chain(&self.added);
                values.collect()
            }
        }
    }

    /// A command has moved values from here.
    pub(super) fn take(&mut self, moved: Moved) {
        match moved {
            Moved::Element {
                from: End::Left, ..
            } => self.taken.0 = self.taken.0.saturating_add(1),
            Moved::Element { .. } => self.taken.1 = self.taken.1.saturating_add(1),
            _ => {}
        }
    }

    /// A command may have put these values here.
    pub(super) fn add(&mut self, values: impl IntoIterator<Item = MovedValue>) {
        self.added.extend(values);
    }
}

impl ConnectionState {
    /// Reads the records that values are moved from. Returns the number of replies that are expected.
    pub(super) fn read_sources(&mut self, sources: &[MoveSource], upstream: &mut Vec<u8>) -> usize {
        let max_bytes = self.limits.value;
        let mut reads = 0_usize;
        for (index, source) in sources.iter().enumerate() {
            for end in source.write_reads(max_bytes, upstream) {
                reads = reads.saturating_add(1);
                let step = ReplayStep::Source { index, end };
                self.queue.push(Pending::Replay(step));
            }
        }
        reads
    }

    /// Adds the values that a command puts into records that values are moved from. Those that do not open are the answer to
    /// a move of them.
    pub(super) fn add_values_put(&self, arguments: &[&[u8]], sources: &mut [MoveSource]) {
        let Action::Transform(Transform {
            request: RequestChange::Seal(slots),
            ..
        }) = decide(self.protection.names(), arguments).action
        else {
            return;
        };
        let no_keys = HashMap::new();
        let mut values = ValueOpener::new(&self.protection, Some(&no_keys));
        for slot in &slots {
            let location = slot.location.resolve(arguments);
            let is_source = |it: &&mut MoveSource| it.source.name() == location.name;
            let Some(source) = sources.iter_mut().find(is_source) else {
                continue;
            };
            let stored = arguments.get(slot.argument).copied().unwrap_or_default();
            let of = (location.kind, location.field);
            match source.source.open(&mut values, "exec", of, stored) {
                Ok(value) => source.add([value]),
                Err(answer) => {
                    source.failure.get_or_insert(answer);
                }
            }
        }
    }
}

/// The values that are stored at a destination, as they leave it again.
pub(super) fn values_at_destination(sealed: &[Resealed<'_>], moved: Moved) -> Vec<MovedValue> {
    let is_element = matches!(moved, Moved::Element { .. });
    let values = sealed.iter();
    let values = values.filter(|it| !is_element || it.moved.kind == ValueKind::ListElement);
    values.map(Resealed::at_destination).collect()
}
