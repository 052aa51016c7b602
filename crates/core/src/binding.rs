//! Binding: the record, or the field of a hash, that an envelope is tied to. It is the associated data of the
//! sealed format.

use crate::envelope::{Flags, HEADER_LEN, Header};

/// Associated data up to these lengths is built on the stack.
const SHORT: usize = 64;
const LONG: usize = 1024;

/// The binding of an envelope: to nothing, a record, or one field of a hash.
///
/// An envelope opens only with the binding that it was sealed with. The classic format carries no
/// binding: there it is ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    record: Option<&'a [u8]>,
    field: Option<&'a [u8]>,
}

impl<'a> Binding<'a> {
    /// Bound to nothing: the envelope opens wherever it is copied to.
    #[must_use]
    pub fn unbound() -> Self {
        Self {
            record: None,
            field: None,
        }
    }

    /// Bound to the record of this name (a string, or any element of a list).
    #[must_use]
    pub fn record(name: &'a [u8]) -> Self {
        Self {
            record: Some(name),
            field: None,
        }
    }

    /// The binding of a stored value: to its record, and to its field if the record is a hash. An element of a list is
    /// bound to the record only, since elements move.
    ///
    /// Whatever seals or opens values of records takes their binding from here.
    #[inline]
    #[must_use]
    pub fn of_value(record: &'a [u8], field: Option<&'a [u8]>) -> Self {
        match field {
            Some(field) => Self::field(record, field),
            None => Self::record(record),
        }
    }

    /// Bound to one field of the hash of this name.
    #[must_use]
    pub fn field(name: &'a [u8], field: &'a [u8]) -> Self {
        Self {
            record: Some(name),
            field: Some(field),
        }
    }

    pub(crate) fn flags(self) -> Flags {
        Flags::of_binding(self.record.is_some(), self.field.is_some())
    }

    /// Associated data: the header, then length (u32 big-endian) and bytes of each bound part.
    /// `None` if a part is too long for its length field.
    #[inline]
    pub(crate) fn with_associated_data<T>(
        self,
        header: Header,
        then: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let parts = [self.record, self.field];
        let mut len = HEADER_LEN;
        for part in parts.into_iter().flatten() {
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
        put(&mut remaining, &header.to_bytes())?;
        for part in parts.into_iter().flatten() {
            put(
                &mut remaining,
                &u32::try_from(part.len()).ok()?.to_be_bytes(),
            )?;
            put(&mut remaining, part)?;
        }
        Some(then(buffer))
    }
}

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

    fn associated_data(binding: Binding<'_>) -> Vec<u8> {
        let header = Header {
            flags: binding.flags(),
            key: KeyId::from_u32(0x0102_0304),
        };
        binding
            .with_associated_data(header, <[u8]>::to_vec)
            .unwrap()
    }

    #[test]
    fn associated_data_is_header_then_length_and_bytes_of_each_part() {
        assert_eq!(
            associated_data(Binding::unbound()),
            b"\xf5\x57\x02\x00\x01\x02\x03\x04"
        );
        assert_eq!(
            associated_data(Binding::record(b"wa:1")),
            b"\xf5\x57\x02\x01\x01\x02\x03\x04\x00\x00\x00\x04wa:1"
        );
        assert_eq!(
            associated_data(Binding::field(b"wa:1", b"email")),
            b"\xf5\x57\x02\x03\x01\x02\x03\x04\x00\x00\x00\x04wa:1\x00\x00\x00\x05email"
        );
    }

    #[test]
    fn a_value_is_bound_to_its_record_and_to_its_field_in_a_hash() {
        assert_eq!(
            associated_data(Binding::of_value(b"wa:1", None)),
            associated_data(Binding::record(b"wa:1"))
        );
        assert_eq!(
            associated_data(Binding::of_value(b"wa:1", Some(b"email"))),
            associated_data(Binding::field(b"wa:1", b"email"))
        );
        // An empty field is a field.
        assert_eq!(
            associated_data(Binding::of_value(b"wa:1", Some(b""))),
            associated_data(Binding::field(b"wa:1", b""))
        );
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
            let data = associated_data(Binding::record(&name));
            assert_eq!(data.len(), 8 + 4 + len);
            assert!(data.ends_with(&name));
        }
    }
}
