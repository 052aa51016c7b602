//! Binding: the kind and place of a value, which its envelope is tied to. It is the associated data of the sealed
//! format.

use waxseal_kinds::Kind;

use crate::envelope::{Flags, Header};
use crate::error::SealError;
use crate::version::EnvelopeVersion;

/// Associated data up to these lengths is built on the stack.
const SHORT: usize = 64;
const LONG: usize = 1024;

/// The binding of an envelope: the kind of its value, and the record, group and field that it belongs to.
///
/// An envelope opens only with the binding that it was sealed with. Version 2 of the sealed format carries neither kind
/// nor group, and the classic format nothing at all: there these are ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    kind: Kind,
    record: Option<&'a [u8]>,
    field: Option<&'a [u8]>,
    group: Option<Group<'a>>,
}

/// The group of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Group<'a> {
    id: &'a [u8],
    /// True if new envelopes are bound to it, and not to the record.
    seals: bool,
}

impl<'a> Binding<'a> {
    /// Bound to nothing: the envelope opens wherever it is copied to. Only version 2 has such envelopes.
    #[must_use]
    pub fn unbound() -> Self {
        Self {
            kind: Kind::String,
            record: None,
            field: None,
            group: None,
        }
    }

    /// The value of the string record of this name.
    #[must_use]
    pub fn record(name: &'a [u8]) -> Self {
        Self::of_kind(Kind::String, name)
    }

    /// The binding of a stored value of this kind, in this record, and in this field if values of the kind have one.
    ///
    /// Whatever seals or opens values of records takes their binding from here.
    #[inline]
    #[must_use]
    pub fn of_value(kind: Kind, record: &'a [u8], field: Option<&'a [u8]>) -> Self {
        Self {
            field: field.filter(|_| kind.has_field()),
            ..Self::of_kind(kind, record)
        }
    }

    /// One field of the hash of this name.
    #[must_use]
    pub fn field(name: &'a [u8], field: &'a [u8]) -> Self {
        Self {
            field: Some(field),
            ..Self::of_kind(Kind::HashField, name)
        }
    }

    /// Any element of the list of this name. Elements move, so they are not bound to their position.
    #[must_use]
    pub fn element(name: &'a [u8]) -> Self {
        Self::of_kind(Kind::ListElement, name)
    }

    /// Any member of the set, sorted set or geo record of this name.
    #[must_use]
    pub fn member(name: &'a [u8]) -> Self {
        Self::of_kind(Kind::Member, name)
    }

    /// One field in any entry of the stream of this name.
    #[must_use]
    pub fn stream_field(name: &'a [u8], field: &'a [u8]) -> Self {
        Self {
            field: Some(field),
            ..Self::of_kind(Kind::StreamField, name)
        }
    }

    /// The sealed part of a record name, behind this prefix, which stays readable.
    #[must_use]
    pub fn record_name(prefix: &'a [u8]) -> Self {
        Self::of_kind(Kind::RecordName, prefix)
    }

    /// A message in the channels of this group.
    #[must_use]
    pub fn message(group: &'a [u8]) -> Self {
        Self {
            kind: Kind::Message,
            ..Self::unbound().in_group(group, true)
        }
    }

    /// The same binding of a record that belongs to the group with this id. If it `seals`, new envelopes are bound to
    /// the group instead of the record, and open in every record of it. Envelopes of both kinds open.
    #[must_use]
    pub fn in_group(self, id: &'a [u8], seals: bool) -> Self {
        Self {
            group: Some(Group { id, seals }),
            ..self
        }
    }

    pub(crate) fn names_group(&self) -> bool {
        self.group.is_some()
    }

