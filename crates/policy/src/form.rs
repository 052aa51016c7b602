//! The forms of commands that carry values: the arguments that are sealed, and the values in the reply. One function for
//! each form, by kind of data, called only if one of the names is protected. The row of a command in the table says
//! which form it has, if any.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};
use waxseal_kinds::Kind;

use crate::decide::{NameMatch, decide, is_excepted};
use crate::decision::{Action, ComputeCall, RequestChange, Transform, ValueSlot};
use crate::location::{Location, ReplyShape};
use crate::protected::ProtectedNames;
use crate::refusal::Reason;
use crate::table::find;

mod channels;
mod connection;
mod geo;
mod groups;
mod hashes;
mod lists;
mod names;
mod scripts;
mod sets;
mod sort;
mod sorted_sets;
mod streams;
mod strings;

pub(crate) use channels::seal_message;
pub(crate) use connection::without_redirect;
pub use names::NameForm;
pub use scripts::decide_script;

/// A form that a command can have. Commands whose values are at the same positions have the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `GET name`, `GETDEL name`.
    Get,
    /// `GETEX name [lifetime]`.
    GetEx,
    /// `GETSET name value`.
    GetSet,
    /// `SET name value [NX | XX] [GET] [lifetime]`.
    Set,
    /// `SETEX name lifetime value`, `PSETEX`.
    SetEx,
    /// `SETNX name value`.
    SetNx,
    /// `MGET name…`.
    MGet,
    /// `MSET name value…`, `MSETNX`.
    MSet,
    /// `MSETEX count name value… [NX | XX] [lifetime]`.
    MSetEx,
    /// `STRLEN name`.
    StrLen,
    /// `GETRANGE name start end`, `SUBSTR`.
    GetRange,
    /// `DELEX name [condition]`.
    DelEx,
    /// `INCR name`, `APPEND name value`, `SETBIT name offset bit` and their like: the first argument is the name.
    Compute,
    /// `GETBIT name offset`, `LCS name name` and their like, which write nothing.
    ComputeReading,
    /// `HINCRBY name field increment`, `HINCRBYFLOAT`.
    ComputeField,
    /// `HGET name field`.
    HGet,
    /// `HMGET name field…`.
    HMGet,
    /// `HGETALL name`.
    HGetAll,
    /// `HVALS name`.
    HVals,
    /// `HSCAN name cursor [MATCH glob] [COUNT count] [NOVALUES]`.
    HScan,
    /// `HRANDFIELD name [count [WITHVALUES]]`.
    HRandField,
    /// `HSTRLEN name field`.
    HStrLen,
    /// `HSET name field value…`, `HMSET`.
    HSet,
    /// `HSETNX name field value`.
    HSetNx,
    /// `HSETEX name [conditions] [lifetime] FIELDS count field value…`.
    HSetEx,
    /// `HGETEX name [lifetime] FIELDS count field…`.
    HGetEx,
    /// `HGETDEL name FIELDS count field…`.
    HGetDel,
    /// `LPUSH name value…`, `RPUSH`, `LPUSHX`, `RPUSHX`.
    Push,
    /// `LSET name index value`.
    LSet,
    /// `LRANGE name start end`.
    LRange,
    /// `LINDEX name index`.
    LIndex,
    /// `LPOP name [count]`, `RPOP`.
    Pop,
    /// `BLPOP name… timeout`, `BRPOP`, `LMPOP`, `BLMPOP`: the name is in the reply.
    PopAny,
    /// `LREM name count value`, with elements that are sealed deterministically.
    LRem,
    /// `LPOS name value [options]`, as `LREM`.
    LPos,
    /// `LINSERT name BEFORE | AFTER pivot value`, as `LREM`.
    LInsert,
    /// `LMOVE source destination …`, `RPOPLPUSH`, `BLMOVE`, `BRPOPLPUSH`.
    MoveElement,
    /// `RENAME name name`, `RENAMENX`, `COPY`.
    MoveRecord,
    /// `SORT name [options]`, `SORT_RO`.
    Sort,
    /// `SADD name member…`, and all others in which only members follow the name.
    Members,
    /// `SMOVE source destination member`.
    SMove,
    /// `SMEMBERS name`.
    AllMembers,
    /// `SPOP name [count]`, `SRANDMEMBER`.
    SomeMembers,
    /// `SSCAN name cursor [MATCH glob] [COUNT count]`.
    SScan,
    /// `SUNION name…`, `SINTER`, `SDIFF`.
    Algebra,
    /// `SUNIONSTORE destination name…`, `SINTERCARD` and others that compare members and return none.
    WithinGroup,
    /// `ZADD name [options] score member…`.
    ZAdd,
    /// `ZCARD name`, `ZCOUNT name min max` and others that name no member.
    NoMember,
    /// `ZINCRBY name increment member`.
    ZIncrBy,
    /// `ZRANK name member [WITHSCORE]`, `ZREVRANK`.
    ZRank,
    /// `ZRANGE name start stop [options]`, `ZREVRANGE`, `ZRANGEBYSCORE`, `ZREVRANGEBYSCORE`.
    ZRange,
    /// `ZRANGESTORE destination source start stop [options]`.
    ZRangeStore,
    /// `ZPOPMIN name [count]`, `ZPOPMAX`.
    ZPop,
    /// `BZPOPMIN name… timeout`, `BZPOPMAX`, `ZMPOP`, `BZMPOP`: the name is in the reply.
    ZPopAny,
    /// `ZRANDMEMBER name [count [WITHSCORES]]`.
    ZRandMember,
    /// `ZSCAN name cursor [MATCH glob] [COUNT count] [NOSCORES]`.
    ZScan,
    /// `ZUNION count name… [options]`, `ZINTER`, `ZDIFF`.
    ZAlgebra,
    /// `GEOADD name [options] longitude latitude member…`.
    GeoAdd,
    /// `GEODIST name member member [unit]`.
    GeoDist,
    /// `GEOSEARCH name options…`.
    GeoSearch,
    /// `GEOSEARCHSTORE destination source options…`.
    GeoSearchStore,
    /// `GEORADIUS name longitude latitude radius unit [options]`, `GEORADIUS_RO`.
    GeoRadius,
    /// `GEORADIUSBYMEMBER name member radius unit [options]`, `GEORADIUSBYMEMBER_RO`.
    GeoRadiusByMember,
    /// `XADD name [options] id field value…`.
    XAdd,
    /// `XRANGE name start end [COUNT count]`, `XREVRANGE`.
    XRange,
    /// `XREAD [options] STREAMS name… id…`, `XREADGROUP`.
    XRead,
    /// `XCLAIM name group consumer time id… [options]`.
    XClaim,
    /// `XAUTOCLAIM name group consumer time start [options]`.
    XAutoClaim,
    /// `XINFO STREAM name [FULL [COUNT count]]`.
    XInfoStream,
    /// `COMMAND GETKEYS request…`.
    GetKeys,
    /// `ACL DRYRUN user request…`.
    DryRun,
    /// `EVAL text count name… argument…`, `EVAL_RO`.
    Eval,
    /// `EVALSHA digest count name… argument…`.
    EvalSha,
    /// `EVALSHA_RO digest count name… argument…`.
    EvalShaRo,
    /// `FCALL function count name… argument…`, `FCALL_RO`.
    Function,
}

