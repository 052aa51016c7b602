//! The table: one row for each of Redis' and Valkey's commands and subcommands, of the versions up to
//! Redis 8 and Valkey 9. A row says where record names stand, what happens when one of them is
//! protected, and what the command does to its connection. This is the file to read before trusting
//! the proxy; its text for operators is `docs/reference/command-policy.md`, written from it.
//!
//! The rows stand in `table/`, by kind of data; this module defines what a row can say and finds it.

use std::sync::LazyLock;

use crate::argument::is;
use crate::blocking::reads_at_once;
use crate::decision::Effect;
use crate::refusal::Reason;

pub use crate::blocking::Timeout;
pub use crate::form::Form;
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
    /// What it works on.
    pub group: Group,
    /// Where its record names stand.
    pub names: Names,
    /// What happens when one of the names is protected.
    pub treatment: Treatment,
    /// It changes nothing in the records that it names.
    pub reads: bool,
    /// What it does to its connection, whatever its names are.
    pub effect: EffectRule,
}

/// What commands work on; the chapters of the table.
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

/// What happens to a request that names a protected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is forwarded: it carries no values, or has no names.
    Pass,
    /// Its values are sealed and opened, according to its form.
    Form(Form),
    /// It is refused.
    Refuse(Reason),
    /// It is forwarded without the capability to be redirected.
    WithoutRedirect,
    /// It is refused without looking at names.
    RefuseAlways(Reason),
}

/// How the effect of a command is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectRule {
    /// It is always this one.
    Always(Effect),
    /// It is this one with so many arguments, the command word included, and
    /// [`Effect::Unsettled`] with any other number.
    Counted {
        /// The effect.
        effect: Effect,
        /// The fewest arguments that servers accept.
        min: usize,
        /// The most; none where there is no such bound.
        max: Option<usize>,
    },
    /// [`Effect::Blocking`], for as long as the request says there.
    Blocking(Timeout),
    /// XREAD and XREADGROUP: [`Effect::Blocking`] unless the request is certain not to wait.
    BlockingWithBlock,
    /// CLIENT REPLY: told by the third argument.
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

    /// The effect of all requests with so many arguments, where it is the same for all.
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

    /// Where the request says how long it waits, if it may.
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

/// The row for a request: that of its command word, in any case, or of the word and its subcommand.
#[must_use]
pub fn find(arguments: &[&[u8]]) -> Option<&'static Row> {
    let (word, rest) = arguments.split_first()?;
    // The table writes subcommands with a bar; a word with a bar is no command.
    let row = TABLE.find(&[word]).filter(|row| !row.name.contains('|'))?;
    match (row.names, rest.first()) {
        (Names::Subcommands, Some(subcommand)) => TABLE.find(&[word, b"|", subcommand]),
        // Alone it is an error to the server.
        _ => Some(row),
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// The rows by name, and where to find them without looking at many.
struct Table {
    rows: Vec<Row>,
    /// By the hash of the name, the number of the row; [`NOBODY`] where there is none. A row whose
    /// place is taken stands in the next free one.
    places: Vec<u16>,
}

/// A power of two, several times the number of rows.
const PLACES: usize = 4096;

const NOBODY: u16 = u16::MAX;

/// A longer word is no command of the table.
const LONGEST_NAME: usize = 40;

impl Table {
    fn new() -> Self {
        let mut rows: Vec<Row> = chapters()
            .iter()
            .flat_map(|(group, rows)| {
                rows.iter().map(|row| Row {
                    group: *group,
                    ..*row
                })
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.name);
        let mut places = vec![NOBODY; PLACES];
        for (number, row) in (0..NOBODY).zip(&rows) {
            let free = probe(&[row.name.as_bytes()]).find(|at| places.get(*at) == Some(&NOBODY));
            if let Some(place) = free.and_then(|at| places.get_mut(at)) {
                *place = number;
            }
        }
        Self { rows, places }
    }

    /// The row whose name is these parts together, in any case.
    fn find(&self, parts: &[&[u8]]) -> Option<&Row> {
        if parts.iter().any(|part| part.len() > LONGEST_NAME) {
            return None;
        }
        probe(parts)
            .map_while(|at| self.rows.get(usize::from(*self.places.get(at)?)))
            .find(|row| is_named(row.name, parts))
    }
}

/// The places where a name may stand, in the order to look at them.
fn probe(parts: &[&[u8]]) -> impl Iterator<Item = usize> + use<> {
    let first = letters(parts).fold(0x811c_9dc5_u32, |hash, letter| {
        (hash ^ u32::from(letter)).wrapping_mul(0x0100_0193)
    });
    let first = (first ^ (first >> 15)) as usize;
    (0..PLACES).map(move |step| first.wrapping_add(step) % PLACES)
}

fn is_named(name: &str, parts: &[&[u8]]) -> bool {
    letters(parts).eq(name.bytes())
}

fn letters(parts: &[&[u8]]) -> impl Iterator<Item = u8> {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .map(u8::to_ascii_lowercase)
}

fn chapters() -> [(Group, &'static [Row]); 17] {
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
// in when the chapters are put together.

const fn row(name: &'static str, names: Names, treatment: Treatment) -> Row {
    Row {
        name,
        group: Group::Generic,
        names,
        treatment,
        reads: false,
        effect: EffectRule::Always(Effect::None),
    }
}

/// Forwarded also when a name is protected.
const fn pass(name: &'static str, names: Names) -> Row {
    row(name, names, Treatment::Pass)
}

/// Has no record names.
const fn nameless(name: &'static str) -> Row {
    row(name, Names::None, Treatment::Pass)
}

/// The first word of subcommands that have rows of their own.
const fn container(name: &'static str) -> Row {
    row(name, Names::Subcommands, Treatment::Pass)
}

/// Carries values of a protected record.
const fn form(name: &'static str, names: Names, form: Form) -> Row {
    row(name, names, Treatment::Form(form))
}

/// Refused when a name is protected.
const fn refuse(name: &'static str, names: Names, reason: Reason) -> Row {
    row(name, names, Treatment::Refuse(reason))
}

impl Row {
    const fn with(self, effect: Effect) -> Self {
        Self {
            effect: EffectRule::Always(effect),
            ..self
        }
    }

    /// This effect with so many arguments and no other number of them.
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

    /// This effect with so many arguments or more.
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
