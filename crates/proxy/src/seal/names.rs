//! The names of a request's records as the server has them, and the request with them.

use std::ops::Range;

use smallvec::SmallVec;
use waxseal_resp::{write_bulk, write_request_head};

use super::Request;
use crate::open::QuotedNames;
use crate::pending::{Quoting, Shape};

/// The stored names of a request whose records are not stored under the names that the client says.
#[derive(Default)]
pub(crate) struct WireNames {
    bytes: Vec<u8>,
    /// For each, its argument and its place in the bytes; in the order of the arguments.
    at: SmallVec<[(usize, Range<usize>); 2]>,
}

impl WireNames {
    /// None yet; their bytes will be in this buffer.
    pub(crate) fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            bytes: buffer,
            at: SmallVec::new(),
        }
    }

    /// The buffer, to be used again.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds the name of an argument, which `write` appends unless it returns false: then the argument is sent as it is.
    /// Arguments are added in any order, each once.
    pub(crate) fn add<E>(
        &mut self,
        argument: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        if write(&mut self.bytes)? {
            let is_last = self.at.last().is_none_or(|(last, _)| *last < argument);
            let position = match is_last {
                true => self.at.len(),
                false => self.at.partition_point(|(other, _)| *other < argument),
            };
            self.at
                .insert(position, (argument, start..self.bytes.len()));
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The number of their bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The stored name in place of an argument.
    #[inline]
    pub(crate) fn get(&self, argument: usize) -> Option<&[u8]> {
        let position = match &self.at[..] {
            [] => return None,
            [(only, _)] if *only == argument => 0,
            all => all.binary_search_by_key(&argument, |(at, _)| *at).ok()?,
        };
        let (_, place) = self.at.get(position)?;
        self.bytes.get(place.clone())
    }

    /// The stored names, each with its argument, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> + Clone {
        let name = |place: &Range<usize>| self.bytes.get(place.clone()).unwrap_or_default();
        self.at.iter().map(move |(at, place)| (*at, name(place)))
    }
}

impl<'a> Request<'a> {
    /// An argument as the server gets it: of a name, the stored one. Values are not sealed here.
    #[inline]
    pub(crate) fn wire(&self, argument: usize) -> &'a [u8] {
        let stored = self.names.get(argument);
        stored.unwrap_or_else(|| self.arguments.get(argument).copied().unwrap_or_default())
    }

    /// Appends the request with the names that the server has, and otherwise unchanged.
    #[inline]
    pub(crate) fn forward(&self, out: &mut Vec<u8>) {
        if self.names.is_empty() {
            return out.extend_from_slice(self.raw);
        }
        self.forward_renamed(out);
    }

    /// The shape of the reply, of which errors may quote the names of the request, or everything if it is a text.
    #[inline]
    pub(crate) fn quoting(&self, (in_errors, is_text): (bool, bool), shape: Shape) -> Shape {
        match (in_errors || is_text) && !self.names.is_empty() {
            false => shape,
            true => Shape::Quoting(Box::new(Quoting {
                names: self.quoted_names(),
                is_text,
                inner: shape,
            })),
        }
    }

    fn quoted_names(&self) -> QuotedNames {
        let logical = |at: usize| self.arguments.get(at).copied().unwrap_or_default();
        let names = self.names.iter().map(|(at, stored)| (stored, logical(at)));
        QuotedNames::new(names)
    }

    fn forward_renamed(&self, out: &mut Vec<u8>) {
        let mut copied = 0;
        let before = out.len();
        for (argument, name) in self.names.iter() {
            let Some((head, end)) = self.place(argument) else {
                // An inline request has no places.
                out.truncate(before);
                return self.write_arguments(out);
            };
            out.extend_from_slice(self.raw.get(copied..head).unwrap_or_default());
            write_bulk(out, name);
            copied = end;
        }
        out.extend_from_slice(self.raw.get(copied..).unwrap_or_default());
    }

    /// Appends the arguments as the server gets them, as an array.
    fn write_arguments(&self, out: &mut Vec<u8>) {
        write_request_head(out, self.arguments.len());
        for argument in 0..self.arguments.len() {
            write_bulk(out, self.wire(argument));
        }
    }

    /// The place of an argument in the request's bytes, with the head before it and the end of line behind it.
    pub(super) fn place(&self, argument: usize) -> Option<(usize, usize)> {
        let (_, end) = self.spans.get(argument).copied()?;
        // The head begins at the end of the argument before it.
        let (_, before) = self.spans.get(argument.checked_sub(1)?).copied()?;
        Some((before.saturating_add(2), end.saturating_add(2)))
    }
}

#[cfg(test)]
mod tests {
    use waxseal_resp::{RequestLimits, RequestScanner, Scan};

    use super::*;

    /// A request as it is sent with these names.
    fn sent(raw: &[u8], names: &[(usize, &str)]) -> String {
        let mut scanner = RequestScanner::new(RequestLimits::default());
        assert!(matches!(scanner.scan(raw), Ok(Scan::Complete { .. })));
        let mut wire = WireNames::default();
        for (argument, name) in names {
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(name.as_bytes());
                Ok::<_, ()>(!name.is_empty())
            };
            wire.add(*argument, write).unwrap();
        }
        let arguments = scanner.arguments(raw);
        let request = Request {
            raw,
            arguments: &arguments,
            spans: scanner.spans(),
            names: &wire,
        };
        let mut out = b"before ".to_vec();
        request.forward(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_replaced_and_their_lengths_with_them() {
        let raw = b"*4\r\n$3\r\nDEL\r\n$1\r\na\r\n$2\r\nbc\r\n$1\r\nd\r\n";
        let renamed = sent(raw, &[(3, "long name"), (1, "x")]);
        let expected = "before *4\r\n$3\r\nDEL\r\n$1\r\nx\r\n$2\r\nbc\r\n$9\r\nlong name\r\n";
        assert_eq!(renamed, expected);
        // Without other names it is the client's to the byte.
        let raw = b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n";
        assert_eq!(
            sent(raw, &[(1, "")]),
            "before *2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
        );
    }

    #[test]
    fn an_inline_request_becomes_an_array() {
        let expected = "before *2\r\n$3\r\nGET\r\n$5\r\nother\r\n";
        assert_eq!(sent(b"GET  a\r\n", &[(1, "other")]), expected);
    }
}