impl Form {
    /// The description of a request of this form that names a protected record, for the documentation.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Set => {
                "value sealed; with `GET` the old value is opened. With `IFEQ`, `IFNE`, `IFDEQ`, `IFDNE` \
                 compared by the proxy with the opened value, on servers that have the option"
            }
            Self::SetEx | Self::SetNx | Self::LSet => "value sealed",
            Self::GetSet => "value sealed, the old value opened",
            Self::Get | Self::GetEx | Self::LIndex => "value opened",
            Self::MGet => "values opened, name by name",
            Self::MSet | Self::MSetEx => "values sealed, name by name",
            Self::StrLen => "sent as GET; the length is that of the opened value",
            Self::GetRange => "sent as GET; the part is taken from the opened value",
            Self::DelEx => {
                "forwarded without a condition; with one compared by the proxy with the opened value"
            }
            Self::Compute | Self::ComputeField => {
                "computed by the proxy: the value is opened, and the result sealed and written if the value \
                 has not changed meanwhile"
            }
            Self::ComputeReading => "computed by the proxy on the opened value",
            Self::HGet => "value opened",
            Self::HMGet | Self::HGetEx | Self::HGetDel => "values opened, field by field",
            Self::HGetAll => "values opened",
            Self::HVals => "sent as HGETALL; the values are opened, the fields left out",
            Self::HScan => "values opened; forwarded with `NOVALUES`",
            Self::HRandField => "values opened with `WITHVALUES`; forwarded without",
            Self::HStrLen => "sent as HGET; the length is that of the opened value",
            Self::HSet | Self::HSetNx | Self::HSetEx => "values sealed, field by field",
            Self::Push => "values sealed, one by one",
            Self::LRange | Self::Pop => "values opened",
            Self::LRem | Self::LPos | Self::LInsert => {
                "values sealed, where the pattern has `members = \"deterministic\"`; else refused: the server \
                 compares values"
            }
            Self::MoveElement => {
                "value opened. Forwarded within one record or one group that values are bound to; else opened, sealed \
                 for the other record and moved by the proxy, if the command does not wait"
            }
            Self::MoveRecord => {
                "forwarded within one group that values are bound to; else its values are opened, sealed for the other \
                 name and moved by the proxy, except to a name that is not protected, to another database, or of a stream"
            }
            Self::Sort => {
                "sorted by the proxy: elements, and what `BY` and `GET` name, are opened, and with `STORE` the result is \
                 sealed; values of protected records are not stored under a name that is not protected"
            }
            Self::GetKeys | Self::DryRun => {
                "forwarded, unless the request inside holds values or would be refused"
            }
            Self::PopAny => "values opened, if the name in the reply is protected",
            Self::Eval => {
                "known scripts of locks are run on the opened value; of those that take due members from a sorted \
                 set the members are opened; others are refused, or forwarded with `scripts = \"forward\"`"
            }
            Self::EvalSha | Self::EvalShaRo => {
                "as the script's text, if it is known; else answered with `NOSCRIPT`, so that the client \
                 sends it"
            }
            Self::Function => "refused, or forwarded with `scripts = \"forward\"`",
            other => other.description_of_collection(),
        }
    }

    /// The same for forms of sets, sorted sets and streams.
    fn description_of_collection(self) -> &'static str {
        match self {
            Self::Members
            | Self::ZAdd
            | Self::ZIncrBy
            | Self::ZRank
            | Self::GeoAdd
            | Self::GeoDist => {
                "members sealed deterministically; scores and positions are in clear"
            }
            Self::AllMembers | Self::SomeMembers | Self::ZPop | Self::ZRandMember => {
                "members opened"
            }
            Self::SScan | Self::ZScan => {
                "members opened; `MATCH` is not sent, and applied to the opened members of each page"
            }
            Self::Algebra | Self::ZAlgebra => {
                "members opened; only within one record, or one group that values are bound to"
            }
            Self::NoMember => "forwarded",
            Self::SMove => "member sealed; only within one group that values are bound to",
            Self::WithinGroup => {
                "forwarded within one record, or one group that values are bound to; else refused"
            }
            Self::ZRange => {
                "members opened. `BYLEX` is refused: sealed members have another order. Members of equal score \
                 are in the order of their sealed bytes"
            }
            Self::ZRangeStore => {
                "forwarded within one group that values are bound to; `BYLEX` is refused"
            }
            Self::ZPopAny => "members opened, if the name in the reply is protected",
            Self::GeoSearch | Self::GeoRadiusByMember | Self::GeoRadius => {
                "members sealed and opened; positions and distances are in clear. `STORE` only within one group \
                 that values are bound to"
            }
            Self::GeoSearchStore => "member sealed; only within one group that values are bound to",
            Self::XAdd => {
                "values sealed, field by field. `IDMPAUTO` is refused: it compares the values of entries"
            }
            Self::XRange | Self::XClaim | Self::XAutoClaim => "values of entries opened",
            Self::XRead => "values of entries opened, stream by stream",
            Self::XInfoStream => "values of the entries that it shows opened",
            _ => "",
        }
    }

    /// Decides about a request of this form, one of whose names is protected. `Err` is the reason for refusing one that
    /// has another form.
    pub(crate) fn apply(
        self,
        names: &ProtectedNames,
        arguments: &[&[u8]],
        met: NameMatch,
    ) -> Result<Action, Reason> {
        let request = Request {
            names,
            arguments,
            met,
        };
        match self {
            Self::Get => Ok(strings::get(request)),
            Self::GetEx => Ok(strings::get_ex(request)),
            Self::GetSet => Ok(strings::get_set(request)),
            Self::Set => strings::set(request),
            Self::SetEx => Ok(strings::set_ex(request)),
            Self::SetNx => Ok(strings::set_nx(request)),
            Self::MGet => Ok(strings::m_get()),
            Self::MSet => Ok(strings::m_set(request)),
            Self::MSetEx => strings::m_set_ex(request),
            Self::StrLen => Ok(strings::str_len(request)),
            Self::GetRange => Ok(strings::get_range(request)),
            Self::DelEx => Ok(strings::del_ex(request)),
            Self::Compute => Ok(compute(request, request.string(1), false)),
            Self::ComputeReading => Ok(compute(request, request.string(request.met.0), true)),
            Self::ComputeField => Ok(compute(request, request.field(1, 2), false)),
            Self::HGet => Ok(hashes::get(request)),
            Self::HMGet => Ok(hashes::m_get(request)),
            Self::HGetAll => Ok(hashes::get_all(request)),
            Self::HVals => Ok(hashes::vals(request)),
            Self::HScan => hashes::scan(request),
            Self::HRandField => hashes::rand_field(request),
            Self::HStrLen => Ok(hashes::str_len(request)),
            Self::HSet => Ok(hashes::set(request)),
            Self::HSetNx => Ok(hashes::set_nx(request)),
            Self::HSetEx => hashes::set_ex(request),
            Self::HGetEx => hashes::get_ex(request),
            Self::HGetDel => hashes::get_del(request),
            Self::Push => Ok(lists::push(request)),
            Self::LSet => Ok(lists::set(request)),
            Self::LRange => Ok(lists::range(request)),
            Self::LIndex => Ok(lists::index(request)),
            Self::Pop => Ok(lists::pop(request)),
            Self::PopAny => Ok(lists::pop_any()),
            Self::LRem => lists::compare(request, 3, 4),
            Self::LPos => lists::position(request),
            Self::LInsert => lists::insert(request),
            Self::MoveElement => groups::move_element(request),
            Self::MoveRecord => groups::move_record(request),
            Self::Sort => sort::sort(request),
            Self::WithinGroup => groups::within(request),
            Self::GetKeys => embedded_request(request, 2),
            Self::DryRun => embedded_request(request, 3),
            Self::Eval => scripts::eval(request),
            Self::EvalSha => scripts::eval_sha(request, "evalsha"),
            Self::EvalShaRo => scripts::eval_sha(request, "evalsha_ro"),
            Self::Function => scripts::unknown(request),
            other => other.apply_to_collection(request),
        }
    }

    /// The same for forms of sets, sorted sets and streams.
    fn apply_to_collection(self, request: Request<'_>) -> Result<Action, Reason> {
        match self {
            Self::Members => Ok(sets::members(request)),
            Self::SMove => sets::s_move(request),
            Self::AllMembers => Ok(sets::all(request)),
            Self::SomeMembers => Ok(sets::some(request)),
            Self::SScan => sets::scan(request, false),
            Self::ZScan => sets::scan(request, true),
            Self::Algebra => sets::algebra(request),
            Self::ZAdd => Ok(sorted_sets::add(request)),
            Self::NoMember => sorted_sets::no_member(request),
            Self::ZIncrBy => Ok(sorted_sets::increment(request)),
            Self::ZRank => Ok(sorted_sets::rank(request)),
            Self::ZRange => sorted_sets::range(request),
            Self::ZRangeStore => sorted_sets::range_store(request),
            Self::ZPop => Ok(sorted_sets::pop(request)),
            Self::ZPopAny => Ok(sorted_sets::pop_any()),
            Self::ZRandMember => sorted_sets::random(request),
            Self::ZAlgebra => sorted_sets::algebra(request),
            Self::GeoAdd => Ok(geo::add(request)),
            Self::GeoDist => Ok(geo::distance(request)),
            Self::GeoSearch => geo::search(request),
            Self::GeoSearchStore => geo::search_store(request),
            Self::GeoRadius => geo::radius(request, false),
            Self::GeoRadiusByMember => geo::radius(request, true),
            Self::XAdd => streams::add(request),
            Self::XRange => streams::range(request),
            Self::XRead => streams::read(request),
            Self::XClaim => Ok(streams::claim(request)),
            Self::XAutoClaim => Ok(streams::auto_claim(request)),
            Self::XInfoStream => Ok(streams::info(request)),
            _ => Err(Reason::UnforeseenForm),
        }
    }
}

