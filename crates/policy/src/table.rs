//! The table: one row for each command and subcommand of Redis and Valkey, up to Redis 8 and Valkey 9. A row
//! holds the positions of record names, the treatment of protected ones, and the effect on the connection.
//! This is the file to read before trusting the proxy; the reference for operators,
//! `docs/reference/command-policy.md`, is generated from it.
//!
//! The rows are in `table/`, by data type; this module defines the columns and finds rows.

use std::sync::LazyLock;

use crate::argument::is;
use crate::blocking::reads_at_once;
use crate::decision::Effect;
use crate::refusal::Reason;

pub use crate::blocking::Timeout;
pub use crate::form::{Form, NameForm};
pub use crate::names::Names;

mod arrays;
mod bits;
mod connection;
mod generic;
mod geo;
mod hashes;
mod hyperloglog;
mod lists;
mod pubsub;
mod scripting;
mod server;
mod sets;
mod sorted_sets;
mod streams;
mod strings;
mod transactions;
mod vectors;

/// One command or subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// In lower case; a subcommand as `client|reply`.
    pub name: &'static str,
    /// Its group in the reference.
    pub group: Group,
    /// The positions of its record names.
    pub names: Names,
    /// The treatment of a request with a protected name.
    pub treatment: Treatment,
    /// True if it changes nothing in the records that it names.
    pub reads: bool,
    /// True if an error in reply to it may quote names of the request.
    pub quotes_names: bool,
    /// The effect on its connection, whatever its names are.
    pub effect: EffectRule,
}

/// The data type or subject of commands: the groups of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Strings.
    Strings,
    /// Hashes.
    Hashes,
    /// Lists.
    Lists,
    /// Any record, whatever it holds.
    Generic,
    /// Sets.
    Sets,
    /// Sorted sets.
    SortedSets,
    /// Streams.
    Streams,
    /// Places on the globe.
    Geo,
    /// HyperLogLogs.
    HyperLogLogs,
    /// Bits of strings.
    Bits,
    /// Vector sets.
    VectorSets,
    /// Arrays.
    Arrays,
    /// Scripts and functions.
    Scripting,
    /// Channels.
    PubSub,
    /// MULTI and its like.
    Transactions,
    /// The connection itself.
    Connection,
    /// The server, its cluster and its replicas.
    Server,
}

/// The treatment of a request that names a protected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is forwarded: it carries no values, or has no names.
    Pass,
    /// Its values are sealed and opened, according to its form.
    Form(Form),
    /// It names no record, and its reply holds names that the server chooses. Forwarded unless names of some pattern are
    /// sealed.
    Names(NameForm),
    /// It is refused.
    Refuse(Reason),
    /// It is forwarded without the capability to be redirected.
    WithoutRedirect,
    /// It publishes a message, which is sealed if its channel is protected.
    SealMessage,
    /// It is refused, whatever it names.
    RefuseAlways(Reason),
}

/// The rule for the effect of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectRule {
    /// It is always this one.
    Always(Effect),
    /// It is this one with so many arguments, the command included, and
    /// [`Effect::Unsettled`] with any other number.
    Counted {
        /// The effect.
        effect: Effect,
        /// The minimum number of arguments that servers accept.
        min: usize,
        /// The maximum, if there is one.
        max: Option<usize>,
    },
    /// [`Effect::Blocking`], with this timeout.
    Blocking(Timeout),
    /// XREAD and XREADGROUP: [`Effect::Blocking`] unless the request certainly does not wait.
    BlockingWithBlock,
    /// CLIENT REPLY: depends on the third argument.
    ReplyMode,
}

impl EffectRule {
    /// The effect of a request with these arguments.
    pub(crate) fn of(self, arguments: &[&[u8]]) -> Effect {
        if let Some(effect) = self.early(arguments.len()) {
            return effect;
        }
        match self {
            Self::BlockingWithBlock if reads_at_once(arguments) => Effect::None,
            Self::BlockingWithBlock => Effect::Blocking,
            _ if arguments.len() != 3 => Effect::Unsettled,
            _ if is(arguments, 2, "ON") => Effect::ReplyOn,
            _ if is(arguments, 2, "OFF") => Effect::ReplyOff,
            _ if is(arguments, 2, "SKIP") => Effect::ReplySkip,
            _ => Effect::Unsettled,
        }
    }

