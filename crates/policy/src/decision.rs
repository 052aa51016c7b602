//! The decision about a request: it is forwarded unchanged, with sealed values, or refused; the content of its
//! reply; its effect on the connection. Only types, no rules.

use std::ops::Range;

use smallvec::SmallVec;

use crate::location::{Location, ReplyShape};
use crate::name_glob::ServerGlob;
use crate::protected::PatternId;
use crate::refusal::Refusal;
use crate::scripts::{Addition, KnownScript};

/// The decision about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The name of the command in the table, if the table has a row for it.
    pub command: Option<&'static str>,
    /// The action on the request and its reply.
    pub action: Action,
    /// The arguments that are stored names: each is the name of a record whose names are sealed, in order. Those of an
    /// embedded request are among them.
    pub names: NameSlots,
    /// True if an error in reply to the request may quote these names.
    pub quotes_names: bool,
    /// The effect that the request has on the connection, unless the server refuses it.
    pub effect: Effect,
}

/// The arguments of a request that are sent as stored names. Most requests name one record.
pub type NameSlots = SmallVec<[NameSlot; 2]>;

/// An argument that is the logical name of a record, and is sent as its stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameSlot {
    /// Which argument; 0 is the command word.
    pub argument: u32,
    /// The pattern of the name, which is not excepted from it.
    pub pattern: PatternId,
}

/// The action on a request and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Both are forwarded unchanged.
    Forward,
    /// Values in the request are sealed, values in the reply opened.
    Transform(Transform),
    /// The request is not sent; the client gets an error.
    Refuse(Refusal),
    /// The value of the record is read first, and the script then compares the stored envelope.
    Script(ScriptCall),
    /// The value is read and opened, the command computed on it, and the result sealed and written back.
    Compute(ComputeCall),
    /// The values are read and opened, sealed for the name that they move to, and written there in the step in which the
    /// server moves them.
    Move(MoveCall),
    /// The elements are read and opened, and sorted by what other records hold for them; a result that is stored is sealed.
    Sort(SortCall),
    /// The server keeps account of the records that the client reads, and announces changes of them: `CLIENT TRACKING`, with
    /// some patterns whose names are sealed.
    Tracking(TrackingCall),
    /// The action depends on the text of the script, which the policy does not know by this digest
    /// ([`decide_script`](crate::decide_script)).
    ScriptDigest(UnknownDigest),
}

/// A known script over one protected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// The script.
    pub script: KnownScript,
    /// The record.
    pub location: Location<usize>,
    /// The argument that the script compares with the record's value.
    pub compared: usize,
    /// The argument that it stores as the record's value. It can be the one that it compares.
    pub stored: Option<ValueSlot>,
}

/// A command that computes on a value of a protected record, or compares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeCall {
    /// The value. Of several names, this is a protected one.
    pub location: Location<usize>,
    /// True if the command never writes.
    pub reads: bool,
    /// It is a script that adds to the value: the argument, and what it does where there is none.
    pub adds: Option<(usize, Addition)>,
}

/// A command that moves values to a record which they are not bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveCall {
    /// The argument that names the record which they come from.
    pub source: usize,
    /// Its pattern; `None` if it is not protected, so that its values are plain.
    pub pattern: Option<PatternId>,
    /// The record that they move to, with the kind of the values of a string where they may be of any.
    pub destination: Location<usize>,
    /// What moves.
    pub moved: Moved,
}

/// A command that sorts the elements of a record, and may return or store what other records hold for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCall {
    /// The argument that names the record whose elements are sorted.
    pub source: usize,
    /// Its pattern; `None` if it is not protected, so that its elements are plain.
    pub pattern: Option<PatternId>,
    /// The list that the result is stored in, with its argument.
    pub destination: Option<(usize, Option<Location<usize>>)>,
}

/// A `CLIENT TRACKING` with the prefixes of names that the client follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingCall {
    /// True for `ON`, false for `OFF`.
    pub is_on: bool,
    /// True with `BCAST`: all records with the prefixes are followed, or all records if there are none.
    pub is_broadcast: bool,
    /// The arguments that are prefixes, in order.
    pub prefixes: SmallVec<[usize; 2]>,
}