    /// The kind of the value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn of_kind(kind: Kind, name: &'a [u8]) -> Self {
        Self {
            kind,
            record: Some(name),
            ..Self::unbound()
        }
    }

    /// The same binding, to which new envelopes are bound by the record name.
    pub(crate) fn sealing_to_record(self) -> Self {
        let group = self.group.map(|group| Group {
            seals: false,
            ..group
        });
        Self { group, ..self }
    }

    /// The flags of a new envelope of this version, or the reason why there can be none.
    #[inline]
    pub(crate) fn flags(&self, version: EnvelopeVersion) -> Result<Flags, SealError> {
        let seals_to_group = self.group.is_some_and(|group| group.seals);
        match version {
            EnvelopeVersion::V2 if seals_to_group => {
                let what = "binding a value to a group";
                Err(SealError::NeedsVersion3 { what })
            }
            EnvelopeVersion::V2 if !self.kind.is_in_version_2() => {
                let what = self.kind.as_str();
                Err(SealError::NeedsVersion3 { what })
            }
            EnvelopeVersion::V2 => Ok(self.flags_of_version_2()),
            EnvelopeVersion::V3 if seals_to_group => Ok(Flags::of_group(self.kind.has_field())),
            EnvelopeVersion::V3 if self.record.is_some() => {
                Ok(Flags::of_record(true, self.kind.has_field()))
            }
            EnvelopeVersion::V3 => Err(SealError::Unbound),
        }
    }

    #[inline]
    fn flags_of_version_2(&self) -> Flags {
        Flags::of_record(self.record.is_some(), self.field.is_some())
    }

    /// True if an envelope with this header can have been sealed with this binding.
    ///
    /// It must be bound to exactly the parts that are named here: one that is bound to nothing does not open where a
    /// bound one is expected, so it cannot be planted there.
    #[inline]
    pub(crate) fn fits(&self, header: Header) -> bool {
        match header.version {
            EnvelopeVersion::V2 => {
                self.kind.is_in_version_2() && header.flags.place() == self.flags_of_version_2()
            }
            EnvelopeVersion::V3 => {
                header.flags.bound_to_field() == self.kind.has_field()
                    && self.scope(header.flags).is_some()
            }
        }
    }

    /// The record name or the id of the group, as an envelope of version 3 with these flags is bound to.
    #[inline]
    fn scope(&self, flags: Flags) -> Option<&'a [u8]> {
        if flags.bound_to_group() {
            self.group.map(|group| group.id)
        } else {
            self.record
        }
    }

    /// Associated data: the header; in version 3 the kind (one byte); then length (u32 big-endian) and bytes of each
    /// part. `None` if a part is too long for its length field, or missing.
    #[inline]
    pub(crate) fn with_associated_data<T>(
        &self,
        header: Header,
        domain: &[u8],
        then: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let bytes = header.to_bytes();
        match header.version {
            EnvelopeVersion::V2 => assemble(bytes, [self.record, self.field], then),
            EnvelopeVersion::V3 => {
                let [b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
                let start = [b0, b1, b2, b3, b4, b5, b6, b7, self.kind.as_u8()];
                let scope = self.scope(header.flags)?;
                assemble(start, [Some(domain), Some(scope), self.field], then)
            }
        }
    }
}

/// The start, then length and bytes of each part. The lengths of both arrays are known when this is compiled, so that
/// each version has code of its own.
#[inline]
fn assemble<const START: usize, const PARTS: usize, T>(
    start: [u8; START],
    parts: [Option<&[u8]>; PARTS],
    then: impl FnOnce(&[u8]) -> T,
) -> Option<T> {
    let mut len = START;
    for part in parts.iter().flatten() {
        u32::try_from(part.len()).ok()?;
        len = len.checked_add(4)?.checked_add(part.len())?;
    }
    // Names are short: common lengths need no allocation, and the most common ones a small buffer.
    let (mut short, mut long, mut heap);
    let buffer: &mut [u8] = if len <= SHORT {
        short = [0u8; SHORT];
        short.get_mut(..len)?
    } else if len <= LONG {
        long = [0u8; LONG];
        long.get_mut(..len)?
    } else {
        heap = vec![0u8; len];
        &mut heap
    };
    let mut remaining: &mut [u8] = buffer;
    put(&mut remaining, &start)?;
    for part in parts.iter().flatten() {
        put(
            &mut remaining,
            &u32::try_from(part.len()).ok()?.to_be_bytes(),
        )?;
        put(&mut remaining, part)?;
    }
    Some(then(buffer))
}

