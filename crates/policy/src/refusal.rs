//! Refusals: the reasons why a request is not sent, as texts for operators. They hold names of commands, but no
//! argument of a request.

use std::fmt;

use crate::protected::PatternId;

/// A request that is not sent.
///
/// Displayed as a fragment of a sentence: the command in upper case, the cause, the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The name of the command in the table, `set` or `xgroup|create`, if the table has a row for it.
    pub command: Option<&'static str>,
    /// The reason.
    pub reason: Reason,
    /// The pattern of the protected name that is the cause; none if no name is, or if a glob may match one.
    pub pattern: Option<PatternId>,
    /// The argument that is this name or glob.
    pub name: Option<usize>,
}

/// The reason why a request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The server would compute on the value, of which it only has an envelope.
    ComputesOnValue,
    /// The server would compare values, and two envelopes of one value differ.
    ComparesValue,
    /// The server would compare elements of a list, which are not sealed deterministically.
    ComparesElement,
    /// The value would be moved to another name, and its envelope is bound to this one.
    MovesValue,
    /// The server would compare or move members between records whose members are sealed differently.
    MixesRecords,
    /// The server would sort members by their bytes, and those of sealed ones are in another order.
    SortsMembers,
    /// Code on the server would read or write the value.
    RunsCode,
    /// A known script names several records, and is supported for one.
    ScriptNamesSeveral,
    /// Values of this data type are not sealed in this version.
    NotYetSealed(DataKind),
    /// The values belong to fields that an earlier request named.
    FieldsNotInRequest,
    /// It holds another request, whose values would be sent in plaintext.
    EmbedsRequest,
    /// It writes a record of Waxseal's own: a key, the canary, a value in quarantine.
    WritesOwnRecord,
    /// Its command holds a zero byte, and servers may take it for another command.
    ZeroByte,
    /// The container has no such subcommand, or one that must not take effect through a proxy. The answer is
    /// that of servers.
    UnknownSubcommand,
    /// The table has no row for the command, and one of its arguments is a protected name.
    UnknownCommand,
    /// The command is known, and this form of it is not.
    UnforeseenForm,
    /// The connection would become one of replication, without requests and replies.
    Replication,
}

/// A data type whose values are not sealed in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// HyperLogLogs.
    HyperLogLogs,
    /// Strings of bits.
    Bitmaps,
    /// Vector sets.
    VectorSets,
    /// Arrays.
    Arrays,
}