/// One request under one policy.
#[derive(Clone, Copy)]
struct Request<'r> {
    names: &'r ProtectedNames,
    arguments: &'r [&'r [u8]],
    /// The pattern of one of the names, which is known already.
    met: NameMatch,
}

impl Request<'_> {
    fn len(self) -> usize {
        self.arguments.len()
    }

    /// The string with the name at this argument, if it is protected.
    fn string(self, name: usize) -> Option<Location<usize>> {
        self.record(name, Kind::String)
    }

    /// Any element of the list with the name at this argument, if it is protected.
    fn element(self, name: usize) -> Option<Location<usize>> {
        self.record(name, Kind::ListElement)
    }

    /// Any member of the set with the name at this argument, if it is protected.
    fn member(self, name: usize) -> Option<Location<usize>> {
        self.record(name, Kind::Member)
    }

    /// The hash with the name at this argument, if it is protected. Its fields are in the reply.
    fn hash(self, name: usize) -> Option<Location<usize>> {
        self.record(name, Kind::HashField)
    }

    /// The stream with the name at this argument, if it is protected. Its fields are in the request or the reply.
    fn stream(self, name: usize) -> Option<Location<usize>> {
        self.record(name, Kind::StreamField)
    }

    /// The record with the name at this argument, if it is protected, and the kind of its values.
    fn record(self, name: usize, kind: Kind) -> Option<Location<usize>> {
        let pattern = match self.met {
            (at, Some(pattern)) if at == name => pattern,
            _ => self.names.find(self.arguments.get(name)?)?,
        };
        Some(Location {
            pattern,
            kind,
            name,
            field: None,
        })
    }

    /// The field at an argument, of the record with the name at another one, if that is protected.
    fn field(self, name: usize, field: usize) -> Option<Location<usize>> {
        let location = self.hash(name)?;
        Some(Location {
            field: Some(field),
            ..location
        })
    }
}

