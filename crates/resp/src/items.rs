//! The elements of a complete reply, in order and flat, each with its own bytes. The caller keeps track of nesting.

use std::ops::Range;

use crate::error::ReplyError;
use crate::number::{Line, line};

/// The kind of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bulk string.
    Bulk,
    /// A null of either version.
    Null,
    /// An array, a set, or a map as RESP2 writes it; its elements follow.
    Array(usize),
    /// A map; its pairs follow.
    Map(usize),
    /// A push message; its elements follow.
    Push(usize),
    /// Attributes; their pairs follow, and then the element that they belong to.
    Attribute(usize),
    /// A simple string.
    Simple,
    /// An error, simple or bulk.
    Error,
    /// An integer, a double, a big number, a boolean or a verbatim string.
    Other,
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its bytes as received; of an array, its head.
    pub raw: &'a [u8],
    /// Its text, without type, length and CR LF. Empty for arrays and nulls.
    pub text: &'a [u8],
}

/// The elements of one reply that is [known](crate::ReplyScanner) to be complete.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    reply: &'a [u8],
    position: usize,
}

impl<'a> Items<'a> {
    /// Creates a walk over the elements of this reply.
    #[must_use]
    pub fn of(reply: &'a [u8]) -> Self {
        Self { reply, position: 0 }
    }

    /// Returns the next element, or `None` at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error ends the walk, which an iterator could not express"
    )]
    pub fn next(&mut self) -> Result<Option<Item<'a>>, ReplyError> {
        let remaining = self.reply.get(self.position..).unwrap_or_default();
        let Some((first, after)) = remaining.split_first() else {
            return Ok(None);
        };
        let (kind, text, len) = match first {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => simple(*first, after)?,
            _ => announced(*first, after)?,
        };
        let len = len.saturating_add(1);
        let raw = remaining.get(..len).ok_or(ReplyError::Length)?;
        let text = after.get(text).ok_or(ReplyError::Length)?;
        self.position = self.position.saturating_add(len);
        Ok(Some(Item { kind, raw, text }))
    }

    /// Skips one element with everything in it, and returns its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], ReplyError> {
        let start = self.position;
        let mut left: usize = 1;
        while left > 0 {
            let item = self.next()?.ok_or(ReplyError::Length)?;
            let inside = match item.kind {
                Kind::Array(n) | Kind::Push(n) => n,
                Kind::Map(n) => n.saturating_mul(2),
                // The element that the attributes belong to is one more.
                Kind::Attribute(n) => n.saturating_mul(2).saturating_add(1),
                _ => 0,
            };
            left = left.saturating_sub(1).saturating_add(inside);
        }
        self.reply
            .get(start..self.position)
            .ok_or(ReplyError::Length)
    }
}

fn simple(first: u8, after: &[u8]) -> Result<(Kind, Range<usize>, usize), ReplyError> {
    let end = after
        .iter()
        .position(|byte| *byte == b'\r')
        .ok_or(ReplyError::LineEnd)?;
    let kind = match first {
        b'+' => Kind::Simple,
        b'-' => Kind::Error,
        // With a text it is not a null.
        b'_' if end == 0 => Kind::Null,
        _ => Kind::Other,
    };
    Ok((kind, 0..end, end.saturating_add(2)))
}

fn announced(first: u8, after: &[u8]) -> Result<(Kind, Range<usize>, usize), ReplyError> {
    let (number, len) = match line(after) {
        Line::Number(number, len) => (number, len),
        Line::Open | Line::Endless => return Err(ReplyError::LineEnd),
        Line::Invalid => return Err(ReplyError::Length),
    };
    let Ok(number) = usize::try_from(number) else {
        return Ok((Kind::Null, 0..0, len));
    };
    let kind = match first {
        b'*' | b'~' => Kind::Array(number),
        b'%' => Kind::Map(number),
        b'>' => Kind::Push(number),
        b'|' => Kind::Attribute(number),
        b'$' | b'=' | b'!' => {
            let kind = match first {
                b'$' => Kind::Bulk,
                b'!' => Kind::Error,
                _ => Kind::Other,
            };
            let end = len.saturating_add(number);
            return Ok((kind, len..end, end.saturating_add(2)));
        }
        _ => return Err(ReplyError::Type),
    };
    Ok((kind, 0..0, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_over_a_reply_and_loses_no_byte() {
        let reply = b"*4\r\n$3\r\na\r\n\r\n%1\r\n+k\r\n:1\r\n_\r\n-ERR x\r\n";
        let mut items = Items::of(reply);
        let mut kinds = Vec::new();
        let mut raw = Vec::new();
        while let Some(item) = items.next().unwrap() {
            kinds.push(item.kind);
            raw.extend_from_slice(item.raw);
        }
        let expected = [
            Kind::Array(4),
            Kind::Bulk,
            Kind::Map(1),
            Kind::Simple,
            Kind::Other,
            Kind::Null,
            Kind::Error,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(raw, reply);
    }

    #[test]
    fn skips_an_element_with_everything_in_it() {
        let reply = b"*2\r\n|1\r\n+t\r\n:1\r\n*2\r\n:1\r\n:2\r\n+end\r\n";
        let mut items = Items::of(reply);
        items.next().unwrap();
        assert_eq!(
            items.skip().unwrap(),
            b"|1\r\n+t\r\n:1\r\n*2\r\n:1\r\n:2\r\n"
        );
        assert_eq!(items.skip().unwrap(), b"+end\r\n");
        assert!(items.skip().is_err());
    }
}
