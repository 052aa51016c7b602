//! The locations of values, in the store ([`Location`]) and in replies ([`ReplyShape`]). One pair of types serves all
//! stages of a request, so that a new kind of data is one more [`Layout`] and one more arm where replies are opened:
//!
//! | stage | names are | created by |
//! |---|---|---|
//! | decision | indexes of arguments: `Location<usize>`, `ReplyShape` | the forms of commands |
//! | sealing and opening | borrowed: `Location<&[u8]>` | [`Location::resolve`], [`Location::borrowed`] |
//! | waiting for the reply | owned copies, as the caller stores them | [`Location::map`], [`ReplyShape::map`] |
//!
//! A proxy holds one shape for each reply that it waits for. The shapes that most replies have are therefore small: those
//! that need more are parameters, which the caller may put into a box.

use std::ops::Range;

use waxseal_kinds::Kind;

use crate::member_glob::matches_glob;
use crate::protected::PatternId;

/// The location of a value, which the value is bound to: its record, its kind, and its field in a hash or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<N, F = N> {
    /// The pattern that matches the record.
    pub pattern: PatternId,
    /// The kind of the value.
    pub kind: Kind,
    /// The record's name.
    pub name: N,
    /// The field, in a hash or stream; `None` if the reply names it.
    pub field: Option<F>,
}

impl<N, F> Location<N, F> {
    /// The same location with its names converted.
    pub fn map<M, G>(
        self,
        name: impl FnOnce(N) -> M,
        field: impl FnOnce(F) -> G,
    ) -> Location<M, G> {
        Location {
            pattern: self.pattern,
            kind: self.kind,
            name: name(self.name),
            field: self.field.map(field),
        }
    }
}

impl Location<usize> {
    /// The location with the names that these arguments give. An argument that is missing is an empty name.
    #[must_use]
    pub fn resolve<'a>(self, arguments: &[&'a [u8]]) -> Location<&'a [u8]> {
        let argument = |index: usize| arguments.get(index).copied().unwrap_or_default();
        self.map(argument, argument)
    }
}

impl<N: AsRef<[u8]>, F: AsRef<[u8]>> Location<N, F> {
    /// The same location with its names borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Location<&[u8]> {
        Location {
            pattern: self.pattern,
            kind: self.kind,
            name: self.name.as_ref(),
            field: self.field.as_ref().map(AsRef::as_ref),
        }
    }

    /// The location of a field of this record.
    #[must_use]
    pub fn with_field<'a>(&'a self, field: &'a [u8]) -> Location<&'a [u8]> {
        Location {
            field: Some(field),
            ..self.borrowed()
        }
    }
}

/// The values that a reply holds. Errors pass in every shape.
///
/// `L` is the location of a value, `N` stands for all record names of the request, `F` for the fields that it names, `P`
/// for a part of a value, `S` for a page of members, `G` for names. In a decision they are indexes of arguments; a caller that has to remember a shape replaces them
/// by copies ([`map`](Self::map)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyShape<
    L = Location<usize>,
    N = (),
    F = RecordFields,
    P = ValuePart,
    S = MemberScan,
    G = NameReply,
> {
    /// No protected values: the reply passes unchanged.
    Verbatim,
    /// Values of one record, or of one of its fields, arranged in this way.
    Record(L, Layout),
    /// An array with an element for each argument after the command word: the value of the record of that name, or
    /// null. Elements of names that are not protected pass.
    EachName(N),
    /// An array with an element for each of these fields of one record: the value of that field, or null.
    EachField(F),
    /// Null, or a name and a value, or a name and an array of values of this kind; members have scores. The name in the
    /// reply decides whether they are protected.
    AnyName(N, Kind),
    /// Null, or names of streams, each with an array of its entries. Each name decides whether its entries are protected.
    Streams(N),
    /// One value or null, of which the client wants a part: empty for null.
    Part(P),
    /// A cursor, then an array of members, of which the client wants those that match.
    Members(S),
    /// Names of records as they are stored, of which some are sealed. It holds no values.
    Names(G),
}

/// Names of records in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameReply<G = usize> {
    /// Their arrangement.
    pub layout: NameLayout,
    /// The glob that the logical names must match, those of sealed names and all others.
    pub glob: Option<G>,
}

/// The arrangement of names in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameLayout {
    /// A cursor, then an array of names. A page may be empty.
    Page,
    /// An array of names.
    All,
    /// An array of arrays, each of which begins with a name.
    Flagged,
    /// One name, or null.
    One,
    /// A text, in which names of the request may be quoted.
    Text,
    /// An array of channels. Those of keyspace notifications end with a name.
    Channels,
    /// A channel and a number in turn.
    ChannelCounts,
    /// What `CLIENT TRACKINGINFO` answers: some elements are prefixes of names.
    Tracking,
}

impl<G: AsRef<[u8]>> NameReply<G> {
    /// True if this logical name is one that the client wants. `None` if finding out takes more than these `steps`, from
    /// which those that were taken are subtracted.
    #[must_use]
    pub fn matches(&self, logical: &[u8], steps: &mut usize) -> Option<bool> {
        match &self.glob {
            None => Some(true),
            Some(glob) => matches_glob(glob.as_ref(), logical, steps),
        }
    }
}

impl<G> NameReply<G> {
    /// The same names with the glob converted.
    pub fn map<H>(&self, glob: impl FnOnce(&G) -> H) -> NameReply<H> {
        NameReply {
            layout: self.layout,
            glob: self.glob.as_ref().map(glob),
        }
    }
}