/// The request passes unchanged, its reply does not.
fn reply(reply: ReplyShape) -> Action {
    Action::Transform(Transform {
        request: RequestChange::None,
        reply,
    })
}

/// One value in the request, and none in the reply.
fn seal_one(argument: usize, location: Location<usize>) -> Action {
    seal(smallvec![ValueSlot { argument, location }])
}

/// Values in the request, and none in the reply.
fn seal(slots: SmallVec<[ValueSlot; 2]>) -> Action {
    Action::Transform(Transform {
        request: RequestChange::Seal(slots),
        reply: ReplyShape::Verbatim,
    })
}

/// A command that the proxy computes. Values under excepted names are plain: the server computes on those.
fn compute(request: Request<'_>, location: Option<Location<usize>>, reads: bool) -> Action {
    match location {
        Some(location) if !is_excepted(request.met) => {
            let adds = None;
            Action::Compute(ComputeCall {
                location,
                reads,
                adds,
            })
        }
        _ => Action::Forward,
    }
}

/// Another request is sent instead, with the arguments up to `end`.
fn replace(command: &'static str, end: usize, reply: ReplyShape) -> Action {
    Action::Transform(Transform {
        request: RequestChange::Replace {
            command,
            arguments: 1..end,
        },
        reply,
    })
}