    /// The effect of all requests with so many arguments, if it is the same for all.
    pub(crate) fn early(self, total: usize) -> Option<Effect> {
        match self {
            Self::Always(effect) => Some(effect),
            Self::Counted { effect, min, max } => {
                Some(match total >= min && max.is_none_or(|max| total <= max) {
                    true => effect,
                    false => Effect::Unsettled,
                })
            }
            Self::Blocking(_) => Some(Effect::Blocking),
            Self::BlockingWithBlock | Self::ReplyMode => None,
        }
    }

    /// True if servers refuse a request with so many arguments before they look at them.
    #[must_use]
    pub fn has_wrong_number(self, arguments: &[&[u8]]) -> bool {
        // AUTH refuses more than three itself.
        let is_counted = matches!(
            self,
            Self::Counted { effect, .. } if effect != Effect::Auth
        );
        is_counted && self.of(arguments) == Effect::Unsettled
    }

    /// The position of the timeout, if requests may wait.
    pub(crate) fn timeout(self) -> Option<Timeout> {
        match self {
            Self::Blocking(timeout) => Some(timeout),
            Self::BlockingWithBlock => Some(Timeout::BlockOption),
            Self::Always(_) | Self::Counted { .. } | Self::ReplyMode => None,
        }
    }
}

/// All rows, sorted by name.
#[must_use]
pub fn rows() -> &'static [Row] {
    &TABLE.rows
}

