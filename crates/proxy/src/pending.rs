//! The replies that are expected. A reply carries no name: only the order tells that it belongs to this request and
//! holds that record's value, so what it will be is remembered here.

use waxseal_policy::{
    self as policy, End, KnownScript, MemberScan, NameReply, NamesUse, ProtectedNames,
    RecordFields, ValuePart,
};

use self::strings::{RequestNames, Strings};
use crate::clients::kill::KillHere;
use crate::connection::PreludedRequest;
use crate::location::{self, OwnedLocation};
use crate::open::{ComputedReply, QuotedNames, ReplayedReply, SortedReply};

pub(crate) mod strings;

/// The next thing that the client gets. A client may have very many of them outstanding, and each is moved several times
/// until its reply has passed: what only a few of them need is in a box.
pub(crate) enum Pending {
    /// A reply of this shape.
    Reply { command: &'static str, shape: Shape },
    /// An answer written here, waiting for its turn.
    Local(Box<[u8]>),
    /// A message of a subscription, which answers no request and is never in the queue.
    Message,
    /// The value that a known script compares, which is read before the script runs. Not passed on.
    ScriptRead(Box<ScriptRead>),
    /// The reply of a known script.
    Script(Box<ScriptReply>),
    /// The value that a command computes on. Not passed on.
    ComputeRead,
    /// The answer to a result that was sent. Not passed on.
    ComputeWrite,
    /// A reply to a transaction that is sent again.
    Replay(ReplayStep),
    /// The values that a command moves. Not passed on.
    MoveRead,
    /// The answer to values that were sent to be moved. Not passed on.
    MoveWrite,
    /// An answer to a command that sorts. Not passed on.
    Sort,
    /// The name of some record. Not passed on.
    Random,
    /// A reply to a request of the proxy's own. Not passed on; an error closes the connection if it is `fatal`.
    Internal { fatal: bool },
    /// The reply to the script of a prelude, within a transaction of the client's or not. Not passed on.
    PreludeScript { in_transaction: bool },
    /// `+QUEUED` for a request behind its prelude, or the reply itself. Not passed on.
    PreludeQueued,
    /// The reply to `EXEC` of a prelude, which holds that of the request.
    Preluded(Box<PreludedRequest>),
    /// `+QUEUED`, or the reply itself if the server did not open the transaction.
    Queued { command: &'static str, shape: Shape },
    /// Begins this transaction, unless an error arrives.
    Multi { number: u64 },
    /// Ends a transaction: the replies to everything that was queued.
    Exec,
    /// The transaction had a command that was refused with this answer: `DISCARD` was sent, and the client gets
    /// `EXECABORT`.
    ExecRefused { refusal: Box<[u8]> },
    /// The transaction is discarded, unless an error arrives. The answer to the first command in it that was refused.
    Discard { refusal: Option<Box<[u8]>> },
    /// Records are watched, unless an error arrives.
    Watch,
    /// No records are watched, unless an error arrives.
    Unwatch,
    /// The connection has this label from here on, unless an error arrives.
    Label(Box<Label>),
    /// The list of the server's clients, of which the client gets these; all if none are named.
    ClientList { ids: Option<Box<[u64]>> },
    /// Decides whether these clients may be killed here.
    Kill(Box<KillHere>),
    /// The reply to a request that servers refuse: the next request waits for it.
    Unsettled { command: &'static str },
    /// Decides whether replies may be switched off. Not passed on.
    MayChangeReplies,
    /// Replies are switched on again, unless an error arrives.
    RepliesOn,
    /// A reply that the client does not want.
    Muted(Box<Pending>),
    /// The protocol has this version from here on, unless an error arrives.
    Hello(Protocol),
    /// Acknowledgements of a subscription: the word that they begin with, and the number that is expected.
    Acknowledged {
        word: &'static str,
        remaining: Remaining,
    },
    /// From here on the server reports the requests of all clients.
    Monitor,
    /// From here on the connection is like a new one.
    Reset,
}

/// A request for a transaction that is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayStep {
    /// The values are watched.
    Watch,
    /// One of them is read.
    Read(usize),
    /// Values that are moved from this record are read, from this end of a list.
    Source { index: usize, end: End },
    /// One of its commands is queued.
    Queue,
    /// It is executed.
    Exec,
}

/// A read for a known script.
pub(crate) struct ScriptRead {
    /// The command that runs the script.
    pub(crate) command: &'static str,
    pub(crate) location: OwnedLocation,
}

/// A known script that was sent.
#[derive(Clone, Copy)]
pub(crate) struct ScriptReply {
    pub(crate) command: &'static str,
    pub(crate) script: KnownScript,
    /// The value that was read is the one that the client compares with.
    pub(crate) matched: bool,
}

/// The name that a client gives its connection, or the library that it uses.
pub(crate) struct Label {
    pub(crate) kind: LabelKind,
    /// The request that repeats it; `None` if it is too long to be remembered.
    pub(crate) request: Option<Box<[u8]>>,
    /// Its text; empty if it is too long to be remembered.
    pub(crate) text: Box<[u8]>,
}

impl Label {
    /// Bytes that are held for it beyond its own size.
    fn retained_bytes(&self) -> usize {
        let request = self.request.as_ref().map_or(0, |request| request.len());
        request.saturating_add(self.text.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelKind {
    Name,
    Library,
    Version,
}

/// The number of acknowledgements that are expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remaining {
    /// This many.
    Count(usize),
    /// One for each subscription of its kind, and one if there are no subscriptions.
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

impl Protocol {
    /// The version in which a computed reply is written.
    pub(crate) fn of_computed(self) -> waxseal_compute::Protocol {
        match self {
            Self::Resp2 => waxseal_compute::Protocol::Resp2,
            Self::Resp3 => waxseal_compute::Protocol::Resp3,
        }
    }
}

/// The policy's shape of a reply, with copies of the names that it needs: it outlives the request.
pub(crate) type OwnedShape = policy::ReplyShape<
    OwnedLocation,
    Box<RequestNames>,
    Box<RecordFields<OwnedLocation, Strings>>,
    Box<ValuePart<OwnedLocation>>,
    Box<MemberScan<OwnedLocation, Box<[u8]>>>,
    NameReply<Box<[u8]>>,
>;

/// The shape of a reply.
pub(crate) enum Shape {
    /// The values that the policy says.
    Values(OwnedShape),
    /// The values that a command computes on which writes nothing.
    Computed(Box<ComputedReply>),
    /// The elements of a record, which are sorted.
    Sorted(Box<SortedReply>),
    /// This, in the place of whatever arrives but an error.
    Fixed(Box<[u8]>),
    /// The reply of a command that a script runs. It has no values.
    Scripted,
    /// The reply to a script in the place of a command of a transaction that is sent again.
    Replayed(Box<ReplayedReply>),
    /// The reply to `SCRIPT EXISTS`: for each digest, whether the proxy can identify its script.
    ScriptsExist(Box<[bool]>),
    /// A reply whose errors may quote names of the request.
    Quoting(Box<Quoting>),
    /// What `CLIENT TRACKINGINFO` answers, with these prefixes in place of the server's.
    Prefixes(Box<Strings>),
    /// The reply to a prelude in a transaction, which the client does not get.
    Dropped,
}

/// A reply whose errors may quote names of the request as they are stored.
pub(crate) struct Quoting {
    pub(crate) names: QuotedNames,
    /// So may any other reply: it is a text.
    pub(crate) is_text: bool,
    /// The reply, if it is none of these.
    pub(crate) inner: Shape,
}

impl Pending {
    /// The reply that is expected, whether the client gets it or not.
    pub(crate) fn inner(&self) -> &Self {
        match self {
            Self::Muted(pending) => pending,
            pending => pending,
        }
    }

    /// The reply that is expected, and true if the client does not get it.
    pub(crate) fn into_inner(self) -> (Self, bool) {
        match self {
            Self::Muted(pending) => (*pending, true),
            pending => (pending, false),
        }
    }

    /// Bytes that are held for it beyond its own size.
    pub(crate) fn retained_bytes(&self) -> usize {
        match self {
            Self::Reply { shape, .. } | Self::Queued { shape, .. } => shape.retained_bytes(),
            Self::Local(answer) => answer.len(),
            Self::Muted(pending) => pending.retained_bytes(),
            Self::Label(label) => label.retained_bytes(),
            Self::ClientList { ids } => ids.as_ref().map_or(0, |ids| size_of_val(&**ids)),
            Self::Kill(kill) => kill.retained_bytes(),
            Self::ScriptRead(read) => location::retained_bytes(&read.location),
            Self::Preluded(request) => request.shape.retained_bytes(),
            _ => 0,
        }
    }
}

impl Shape {
    /// A reply without protected values.
    pub(crate) const VERBATIM: Self = Self::Values(policy::ReplyShape::Verbatim);

    /// Copies the names that a shape needs from the request.
    pub(crate) fn of(
        shape: &policy::ReplyShape,
        names: &ProtectedNames,
        arguments: &[&[u8]],
    ) -> Self {
        let owned =
            |location: &policy::Location<usize>| location::owned(location.resolve(arguments));
        Self::Values(shape.map(
            owned,
            |(), usage| {
                Box::new(match usage {
                    NamesUse::Each => RequestNames::with_patterns(names, arguments),
                    NamesUse::Any => RequestNames::all(names_of(arguments)),
                })
            },
            |of| {
                let fields = arguments.get(of.fields.clone()).unwrap_or_default();
                Box::new(RecordFields {
                    record: owned(&of.record),
                    fields: Strings::new(fields.iter().copied()),
                })
            },
            |part| {
                Box::new(ValuePart {
                    location: owned(&part.location),
                    start: part.start,
                    end: part.end,
                })
            },
            |scan| {
                let glob = scan.glob.and_then(|glob| arguments.get(glob));
                Box::new(MemberScan {
                    location: owned(&scan.location),
                    scored: scan.scored,
                    glob: glob.map(|glob| Box::from(*glob)),
                })
            },
            |found| found.map(|glob| Box::from(arguments.get(*glob).copied().unwrap_or_default())),
        ))
    }

    /// Bytes that are held for it beyond its own size: a request may name very many records, and names may be long.
    pub(crate) fn retained_bytes(&self) -> usize {
        use policy::ReplyShape;
        match self {
            Self::Values(ReplyShape::Verbatim) => 0,
            Self::Values(ReplyShape::Record(location, _)) => location::retained_bytes(location),
            Self::Values(
                ReplyShape::EachName(names)
                | ReplyShape::AnyName(names, _)
                | ReplyShape::Streams(names),
            ) => names.retained_bytes(),
            Self::Values(ReplyShape::EachField(of)) => {
                location::retained_bytes(&of.record).saturating_add(of.fields.retained_bytes())
            }
            Self::Values(ReplyShape::Part(part)) => location::retained_bytes(&part.location),
            Self::Values(ReplyShape::Members(scan)) => {
                let glob = scan.glob.as_ref().map_or(0, |glob| glob.len());
                location::retained_bytes(&scan.location).saturating_add(glob)
            }
            Self::Values(ReplyShape::Names(found)) => {
                found.glob.as_ref().map_or(0, |glob| glob.len())
            }
            Self::Computed(computed) => computed.retained_bytes(),
            Self::Sorted(sorted) => sorted.retained_bytes(),
            Self::Fixed(reply) => reply.len(),
            Self::Replayed(reply) => reply.retained_bytes(),
            Self::ScriptsExist(identifiable) => identifiable.len(),
            Self::Prefixes(prefixes) => prefixes.retained_bytes(),
            Self::Quoting(quoting) => {
                let names = quoting.names.retained_bytes();
                names.saturating_add(quoting.inner.retained_bytes())
            }
            Self::Dropped | Self::Scripted => 0,
        }
    }

    /// True if the reply passes unchanged.
    pub(crate) fn is_verbatim(&self) -> bool {
        matches!(self, Self::Values(shape) if shape.is_verbatim())
    }

    /// The location of the only value of the reply, if it has one.
    pub(crate) fn single_value(&self) -> Option<&OwnedLocation> {
        match self {
            Self::Values(policy::ReplyShape::Record(location, policy::Layout::Value)) => {
                Some(location)
            }
            _ => None,
        }
    }
}

/// The arguments of a request that are names of records.
pub(crate) fn places_of_names(arguments: &[&[u8]]) -> impl Iterator<Item = usize> + use<> {
    let places = policy::table::find(arguments).map(|row| row.names.places(arguments));
    places.unwrap_or_default().into_iter()
}

/// All record names of a request.
pub(crate) fn names_of<'a>(arguments: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let places = places_of_names(arguments);
    places.map(|place| arguments.get(place).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_few_replies_need_does_not_make_all_of_them_larger() {
        let location = size_of::<OwnedLocation>();
        // The location, its layout and the kind of the shape.
        assert_eq!(size_of::<Shape>(), location + 8);
        // The command and the kind of the reply.
        assert_eq!(size_of::<Pending>(), size_of::<Shape>() + 24);
        assert_eq!(size_of::<Pending>(), 104);
    }
}