#[inline]
fn put(remaining: &mut &mut [u8], bytes: &[u8]) -> Option<()> {
    let (head, tail) = std::mem::take(remaining).split_at_mut_checked(bytes.len())?;
    head.copy_from_slice(bytes);
    *remaining = tail;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyId;

    fn associated_data(version: EnvelopeVersion, binding: Binding<'_>) -> Vec<u8> {
        let header = Header {
            version,
            flags: binding.flags(version).unwrap(),
            key: KeyId::from_u32(0x0102_0304),
        };
        assert!(binding.fits(header));
        binding
            .with_associated_data(header, b"prod", <[u8]>::to_vec)
            .unwrap()
    }

    #[test]
    fn associated_data_of_version_2_is_header_then_length_and_bytes_of_each_part() {
        let associated_data = |binding| associated_data(EnvelopeVersion::V2, binding);
        assert_eq!(
            associated_data(Binding::unbound()),
            b"\xf5\x57\x02\x00\x01\x02\x03\x04"
        );
        let record = b"\xf5\x57\x02\x01\x01\x02\x03\x04\x00\x00\x00\x04wa:1";
        assert_eq!(associated_data(Binding::record(b"wa:1")), record);
        assert_eq!(associated_data(Binding::element(b"wa:1")), record);
        let in_group = Binding::record(b"wa:1").in_group(b"states", false);
        assert_eq!(associated_data(in_group), record);
        assert_eq!(
            associated_data(Binding::field(b"wa:1", b"email")),
            b"\xf5\x57\x02\x03\x01\x02\x03\x04\x00\x00\x00\x04wa:1\x00\x00\x00\x05email"
        );
    }

    #[test]
    fn associated_data_of_version_3_has_kind_and_domain_before_record_or_group() {
        let associated_data = |binding| associated_data(EnvelopeVersion::V3, binding);
        for (binding, kind) in [
            (Binding::record(b"wa:1"), 1),
            (Binding::element(b"wa:1"), 2),
            (Binding::member(b"wa:1"), 4),
            (Binding::record_name(b"wa:1"), 7),
        ] {
            let mut expected =
                b"\xf5\x57\x03\x01\x01\x02\x03\x04K\0\0\0\x04prod\0\0\0\x04wa:1".to_vec();
            expected[8] = kind;
            assert_eq!(associated_data(binding), expected);
            let mut expected =
                b"\xf5\x57\x03\x08\x01\x02\x03\x04K\0\0\0\x04prod\0\0\0\x06states".to_vec();
            expected[8] = kind;
            assert_eq!(associated_data(binding.in_group(b"states", true)), expected);
        }
        assert_eq!(
            associated_data(Binding::message(b"states")),
            b"\xf5\x57\x03\x08\x01\x02\x03\x04\x06\0\0\0\x04prod\0\0\0\x06states"
        );
        for (binding, kind) in [
            (Binding::field(b"wa:1", b"email"), 3),
            (Binding::stream_field(b"wa:1", b"email"), 5),
        ] {
            let mut expected =
                b"\xf5\x57\x03\x03\x01\x02\x03\x04K\0\0\0\x04prod\0\0\0\x04wa:1\0\0\0\x05email"
                    .to_vec();
            expected[8] = kind;
            assert_eq!(associated_data(binding), expected);
        }
    }

    #[test]
    fn a_binding_that_a_version_cannot_express_is_refused() {
        use EnvelopeVersion::{V2, V3};
        let needs_version_3 = |what| Err(SealError::NeedsVersion3 { what });
        let in_group = Binding::record(b"wa:1").in_group(b"states", true);
        let group = "binding a value to a group";
        assert_eq!(in_group.flags(V2), needs_version_3(group));
        assert!(in_group.sealing_to_record().flags(V2).is_ok());
        for (binding, what) in [
            (Binding::member(b"wa:1"), "member"),
            (Binding::stream_field(b"wa:1", b"f"), "stream field"),
            (Binding::record_name(b"wa:1"), "record name"),
        ] {
            assert_eq!(binding.flags(V2), needs_version_3(what));
        }
        assert_eq!(Binding::unbound().flags(V3), Err(SealError::Unbound));
        let nowhere = Binding::unbound().in_group(b"states", false);
        assert_eq!(nowhere.flags(V3), Err(SealError::Unbound));
    }

    #[test]
    fn a_value_is_bound_to_its_record_its_kind_and_its_field() {
        let is_same = |a: Binding<'_>, b: Binding<'_>| a == b;
        for (kind, expected) in [
            (Kind::String, Binding::record(b"wa:1")),
            (Kind::ListElement, Binding::element(b"wa:1")),
            (Kind::Member, Binding::member(b"wa:1")),
        ] {
            // A field does not belong to values of these kinds.
            for field in [None, Some(&b"email"[..])] {
                assert!(is_same(Binding::of_value(kind, b"wa:1", field), expected));
            }
        }
        // An empty field is a field.
        for field in [&b"email"[..], b""] {
            let of_field = Binding::of_value(Kind::HashField, b"wa:1", Some(field));
            assert!(is_same(of_field, Binding::field(b"wa:1", field)));
            let of_entry = Binding::of_value(Kind::StreamField, b"wa:1", Some(field));
            assert!(is_same(of_entry, Binding::stream_field(b"wa:1", field)));
        }
    }

    #[test]
    fn a_name_of_any_length_is_bound_whole() {
        for len in [
            0,
            SHORT - 13,
            SHORT - 12,
            SHORT - 11,
            LONG - 12,
            LONG - 11,
            5_000,
        ] {
            let name = vec![b'n'; len];
            let data = associated_data(EnvelopeVersion::V2, Binding::record(&name));
            assert_eq!(data.len(), 8 + 4 + len);
            assert!(data.ends_with(&name));
            let data = associated_data(EnvelopeVersion::V3, Binding::record(&name));
            assert_eq!(data.len(), 8 + 1 + 4 + 4 + 4 + len);
            assert!(data.ends_with(&name));
        }
    }
}