/// The row for a request: of its command, in any case, or of the command and its subcommand.
#[must_use]
pub fn find(arguments: &[&[u8]]) -> Option<&'static Row> {
    let (command, operands) = arguments.split_first()?;
    // The table writes subcommands with a bar; an argument with a bar is not a command.
    let row = TABLE
        .find(&[command])
        .filter(|_| !command.contains(&b'|'))?;
    match (row.names, operands.first()) {
        (Names::Subcommands, Some(subcommand)) => TABLE.find(&[command, b"|", subcommand]),
        // Alone it is an error to the server.
        _ => Some(row),
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// The rows, sorted by name, and what a name is found by.
struct Table {
    rows: Vec<Row>,
    /// The [key](key) of the name of each row. Comparing integers takes a third of the time of comparing
    /// names (decision 59).
    keys: Vec<u128>,
}

/// The length that no name in the table exceeds.
const MAX_NAME_LEN: usize = 40;
/// The number of bytes of a name that its key holds.
const KEY_LEN: usize = 16;

impl Table {
    fn new() -> Self {
        let mut rows: Vec<Row> = groups()
            .iter()
            .flat_map(|(group, rows)| {
                rows.iter().map(|row| Row {
                    group: *group,
                    ..*row
                })
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.name);
        let keys = rows
            .iter()
            .filter_map(|row| Some(key(&name(&[row.name.as_bytes()])?.0)));
        Self {
            keys: keys.collect(),
            rows,
        }
    }

    /// The row whose name is the concatenation of these parts, in any case.
    fn find(&self, parts: &[&[u8]]) -> Option<&Row> {
        let (buffer, len) = name(parts)?;
        let key = key(&buffer);
        let first = self.keys.partition_point(|other| *other < key);
        // Names with the same first bytes follow one another.
        let candidates = self.keys.get(first..)?.iter().zip(self.rows.get(first..)?);
        let mut candidates = candidates.take_while(|(other, _)| **other == key);
        let is_same = |name: &str| {
            name.len() == len && (len <= KEY_LEN || Some(name.as_bytes()) == buffer.get(..len))
        };
        let (_, row) = candidates.find(|(_, row)| is_same(row.name))?;
        Some(row)
    }
}

/// The parts in lower case, one after the other, and their length; `None` if that is longer than any name.
#[inline]
fn name(parts: &[&[u8]]) -> Option<([u8; MAX_NAME_LEN], usize)> {
    let mut buffer = [0; MAX_NAME_LEN];
    let mut len = 0_usize;
    for part in parts {
        let end = len.checked_add(part.len())?;
        buffer.get_mut(len..end)?.copy_from_slice(part);
        len = end;
    }
    buffer.make_ascii_lowercase();
    Some((buffer, len))
}

/// The first bytes of a name as a number: in the order of the names.
#[inline]
fn key(name: &[u8; MAX_NAME_LEN]) -> u128 {
    let start: [u8; KEY_LEN] = name.first_chunk().copied().unwrap_or_default();
    u128::from_be_bytes(start)
}

fn groups() -> [(Group, &'static [Row]); 17] {
    [
        (Group::Strings, strings::ROWS),
        (Group::Hashes, hashes::ROWS),
        (Group::Lists, lists::ROWS),
        (Group::Generic, generic::ROWS),
        (Group::Sets, sets::ROWS),
        (Group::SortedSets, sorted_sets::ROWS),
        (Group::Streams, streams::ROWS),
        (Group::Geo, geo::ROWS),
        (Group::HyperLogLogs, hyperloglog::ROWS),
        (Group::Bits, bits::ROWS),
        (Group::VectorSets, vectors::ROWS),
        (Group::Arrays, arrays::ROWS),
        (Group::Scripting, scripting::ROWS),
        (Group::PubSub, pubsub::ROWS),
        (Group::Transactions, transactions::ROWS),
        (Group::Connection, connection::ROWS),
        (Group::Server, server::ROWS),
    ]
}

// The rows are written with these, so that a chapter reads as a table. The chapter itself is filled
// in when the groups are joined.

const fn row(name: &'static str, names: Names, treatment: Treatment) -> Row {
    Row {
        name,
        group: Group::Generic,
        names,
        treatment,
        reads: false,
        quotes_names: false,
        effect: EffectRule::Always(Effect::None),
    }
}

/// Forwarded even if a name is protected.
const fn pass(name: &'static str, names: Names) -> Row {
    row(name, names, Treatment::Pass)
}

/// Has no record names.
const fn keyless(name: &'static str) -> Row {
    row(name, Names::None, Treatment::Pass)
}

/// Has no record names, and its reply has some.
const fn names(name: &'static str, form: NameForm) -> Row {
    row(name, Names::None, Treatment::Names(form))
}

/// A container of subcommands, which have rows of their own.
const fn container(name: &'static str) -> Row {
    row(name, Names::Subcommands, Treatment::Pass)
}

/// Carries values of a protected record.
const fn form(name: &'static str, names: Names, form: Form) -> Row {
    row(name, names, Treatment::Form(form))
}

/// Refused if a name is protected.
const fn refuse(name: &'static str, names: Names, reason: Reason) -> Row {
    row(name, names, Treatment::Refuse(reason))
}

impl Row {
    /// The position of the command word of the request that such a request embeds.
    pub(crate) fn embedded_command(&self) -> Option<usize> {
        match self.treatment {
            Treatment::Form(Form::GetKeys) => Some(2),
            Treatment::Form(Form::DryRun) => Some(3),
            _ => None,
        }
    }

    /// Errors in reply may quote names of the request.
    const fn quoting(self) -> Self {
        Self {
            quotes_names: true,
            ..self
        }
    }

    const fn with(self, effect: Effect) -> Self {
        Self {
            effect: EffectRule::Always(effect),
            ..self
        }
    }

    /// This effect with a number of arguments in these bounds.
    const fn counted(self, effect: Effect, min: usize, max: usize) -> Self {
        Self {
            effect: EffectRule::Counted {
                effect,
                min,
                max: Some(max),
            },
            ..self
        }
    }

    /// This effect with this number of arguments or more.
    const fn at_least(self, effect: Effect, min: usize) -> Self {
        Self {
            effect: EffectRule::Counted {
                effect,
                min,
                max: None,
            },
            ..self
        }
    }

    const fn blocking(self, timeout: Timeout) -> Self {
        Self {
            effect: EffectRule::Blocking(timeout),
            ..self
        }
    }

    const fn reads(self) -> Self {
        Self {
            reads: true,
            ..self
        }
    }
}
