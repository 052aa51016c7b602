//! What the policy answers: whether a request goes out as it came, with sealed values, or not at
//! all; what its reply will hold; what it does to its connection. Only words, no rules.

use std::ops::Range;

use smallvec::SmallVec;

use crate::location::{Location, ReplyShape};
use crate::refusal::Refusal;
use crate::scripts::KnownScript;

/// What is to be done with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The command as the table has it; none when the table has no row for it.
    pub command: Option<&'static str>,
    /// With the request and its reply.
    pub action: Action,
    /// With the connection. Says what the request asks for; the server may still refuse it.
    pub effect: Effect,
}

/// What happens to a request and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Both pass as they come.
    Forward,
    /// Values in the request are sealed, values in the reply opened.
    Transform(Transform),
    /// The request is not sent; the client gets an error.
    Refuse(Refusal),
    /// The record's value is read first: the script then compares what is stored.
    Script(ScriptCall),
    /// What happens depends on the script's text, which the policy does not know by this digest
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

/// A script of a digest that no known script has. With the text of a known script it is run as that one, else:
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownDigest {
    /// It is refused.
    Refuse(Refusal),
    /// It is forwarded, as the operator wants for each protected record that it names.
    Forward,
    /// It is forwarded: each protected record that it names is excepted.
    Excepted,
}

/// A request whose values, or whose reply's values, are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// What changes in the request.
    pub request: RequestChange,
    /// What a reply that is no error holds.
    pub reply: ReplyShape,
}

/// What changes in a request before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestChange {
    /// Nothing.
    None,
    /// These arguments are values: each is sealed in its place, everything else goes as it came.
    Seal(SmallVec<[ValueSlot; 2]>),
    /// These arguments are replaced by this word; everything else goes as it came.
    Reword {
        /// The arguments, in order.
        arguments: SmallVec<[usize; 2]>,
        /// What is sent in their place.
        word: &'static str,
    },
    /// Another request is sent instead: this word, then these arguments of the original.
    Replace {
        /// The command word.
        command: &'static str,
        /// The arguments that follow it. They lie within the original request.
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

/// What a request does to the connection it comes over, if the server accepts it. Most of these need a
/// dedicated upstream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: any connection would do.
    None,
    /// Nothing, but it runs code on the server, which may name records that the request does not.
    Script,
    /// Nothing, but it tells the server the text of a script: `SCRIPT LOAD`.
    LoadScript,
    /// Nothing, but it asks which scripts the server has: `SCRIPT EXISTS`.
    QueryScripts,
    /// It may hold up the connection for long.
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
    /// `CLIENT SETNAME`, `CLIENT SETINFO`: only what the connection is called.
    Label,
    /// `CLIENT LIST`, `CLIENT INFO`: names the server's clients.
    ListClients,
    /// `CLIENT KILL`: ends connections.
    KillClients,
    /// Anything else that asks for or changes the state of the connection itself.
    Connection,
    /// What it does is told by its reply alone, and nothing may follow before that has come: a command
    /// with one of the effects above in a form that servers refuse, such as `DISCARD now`, and one that
    /// some servers answer twice.
    Unsettled,
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Channels by name.
    Plain,
    /// Channels by pattern.
    Patterns,
    /// Shard channels.
    Shards,
}