/// A request with a value that does not have the expected form: refused, because the value would be sent in clear. With
/// too few arguments to hold a value it is forwarded, and the server answers with its error.
fn unexpected_form(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    Err(Reason::UnforeseenForm)
}

/// A request whose number of arguments servers refuse: as many are sent, but empty, so that the error is the server's, and
/// comes when the server would find it.
fn wrong_number(request: Request<'_>) -> Action {
    emptied(request, 2)
}

/// The same, with everything from this argument on left empty.
fn emptied(request: Request<'_>, first: usize) -> Action {
    if request.len() <= first {
        return Action::Forward;
    }
    Action::Transform(Transform {
        request: RequestChange::Reword {
            arguments: (first..request.len()).collect(),
            word: "",
        },
        reply: ReplyShape::Verbatim,
    })
}

/// A request with something else where a server wants a number or a word: these arguments are sealed, so that the error is
/// the server's, and it sees nothing of a value that a program put in the wrong place.
fn seal_misplaced(arguments: Range<usize>, location: Location<usize>) -> Action {
    seal(
        arguments
            .map(|argument| ValueSlot { argument, location })
            .collect(),
    )
}

/// A request that embeds another one, whose command word is at this position: that one's values would be sent in clear.
fn embedded_request(request: Request<'_>, word: usize) -> Result<Action, Reason> {
    let inside = request.arguments.get(word..).unwrap_or_default();
    // A request that is embedded twice is not decided about.
    let nested = find(inside).is_some_and(|row| row.embedded_command().is_some());
    let holds_no_value = !nested
        && match decide(request.names, inside).action {
            Action::Forward => true,
            // What is left out, a glob for members, is applied here and not sent.
            Action::Transform(transform) => match &transform.request {
                RequestChange::Seal(_) | RequestChange::Omit(_) => false,
                // Values are left empty.
                RequestChange::Reword { word, .. } => !word.is_empty(),
                // The server would be sent what is replaced.
                RequestChange::Glob { .. } => false,
                RequestChange::None | RequestChange::Replace { .. } => true,
            },
            Action::Compute(call) => call.reads,
            Action::Move(_) | Action::Sort(_) => true,
            Action::Refuse(_)
            | Action::Script(_)
            | Action::ScriptDigest(_)
            | Action::Tracking(_) => false,
        };
    match (holds_no_value, request.names.has_managed()) {
        (false, _) => Err(Reason::EmbedsRequest),
        (true, false) => Ok(Action::Forward),
        (true, true) => Ok(names::found(names::of_embedded(request.arguments))),
    }
}

/// The number of arguments of the lifetime option at this position, if there is a known one.
fn lifetime(arguments: &[&[u8]], at: usize) -> Option<usize> {
    use crate::argument::{integer, is, is_any_keyword};
    if is(arguments, at, "KEEPTTL") {
        return Some(1);
    }
    // A word where the number should be could be part of a value.
    let number = integer(arguments, at.saturating_add(1)).is_some();
    (number && is_any_keyword(arguments, at, &["EX", "PX", "EXAT", "PXAT"])).then_some(2)
}