/// A page of the members of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberScan<L = Location<usize>, G = usize> {
    /// Its members.
    pub location: L,
    /// A score follows each.
    pub scored: bool,
    /// The glob that members must match.
    pub glob: Option<G>,
}

/// Fields of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFields<L = Location<usize>, F = Range<usize>> {
    /// The record.
    pub record: L,
    /// The fields, in order.
    pub fields: F,
}

/// A part of one value, counted as GETRANGE counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuePart<L = Location<usize>> {
    /// The value.
    pub location: L,
    /// The first byte; from the end if negative.
    pub start: i64,
    /// The last byte, included; from the end if negative.
    pub end: i64,
}

/// The arrangement of the values of one record in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One value, or null. (`SET … GET` of a record that did not exist answers null.)
    Value,
    /// An array (or null) whose elements are all values.
    Elements,
    /// Field, value, field, value: as a flat array, as a map, or as an array of pairs. The fields are in the reply.
    Fields,
    /// A cursor, then an array of field, value, field, value.
    ScannedFields,
    /// The answer to HGETALL, as in [`Layout::Fields`], of which the client wants only the values, as an array.
    OnlyValues,
    /// One value or null, of which the client wants the length: 0 for null.
    Length,
    /// Member, score, member, score: as a flat array, or as an array of pairs.
    Scored,
    /// An array of arrays, each of which begins with a member.
    FirstOfEach,
    /// An array (or null) of entries of a stream, or of their ids. The fields are in the reply.
    Entries,
    /// An id, then entries as in [`Layout::Entries`], then ids of deleted entries.
    ClaimedEntries,
    /// The description of a stream, in which some parts are entries.
    StreamInfo,
}

impl<L, N, F, P, S, G> ReplyShape<L, N, F, P, S, G> {
    /// The same shape with its parts converted.
    pub fn map<M, O, E, Q, T, H>(
        &self,
        location: impl FnOnce(&L) -> M,
        names: impl FnOnce(&N, NamesUse) -> O,
        fields: impl FnOnce(&F) -> E,
        part: impl FnOnce(&P) -> Q,
        scan: impl FnOnce(&S) -> T,
        found: impl FnOnce(&G) -> H,
    ) -> ReplyShape<M, O, E, Q, T, H> {
        match self {
            Self::Verbatim => ReplyShape::Verbatim,
            Self::Record(record, layout) => ReplyShape::Record(location(record), *layout),
            Self::EachName(all) => ReplyShape::EachName(names(all, NamesUse::Each)),
            Self::EachField(of) => ReplyShape::EachField(fields(of)),
            Self::AnyName(all, kind) => ReplyShape::AnyName(names(all, NamesUse::Any), *kind),
            Self::Streams(all) => ReplyShape::Streams(names(all, NamesUse::Any)),
            Self::Part(of) => ReplyShape::Part(part(of)),
            Self::Members(of) => ReplyShape::Members(scan(of)),
            Self::Names(of) => ReplyShape::Names(found(of)),
        }
    }

    /// True if the reply passes unchanged.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        matches!(self, Self::Verbatim)
    }
}

/// The use of the record names of a request in the shape of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesUse {
    /// Each has its element ([`ReplyShape::EachName`]).
    Each,
    /// The reply names one or more of them ([`ReplyShape::AnyName`], [`ReplyShape::Streams`]).
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordPattern;
    use crate::protected::ProtectedNames;

    #[test]
    fn a_location_is_resolved_and_borrowed() {
        let names = ProtectedNames::new(vec![RecordPattern::parse("wa:*").unwrap()]);
        let pattern = names.find(b"wa:1").unwrap();
        let location = Location {
            pattern,
            kind: Kind::HashField,
            name: 1_usize,
            field: Some(2_usize),
        };
        let resolved = location.resolve(&[b"HGET", b"wa:1", b"f"]);
        assert_eq!(
            (resolved.name, resolved.field),
            (&b"wa:1"[..], Some(&b"f"[..]))
        );
        let owned = resolved.map(<[u8]>::to_vec, Box::<[u8]>::from);
        assert_eq!(owned.borrowed(), resolved);
        assert_eq!(owned.with_field(b"g").field, Some(&b"g"[..]));
        // An argument that is missing has no bytes.
        assert_eq!(location.resolve(&[b"HGET"]).name, b"");
    }

    #[test]
    fn a_shape_keeps_its_layout_when_its_parts_are_converted() {
        type Shape = ReplyShape<u8, (), u8, u8, u8, u8>;
        let map = |shape: Shape| {
            shape.map(
                |location| location + 1,
                |(), usage| usage,
                |fields| fields + 2,
                |part| part + 3,
                |scan| scan + 4,
                |found| found + 5,
            )
        };
        for (shape, mapped) in [
            (
                Shape::Record(1, Layout::Length),
                ReplyShape::Record(2, Layout::Length),
            ),
            (Shape::EachName(()), ReplyShape::EachName(NamesUse::Each)),
            (Shape::EachField(1), ReplyShape::EachField(3)),
            (
                Shape::AnyName((), Kind::Member),
                ReplyShape::AnyName(NamesUse::Any, Kind::Member),
            ),
            (Shape::Streams(()), ReplyShape::Streams(NamesUse::Any)),
            (Shape::Part(1), ReplyShape::Part(4)),
            (Shape::Members(1), ReplyShape::Members(5)),
            (Shape::Names(1), ReplyShape::Names(6)),
            (Shape::Verbatim, ReplyShape::Verbatim),
        ] {
            assert_eq!(shape.is_verbatim(), mapped.is_verbatim());
            assert_eq!(map(shape), mapped);
        }
    }
}