impl Reason {
    /// The value of a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComputesOnValue => "computes_on_value",
            Self::ComparesValue => "compares_value",
            Self::ComparesElement => "compares_element",
            Self::MovesValue => "moves_value",
            Self::MixesRecords => "mixes_records",
            Self::SortsMembers => "sorts_members",
            Self::RunsCode => "runs_code",
            Self::ScriptNamesSeveral => "script_names_several",
            Self::NotYetSealed(_) => "not_yet_sealed",
            Self::FieldsNotInRequest => "fields_elsewhere",
            Self::EmbedsRequest => "quotes_request",
            Self::WritesOwnRecord => "writes_own_record",
            Self::ZeroByte => "zero_byte",
            Self::UnknownSubcommand => "unknown_subcommand",
            Self::UnknownCommand => "unknown_command",
            Self::UnforeseenForm => "unforeseen_form",
            Self::Replication => "replication",
        }
    }

    /// The cause, as a text that continues the name of a command.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::ComputesOnValue => "makes the server compute on a sealed value",
            Self::ComparesValue => "makes the server compare a sealed value",
            Self::ComparesElement => {
                "makes the server compare elements, and equal ones are not sealed alike"
            }
            Self::MovesValue => {
                "would put a sealed value under another name, where it does not open"
            }
            Self::MixesRecords => {
                "makes the server compare or move members of several records, and each record's members are sealed for it alone"
            }
            Self::SortsMembers => {
                "makes the server sort members by their bytes, and sealed ones have another order"
            }
            Self::RunsCode => "runs code of the server on a protected record",
            Self::ScriptNamesSeveral => {
                "runs the script of a lock over several records, one of them protected"
            }
            Self::FieldsNotInRequest => {
                "carries values without their fields, and a value is sealed together with its field"
            }
            Self::EmbedsRequest => "holds a request whose values would reach the server in clear",
            Self::NotYetSealed(kind) => kind.cause(),
            Self::WritesOwnRecord => {
                "names a record of Waxseal's own, under waxseal:, and may write it"
            }
            Self::ZeroByte => "contains a zero byte in its name",
            Self::UnknownSubcommand => "has no such subcommand here",
            Self::UnknownCommand => "names a protected record or channel",
            Self::UnforeseenForm => {
                "names a protected record in a form that this version does not know"
            }
            Self::Replication => "asks for replication, which does not pass through a proxy",
        }
    }

    /// The remedy for operators.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ComputesOnValue => {
                "read the value, compute in the application and write it back, under WATCH if others write too"
            }
            Self::ComparesValue => "read the value and compare in the application",
            Self::ComparesElement => {
                "set members = \"deterministic\" in the [[protect]] of this list, or read it and compare in the application"
            }
            Self::MovesValue => {
                "read it, write it under the new name and delete the old one; or give all these records one group = \"...\" with bind = \"group\""
            }
            Self::MixesRecords => {
                "give all these records one group = \"...\" with bind = \"group\", or read and compare in the application"
            }
            Self::SortsMembers => "read the members and sort in the application",
            Self::RunsCode => {
                "name the script's records in except = [...], or set scripts = \"forward\" if the script treats values as opaque bytes"
            }
            Self::ScriptNamesSeveral => {
                "lock one record at a time, or name these records in except = [...]"
            }
            Self::FieldsNotInRequest => "use HSET, in a pipeline if there are many",
            Self::EmbedsRequest => "ask with made-up values, under a name that is not protected",
            Self::NotYetSealed(_) => {
                "keep it under a name that matches no protected pattern, or in a string, hash or list"
            }
            Self::WritesOwnRecord => {
                "use the waxseal command line, or start the proxy with --allow-own-writes"
            }
            Self::ZeroByte => "remove it",
            Self::UnknownSubcommand => "clients go on as with a server that does not have it",
            Self::UnknownCommand => {
                "use a command that is known, or keep the record under a name that matches no protected pattern"
            }
            Self::UnforeseenForm => "see the command's forms in docs/reference/command-policy.md",
            Self::Replication => "connect the replica to the server itself",
        }
    }
}

impl Reason {
    /// True if such requests are refused whatever records are protected, so that no `except` allows them.
    #[must_use]
    pub fn is_always_refused(self) -> bool {
        matches!(
            self,
            Self::WritesOwnRecord | Self::ZeroByte | Self::UnknownSubcommand | Self::Replication
        )
    }
}

impl DataKind {
    fn cause(self) -> &'static str {
        match self {
            Self::HyperLogLogs => {
                "works on a HyperLogLog, which only the server can compute on, and which is not sealed"
            }
            Self::Bitmaps => "works on the bits of several values, which are sealed one by one",
            Self::VectorSets => "works on a vector set, and these are not sealed",
            Self::Arrays => "works on an array, and the elements of arrays are not sealed yet",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.statement(), self.reason.remedy())
    }
}

impl Refusal {
    /// The command and the cause, without the remedy.
    #[must_use]
    pub fn statement(&self) -> impl fmt::Display + use<> {
        Statement(*self)
    }
}

struct Statement(Refusal);

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.command {
            Some(name) => write!(f, "{}", Upper(name))?,
            None => f.write_str("an unknown command")?,
        }
        write!(f, " {}", self.0.reason.cause())
    }
}

/// The name of a command in upper case: `XGROUP CREATE` for `xgroup|create`.
pub(crate) struct Upper(pub(crate) &'static str);

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let letters = self.0.chars().map(|letter| match letter {
            '|' => ' ',
            letter => letter.to_ascii_uppercase(),
        });
        letters
            .into_iter()
            .try_for_each(|letter| f.write_char(letter))
    }
}
