//! What each reply that is still to come will be. A reply carries no name: that it belongs to this
//! request and holds that record's value is known only from the order, so the order is kept here.

use smallvec::SmallVec;
use waxseal_policy::{self as policy, KnownScript, PatternId, ProtectedNames};

use self::strings::{ProtectedNamesOf, Strings};
use crate::clients::kill::KillHere;

pub(crate) mod strings;

/// A record name or field; most are short.
pub(crate) type Name = SmallVec<[u8; 40]>;

/// The next thing that the client gets.
pub(crate) enum Pending {
    /// A reply of this shape.
    Reply { command: &'static str, shape: Shape },
    /// An answer made here, waiting for its turn.
    Local(Box<[u8]>),
    /// The value that a known script compares, which is read before the script runs: not the client's business.
    ScriptRead(Box<ScriptRead>),
    /// The reply of a known script.
    Script(Box<ScriptReply>),
    /// A reply to a request of our own: not the client's business. An error closes where it is
    /// `fatal`.
    Swallow { fatal: bool },
    /// `+QUEUED`, or the reply itself where the server did not open the transaction.
    Queued { command: &'static str, shape: Shape },
    /// Begins this transaction, unless an error comes.
    Multi { number: u64 },
    /// Ends a transaction: the replies to everything that was queued.
    Exec,
    /// The transaction held a command that was refused with this answer: `DISCARD` was sent, and
    /// `EXECABORT` is answered.
    ExecRefused { refusal: Box<[u8]> },
    /// The transaction is given up, unless an error comes. The answer to the first command in it that was
    /// refused.
    Discard { refusal: Option<Box<[u8]>> },
    /// Records are watched, unless an error comes.
    Watch,
    /// None are, unless an error comes.
    Unwatch,
    /// The connection is called so from here on, unless an error comes.
    Label(Box<Label>),
    /// The list of the server's clients, of which the client gets these; all where none are named.
    ClientList { ids: Option<Box<[u64]>> },
    /// Says whether these clients may be killed here.
    Kill(Box<KillHere>),
    /// The reply to a request that servers refuse: the next request waits for it.
    Unsettled { command: &'static str },
    /// Says whether replies may be switched off: not the client's business.
    MayChangeReplies,
    /// Replies are switched on again, unless an error comes.
    RepliesOn,
    /// A reply that the client does not want.
    Muted(Box<Pending>),
    /// The protocol version is this one from here on, unless an error comes.
    Hello(Protocol),
    /// Acknowledgements of a subscription: the word they begin with, and how many are to come.
    Acknowledged { word: &'static str, left: Left },
    /// From here on the server sends what others do, unasked.
    Monitor,
    /// The connection is as new from here on.
    Reset,
}

/// A read for a known script.
pub(crate) struct ScriptRead {
    /// The command that runs the script.
    pub(crate) command: &'static str,
    pub(crate) place: Place,
}

/// A known script that was sent.
#[derive(Clone, Copy)]
pub(crate) struct ScriptReply {
    pub(crate) command: &'static str,
    pub(crate) script: KnownScript,
    /// The value that was read is the one that the client compares with.
    pub(crate) matched: bool,
}

/// What a client calls its connection, or the library that it uses.
pub(crate) struct Label {
    pub(crate) kind: LabelKind,
    /// The request that says so; none for one that is too long to be remembered.
    pub(crate) request: Option<Box<[u8]>>,
    /// The word; empty for one that is too long.
    pub(crate) word: Box<[u8]>,
}

impl Label {
    /// Bytes that are held for it beyond a constant.
    fn retained_bytes(&self) -> usize {
        let request = self.request.as_ref().map_or(0, |request| request.len());
        request.saturating_add(self.word.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelKind {
    Name,
    Library,
    Version,
}

/// How many acknowledgements are to come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// So many.
    Number(usize),
    /// One for each subscription of its kind, and one if there is none.
    All,
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RESP2, with which every connection begins.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Where in a reply values are. The owned counterpart of the policy's `ReplyShape`: it outlives
/// the request.
pub(crate) enum Shape {
    Verbatim,
    Value(Place),
    Elements(Place),
    /// Of the records of these names, element by element.
    EachName(Box<ProtectedNamesOf>),
    /// Of these fields of one record, element by element.
    EachField(Box<(Place, Strings)>),
    Fields(Place),
    ScannedFields(Place),
    OnlyValues(Place),
    /// Of one of the records with these names.
    Popped(Box<Strings>),
    Length(Place),
    Range(Box<(Place, i64, i64)>),
    /// For each digest, whether the proxy can tell which script has it.
    ScriptsExist(Box<[bool]>),
}

/// The place of a value: its record, and its field if it has one.
pub(crate) struct Place {
    pub(crate) pattern: PatternId,
    pub(crate) name: Name,
    pub(crate) field: Option<Box<[u8]>>,
}

impl Pending {
    /// The reply that is to come, whether the client gets it or not.
    pub(crate) fn unmuted(&self) -> &Self {
        match self {
            Self::Muted(pending) => pending,
            pending => pending,
        }
    }

    /// The reply that is to come, and whether the client does not get it.
    pub(crate) fn unmute(self) -> (Self, bool) {
        match self {
            Self::Muted(pending) => (*pending, true),
            pending => (pending, false),
        }
    }

    /// Bytes that are held for it beyond a constant.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Reply { shape, .. } | Self::Queued { shape, .. } => shape.weight(),
            Self::Local(answer) => answer.len(),
            Self::Muted(pending) => pending.weight(),
            Self::Label(label) => label.retained_bytes(),
            Self::ClientList { ids } => ids.as_ref().map_or(0, |ids| size_of_val(&**ids)),
            Self::Kill(kill) => kill.retained_bytes(),
            Self::ScriptRead(read) => read.place.retained_bytes(),
            _ => 0,
        }
    }
}

impl Shape {
    pub(crate) fn of(
        shape: policy::ReplyShape,
        names: &ProtectedNames,
        arguments: &[&[u8]],
    ) -> Self {
        use policy::ReplyShape as Asked;
        let record = |pattern, name: usize| Place::record(pattern, argument(arguments, name));
        match shape {
            Asked::Verbatim => Self::Verbatim,
            Asked::Value(place) => Self::Value(Place::of(place, arguments)),
            Asked::Elements(place) => Self::Elements(Place::of(place, arguments)),
            Asked::EachName => Self::EachName(Box::new(ProtectedNamesOf::new(names, arguments))),
            Asked::EachField {
                pattern,
                name,
                fields,
            } => {
                let fields = arguments.get(fields).unwrap_or_default();
                let fields = Strings::new(fields.iter().copied());
                Self::EachField(Box::new((record(pattern, name), fields)))
            }
            Asked::Fields { pattern, name } => Self::Fields(record(pattern, name)),
            Asked::ScannedFields { pattern, name } => Self::ScannedFields(record(pattern, name)),
            Asked::OnlyValues { pattern, name } => Self::OnlyValues(record(pattern, name)),
            Asked::Popped => Self::Popped(Box::new(Strings::new(names_of(arguments)))),
            Asked::Length(place) => Self::Length(Place::of(place, arguments)),
            Asked::Range { place, start, end } => {
                Self::Range(Box::new((Place::of(place, arguments), start, end)))
            }
        }
    }

    /// Bytes that are held for it beyond a constant: a request may name very many records, and names may
    /// be long.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Verbatim => 0,
            Self::Value(place)
            | Self::Elements(place)
            | Self::Fields(place)
            | Self::ScannedFields(place)
            | Self::OnlyValues(place)
            | Self::Length(place) => place.retained_bytes(),
            Self::Range(range) => range.0.retained_bytes(),
            Self::EachName(names) => names.retained_bytes(),
            Self::EachField(fields) => {
                let (record, fields) = &**fields;
                record
                    .retained_bytes()
                    .saturating_add(fields.retained_bytes())
            }
            Self::Popped(names) => names.retained_bytes(),
            Self::ScriptsExist(identifiable_digests) => identifiable_digests.len(),
        }
    }

    pub(crate) fn is_verbatim(&self) -> bool {
        matches!(self, Self::Verbatim)
    }
}

impl Place {
    pub(crate) fn of(place: policy::Place, arguments: &[&[u8]]) -> Self {
        Self {
            pattern: place.pattern,
            name: Name::from_slice(argument(arguments, place.name)),
            field: place.field.map(|field| argument(arguments, field).into()),
        }
    }

    /// Bytes that are held for it beyond a constant.
    #[inline]
    fn retained_bytes(&self) -> usize {
        let name = if self.name.spilled() {
            self.name.len()
        } else {
            0
        };
        let field = self.field.as_ref().map_or(0, |field| field.len());
        name.saturating_add(field)
    }

    pub(crate) fn record(pattern: PatternId, name: &[u8]) -> Self {
        Self {
            pattern,
            name: Name::from_slice(name),
            field: None,
        }
    }
}

/// All record names of a request.
pub(crate) fn names_of<'a>(arguments: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let places = policy::table::find(arguments).map(|row| row.names.places(arguments));
    let names = places.unwrap_or_default().into_iter();
    names.map(|name| argument(arguments, name))
}

fn argument<'a>(arguments: &[&'a [u8]], index: usize) -> &'a [u8] {
    arguments.get(index).copied().unwrap_or_default()
}
