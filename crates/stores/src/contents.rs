//! The contents of a record in stores that keep records themselves: its slots, pages of them, and
//! its encoding. Knows neither names nor expiry, nor where the bytes are kept.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error::StoreError;
use crate::record::{Cursor, Record, Slot, SlotPage};

/// The largest encoded record: the limit of a Redis string.
pub(crate) const MAX_ENCODED_LEN: usize = 512 * 1024 * 1024;
/// The first byte of every encoded record.
const VERSION: u8 = 1;

const STRING: u8 = b's';
const HASH: u8 = b'h';
const LIST: u8 = b'l';

/// The contents of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    String(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    List(Vec<Vec<u8>>),
}

/// The bytes are not an encoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The record would exceed the maximum size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Contents {
    pub(crate) fn into_record(self) -> Record {
        match self {
            Self::String(bytes) => Record::String(bytes),
            Self::Hash(_) => Record::Hash,
            Self::List(_) => Record::List,
        }
    }

    pub(crate) fn get(&self, slot: &Slot) -> Result<Option<&[u8]>, StoreError> {
        match (self, slot) {
            (Self::String(bytes), Slot::Whole) => Ok(Some(bytes)),
            (Self::Hash(fields), Slot::Field(field)) => Ok(fields.get(field).map(Vec::as_slice)),
            (Self::List(elements), Slot::Element(index)) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                Ok(elements.get(index).map(Vec::as_slice))
            }
            _ => Err(StoreError::WrongType),
        }
    }

    /// Writes one slot of a record of its type.
    pub(crate) fn put(&mut self, slot: &Slot, value: Vec<u8>) -> Result<(), StoreError> {
        match (self, slot) {
            (Self::String(bytes), Slot::Whole) => *bytes = value,
            (Self::Hash(fields), Slot::Field(field)) => {
                fields.insert(field.clone(), value);
            }
            (Self::List(elements), Slot::Element(index)) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                *elements.get_mut(index).ok_or_else(no_such_element)? = value;
            }
            _ => return Err(StoreError::WrongType),
        }
        Ok(())
    }

    /// The contents of a record after its first write.
    pub(crate) fn first(slot: &Slot, value: Vec<u8>) -> Result<Self, StoreError> {
        match slot {
            Slot::Whole => Ok(Self::String(value)),
            Slot::Field(field) => Ok(Self::Hash(BTreeMap::from([(field.clone(), value)]))),
            Slot::Element(_) => Err(no_such_element()),
            Slot::Member(_) | Slot::StreamField(_) => Err(StoreError::Unsupported {
                what: "hold sets, sorted sets and streams",
            }),
        }
    }

    /// Appends to a list. Returns its new length.
    pub(crate) fn append(&mut self, values: Vec<Vec<u8>>) -> Result<u64, StoreError> {
        let Self::List(elements) = self else {
            return Err(StoreError::WrongType);
        };
        elements.extend(values);
        Ok(elements.len() as u64)
    }

    /// One page of slots: fields ordered by name, elements by index.
    pub(crate) fn page(&self, cursor: &Cursor, count: usize) -> Result<SlotPage, StoreError> {
        let count = count.max(1);
        match self {
            Self::String(_) => Err(StoreError::WrongType),
            Self::Hash(fields) => {
                let after = from_hex(cursor)?;
                let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let mut input = fields.range::<[u8], _>((from, Bound::Unbounded));
                let page: Vec<_> = input.by_ref().take(count).collect();
                let more = input.next().is_some();
                let next = page.last().filter(|_| more).map(|(field, _)| to_hex(field));
                let slot = |(f, v): (&Vec<u8>, &Vec<u8>)| (Slot::Field(f.clone()), v.clone());
                Ok(SlotPage {
                    slots: page.into_iter().map(slot).collect(),
                    next,
                })
            }
            Self::List(elements) => {
                let from = match cursor.as_str() {
                    "" => 0,
                    text => text.parse().map_err(|_| bad_cursor())?,
                };
                let input = elements.get(from..).unwrap_or_default();
                let slots: Vec<_> = (from as u64..)
                    .zip(input.iter().take(count))
                    .map(|(index, element)| (Slot::Element(index), element.clone()))
                    .collect();
                let next = (input.len() > count)
                    .then(|| Cursor::from_text(from.saturating_add(count).to_string()));
                Ok(SlotPage { slots, next })
            }
        }
    }

    /// The record as bytes: a version, a type, then the value, or the number of parts and each part
    /// prefixed with its length (little-endian, 32 bits).
    pub(crate) fn encode(&self) -> Result<Vec<u8>, TooLarge> {
        let len = match self {
            Self::String(bytes) => bytes.len(),
            Self::Hash(fields) => parts_len(fields.iter().flat_map(|(f, v)| [f, v])),
            Self::List(elements) => parts_len(elements.iter()),
        };
        if len.saturating_add(2) > MAX_ENCODED_LEN {
            return Err(TooLarge);
        }
        let mut out = Vec::with_capacity(len.saturating_add(2));
        out.push(VERSION);
        match self {
            Self::String(bytes) => {
                out.push(STRING);
                out.extend_from_slice(bytes);
            }
            Self::Hash(fields) => {
                out.push(HASH);
                put_len(&mut out, fields.len())?;
                for part in fields.iter().flat_map(|(field, value)| [field, value]) {
                    put_part(&mut out, part)?;
                }
            }
            Self::List(elements) => {
                out.push(LIST);
                put_len(&mut out, elements.len())?;
                for element in elements {
                    put_part(&mut out, element)?;
                }
            }
        }
        Ok(out)
    }

    /// Decodes what [`Contents::encode`] wrote, and nothing else.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let (&[version, kind], mut input) = bytes.split_first_chunk::<2>().ok_or(Damaged)?;
        if version != VERSION || bytes.len() > MAX_ENCODED_LEN {
            return Err(Damaged);
        }
        let contents = match kind {
            STRING => return Ok(Self::String(input.to_vec())),
            HASH => {
                let mut fields = BTreeMap::new();
                for _ in 0..take_len(&mut input)? {
                    let (field, value) = (take_part(&mut input)?, take_part(&mut input)?);
                    if fields
                        .last_key_value()
                        .is_some_and(|(last, _)| *last >= field)
                    {
                        return Err(Damaged);
                    }
                    fields.insert(field, value);
                }
                Self::Hash(fields)
            }
            LIST => {
                let len = take_len(&mut input)?;
                // Each element takes at least four bytes: never allocates more than the input can
                // hold.
                let mut elements = Vec::with_capacity(len.min(input.len() / 4));
                for _ in 0..len {
                    elements.push(take_part(&mut input)?);
                }
                Self::List(elements)
            }
            _ => return Err(Damaged),
        };
        if input.is_empty() {
            Ok(contents)
        } else {
            Err(Damaged)
        }
    }
}