/// What a command moves or copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The record: `RENAME`.
    Record,
    /// The record, if there is none under the new name: `RENAMENX`.
    RecordToFreeName,
    /// A copy of the record, if there is none under the new name: `COPY`.
    Copy,
    /// A copy of the record: `COPY … REPLACE`.
    CopyReplacing,
    /// An element from an end of a list to an end of another one.
    Element {
        /// The end that it is taken from.
        from: End,
        /// The end that it is put to.
        to: End,
    },
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

impl End {
    /// The word for it in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Right => "RIGHT",
        }
    }
}

/// The action on a script with an unknown digest, unless its text is that of a known script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownDigest {
    /// It is refused.
    Refuse(Refusal),
    /// It is forwarded, as the operator wants for each protected record that it names.
    Forward,
    /// It is forwarded: each protected record that it names is excepted.
    Excepted,
}

/// The changes to a request and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// The change of the request.
    pub request: RequestChange,
    /// The content of a reply that is not an error.
    pub reply: ReplyShape,
}

/// The change of a request before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestChange {
    /// Nothing.
    None,
    /// These arguments are values: each is sealed, all others are unchanged.
    Seal(SmallVec<[ValueSlot; 2]>),
    /// These arguments are replaced by this word; all others are unchanged.
    Reword {
        /// The arguments, in order.
        arguments: SmallVec<[usize; 2]>,
        /// The text that replaces each of them.
        word: &'static str,
    },
    /// These arguments, in order, are globs over names, and replaced by one that stored names match. The reply is filtered
    /// by the glob that the client sent.
    Glob {
        /// The arguments; never none. Of several globs a server takes the last one.
        arguments: SmallVec<[usize; 2]>,
        /// The glob that is sent.
        glob: ServerGlob,
    },
    /// These arguments, in order, are left out.
    Omit(SmallVec<[usize; 2]>),
    /// Another request is sent instead: this command, then these arguments of the original.
    Replace {
        /// The command.
        command: &'static str,
        /// The arguments of the original request that follow it.
        arguments: Range<usize>,
    },
}

/// An argument that is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueSlot {
    /// Which argument; 0 is the command word.
    pub argument: usize,
    /// The location where the value will be stored.
    pub location: Location<usize>,
}

/// The effect of a request on its connection, if the server accepts it. Most of these need a dedicated
/// upstream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// None: any connection can be used.
    None,
    /// None, but it runs code on the server, which may name records that the request does not.
    Script,
    /// None, but it loads the text of a script into the server: `SCRIPT LOAD`.
    LoadScript,
    /// None, but it queries which scripts the server has: `SCRIPT EXISTS`.
    QueryScripts,
    /// It may block the connection for long.
    Blocking,
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// WATCH.
    Watch,
    /// UNWATCH.
    Unwatch,
    /// HELLO.
    Hello,
    /// AUTH.
    Auth,
    /// SELECT.
    Select,
    /// RESET.
    Reset,
    /// QUIT.
    Quit,
    /// SUBSCRIBE and its like.
    Subscribe(Channels),
    /// UNSUBSCRIBE and its like.
    Unsubscribe(Channels),
    /// MONITOR.
    Monitor,
    /// `CLIENT REPLY ON`, with exactly three arguments.
    ReplyOn,
    /// `CLIENT REPLY OFF`, with exactly three arguments.
    ReplyOff,
    /// `CLIENT REPLY SKIP`, with exactly three arguments.
    ReplySkip,
    /// `CLIENT SETNAME`, `CLIENT SETINFO`: only the label of the connection.
    Label,
    /// `CLIENT LIST`, `CLIENT INFO`: lists clients.
    ListClients,
    /// `CLIENT KILL`: closes connections.
    KillClients,
    /// Any other request about the state of the connection itself.
    Connection,
    /// Known only from its reply, before which nothing may follow: a command with one of the effects above in a
    /// form that servers refuse, such as `DISCARD now`, and one that some servers answer twice.
    Unsettled,
}

/// The kind of channels of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Channels by name.
    Plain,
    /// Channels by pattern.
    Patterns,
    /// Shard channels.
    Shards,
}