/// A cursor that resumes after these bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> Cursor {
    // One letter before the digits: the empty name needs a cursor that is not the start.
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|nibble| char::from_digit(u32::from(nibble), 16));
    Cursor::from_text(std::iter::once('x').chain(digits).collect())
}

/// The bytes after which a cursor resumes; `None` at the start.
pub(crate) fn from_hex(cursor: &Cursor) -> Result<Option<Vec<u8>>, StoreError> {
    if cursor.is_start() {
        return Ok(None);
    }
    let digits = cursor.as_str().strip_prefix('x').ok_or_else(bad_cursor)?;
    let nibbles = digits.chars().map(|digit| {
        digit
            .to_digit(16)
            .and_then(|nibble| u8::try_from(nibble).ok())
            .ok_or_else(bad_cursor)
    });
    let nibbles: Vec<u8> = nibbles.collect::<Result<_, _>>()?;
    let (pairs, []) = nibbles.as_chunks::<2>() else {
        return Err(bad_cursor());
    };
    Ok(Some(
        pairs.iter().map(|[high, low]| high << 4 | low).collect(),
    ))
}

fn bad_cursor() -> StoreError {
    StoreError::Other {
        code: "invalid cursor".to_owned(),
    }
}

fn no_such_element() -> StoreError {
    StoreError::Other {
        code: "no such element".to_owned(),
    }
}

fn parts_len<'a>(parts: impl Iterator<Item = &'a Vec<u8>>) -> usize {
    parts.fold(4, |len, part| {
        len.saturating_add(part.len()).saturating_add(4)
    })
}

fn put_len(out: &mut Vec<u8>, len: usize) -> Result<(), TooLarge> {
    let len = u32::try_from(len).map_err(|_| TooLarge)?;
    out.extend_from_slice(&len.to_le_bytes());
    Ok(())
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) -> Result<(), TooLarge> {
    put_len(out, part.len())?;
    out.extend_from_slice(part);
    Ok(())
}

fn take_len(input: &mut &[u8]) -> Result<usize, Damaged> {
    let (len, after) = input.split_first_chunk::<4>().ok_or(Damaged)?;
    *input = after;
    usize::try_from(u32::from_le_bytes(*len)).map_err(|_| Damaged)
}

fn take_part(input: &mut &[u8]) -> Result<Vec<u8>, Damaged> {
    let len = take_len(input)?;
    let (part, after) = input.split_at_checked(len).ok_or(Damaged)?;
    *input = after;
    Ok(part.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Contents> {
        let field = |n: u8| (vec![n; usize::from(n)], vec![0xff, n, 0]);
        vec![
            Contents::String(Vec::new()),
            Contents::String(b"\x00value\xff".to_vec()),
            Contents::Hash(BTreeMap::new()),
            Contents::Hash((0..5).map(field).collect()),
            Contents::List(Vec::new()),
            Contents::List(vec![Vec::new(), b"two".to_vec(), vec![0; 300]]),
        ]
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for contents in samples() {
            let bytes = contents.encode().unwrap();
            assert_eq!(Contents::decode(&bytes), Ok(contents));
        }
    }

    #[test]
    fn refuses_every_truncation_of_parts_and_anything_behind_them() {
        for contents in samples() {
            let mut bytes = contents.encode().unwrap();
            if matches!(contents, Contents::String(_)) {
                continue;
            }
            for len in 0..bytes.len() {
                assert_eq!(Contents::decode(&bytes[..len]), Err(Damaged));
            }
            bytes.push(0);
            assert_eq!(Contents::decode(&bytes), Err(Damaged));
        }
        assert_eq!(Contents::decode(&[]), Err(Damaged));
        assert_eq!(Contents::decode(&[VERSION]), Err(Damaged));
    }

    #[test]
    fn refuses_other_versions_other_types_and_lengths_that_cannot_be() {
        assert_eq!(Contents::decode(b"\x02sabc"), Err(Damaged));
        assert_eq!(Contents::decode(b"\x01zabc"), Err(Damaged));
        assert_eq!(Contents::decode(b"\x01l\xff\xff\xff\xff"), Err(Damaged));
        assert_eq!(
            Contents::decode(b"\x01h\x01\0\0\0\xff\xff\xff\xffab"),
            Err(Damaged)
        );
    }

    #[test]
    fn whatever_parses_encodes_to_the_same_bytes() {
        for contents in samples() {
            let bytes = contents.encode().unwrap();
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    if let Ok(read) = Contents::decode(&damaged) {
                        assert_eq!(read.encode(), Ok(damaged));
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_a_cursor_it_did_not_give() {
        for text in ["61", "x6", "xzz", "x\u{e9}"] {
            assert!(
                from_hex(&Cursor::from_text(text.to_owned())).is_err(),
                "{text}"
            );
        }
        for bytes in [&b""[..], b"\x00", b"wa:\xff"] {
            assert_eq!(from_hex(&to_hex(bytes)), Ok(Some(bytes.to_vec())));
        }
    }
}
