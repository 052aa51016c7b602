//! Finds the end of a reply of a server, in both versions of the protocol. Each level of nesting costs a counter in a
//! list of bounded length, not a stack frame.
//!
//! RESP3's streamed types (a length of `?`) are refused: no server sends them to a client.

use crate::error::ReplyError;
use crate::number::{Line, line};
use crate::progress::Progress;
use crate::tail::body_part;

/// Maximum nesting of arrays: twice as deep as a script of Redis can return (7,995).
const MAX_DEPTH: usize = 16 * 1024;
/// Maximum number of level counters whose memory is kept from one reply to the next.
const MAX_KEPT_LEVELS: usize = 64;
/// Maximum number of elements of one array.
const MAX_ELEMENTS: u64 = 1 << 32;
/// Maximum length of one bulk string: what a server can be configured to hold, and far from overflow.
const MAX_BULK: u64 = 1 << 40;

/// Finds the end of a reply that is received in chunks. Holds no bytes.
#[derive(Debug, Default)]
pub struct ReplyScanner {
    /// Elements that are still due, for each open array.
    open: Vec<u64>,
    /// Bytes of the bulk string under way, its CR LF included.
    body: u64,
    /// Set within a line; true if its CR was the last byte.
    in_line: Option<bool>,
    /// Bytes of a reply have been scanned; also after an attribute, which precedes the reply that it belongs to.
    started: bool,
}

impl ReplyScanner {
    /// Creates a scanner at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True if no byte of a reply has been scanned.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        !self.started
    }

    /// Scans the next chunk. After [`done`](Progress::done) the scanner is at the start of the next reply.
    #[inline]
    pub fn scan(&mut self, chunk: &[u8]) -> Result<Progress, ReplyError> {
        let mut used: usize = 0;
        loop {
            let remaining = chunk.get(used..).unwrap_or_default();
            let ended = if self.body > 0 {
                let taken = body_part(&mut self.body, remaining).ok_or(ReplyError::BulkEnd)?;
                used = used.saturating_add(taken);
                if self.body > 0 {
                    return Ok(Progress { used, done: false });
                }
                true
            } else if let Some(carriage) = self.in_line {
                let (taken, ended) = self.remaining_line(carriage, remaining)?;
                used = used.saturating_add(taken);
                if !ended {
                    return Ok(Progress { used, done: false });
                }
                true
            } else {
                let Some((first, after)) = remaining.split_first() else {
                    return Ok(Progress { used, done: false });
                };
                match self.begin(*first, after)? {
                    None => return Ok(Progress { used, done: false }),
                    Some((taken, ended)) => {
                        used = used.saturating_add(taken);
                        ended
                    }
                }
            };
            if ended && self.element_ended() {
                self.started = false;
                if self.open.capacity() > MAX_KEPT_LEVELS {
                    self.open = Vec::new();
                }
                return Ok(Progress { used, done: true });
            }
        }
    }

    /// Reads the head of an element. Returns its length and true if the element ends with it, or `None` if the head is
    /// incomplete.
    #[inline]
    fn begin(&mut self, first: u8, after: &[u8]) -> Result<Option<(usize, bool)>, ReplyError> {
        match first {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
                self.started = true;
                self.in_line = Some(false);
                return Ok(Some((1, false)));
            }
            b'$' | b'*' | b'=' | b'!' | b'%' | b'~' | b'>' | b'|' => {}
            _ => return Err(ReplyError::Type),
        }
        let (number, len) = match line(after) {
            Line::Number(number, len) => (number, len.saturating_add(1)),
            Line::Open => return Ok(None),
            Line::Invalid => return Err(ReplyError::Length),
            Line::Endless => return Err(ReplyError::LineEnd),
        };
        self.started = true;
        let Ok(number) = u64::try_from(number) else {
            // A null of RESP2.
            let null = number == -1 && matches!(first, b'$' | b'*');
            return if null {
                Ok(Some((len, true)))
            } else {
                Err(ReplyError::Length)
            };
        };
        if matches!(first, b'$' | b'=' | b'!') {
            if number > MAX_BULK {
                return Err(ReplyError::Length);
            }
            self.body = number.saturating_add(2);
            return Ok(Some((len, false)));
        }
        if number > MAX_ELEMENTS {
            return Err(ReplyError::Length);
        }
        let pairs = matches!(first, b'%' | b'|');
        let mut elements = if pairs {
            number.saturating_mul(2)
        } else {
            number
        };
        if first == b'|' {
            // The reply that the attribute belongs to is one element more.
            elements = elements.saturating_add(1);
        }
        if elements == 0 {
            return Ok(Some((len, true)));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(ReplyError::Depth);
        }
        self.open.push(elements);
        Ok(Some((len, false)))
    }

    /// Counts an element that ended. Returns true if the whole reply ended with it.
    #[inline]
    fn element_ended(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    fn remaining_line(
        &mut self,
        carriage: bool,
        bytes: &[u8],
    ) -> Result<(usize, bool), ReplyError> {
        if carriage {
            return match bytes.first() {
                None => Ok((0, false)),
                Some(b'\n') => {
                    self.in_line = None;
                    Ok((1, true))
                }
                Some(_) => Err(ReplyError::LineEnd),
            };
        }
        let Some(end) = bytes.iter().position(|byte| *byte == b'\r') else {
            return Ok((bytes.len(), false));
        };
        let after = end.saturating_add(1);
        match bytes.get(after) {
            None => {
                self.in_line = Some(true);
                Ok((after, false))
            }
            Some(b'\n') => {
                self.in_line = None;
                Ok((after.saturating_add(1), true))
            }
            Some(_) => Err(ReplyError::LineEnd),
        }
    }
}

/// The first element of the array or push message at the start of a buffer, if it is a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstWord<'a> {
    /// It is incomplete.
    Open,
    /// The string.
    Word(&'a [u8]),
    /// The reply is not an array, or its first element is not a short string.
    Other,
}

/// Maximum length of a first element that is returned.
const MAX_WORD: usize = 64;

/// Reads the first element of an array or push message, which distinguishes the messages of a subscription from replies.
#[must_use]
pub fn first_word(buffer: &[u8]) -> FirstWord<'_> {
    let after = match buffer {
        [] => return FirstWord::Open,
        [b'*' | b'>', after @ ..] => after,
        _ => return FirstWord::Other,
    };
    let head = match line(after) {
        Line::Open => return FirstWord::Open,
        Line::Number(1.., len) => len,
        _ => return FirstWord::Other,
    };
    let element = after.get(head..).unwrap_or_default();
    let text = match element {
        [] => return FirstWord::Open,
        [b'$', text @ ..] => text,
        // In a push message it may also be a simple string.
        [b'+', text @ ..] if buffer.first() == Some(&b'>') => {
            let end = text.iter().position(|byte| *byte == b'\r');
            return match end.and_then(|end| text.get(..end)) {
                Some(word) if word.len() <= MAX_WORD => FirstWord::Word(word),
                None if text.len() <= MAX_WORD => FirstWord::Open,
                _ => FirstWord::Other,
            };
        }
        _ => return FirstWord::Other,
    };
    match line(text) {
        Line::Open => FirstWord::Open,
        Line::Number(length @ 0.., len) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MAX_WORD {
                return FirstWord::Other;
            }
            text.get(len..len.saturating_add(length))
                .map_or(FirstWord::Open, FirstWord::Word)
        }
        _ => FirstWord::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: [&[u8]; 18] = [
        b"+OK\r\n",
        b"-ERR x\r\n",
        b":-12\r\n",
        b"$5\r\nhe\r\no\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
        b"%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(123456789012345678901234567890\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!5\r\nERR x\r\n",
        b">2\r\n$7\r\nmessage\r\n:1\r\n",
        b"|1\r\n+ttl\r\n:3\r\n*1\r\n$1\r\na\r\n",
    ];

    #[test]
    fn finds_the_end_of_every_type_in_one_piece() {
        for reply in REPLIES {
            let mut bytes = reply.to_vec();
            bytes.extend_from_slice(b"+NEXT\r\n");
            let scanned = ReplyScanner::new().scan(&bytes).unwrap();
            let expected = Progress {
                used: reply.len(),
                done: true,
            };
            assert_eq!(scanned, expected, "{:?}", String::from_utf8_lossy(reply));
        }
    }

    #[test]
    fn finds_the_end_at_every_pair_of_cuts() {
        for reply in REPLIES {
            for first in 0..reply.len() {
                for second in first..reply.len() {
                    let mut scanner = ReplyScanner::new();
                    let mut start = 0;
                    for end in [first, second, reply.len()] {
                        let scanned = scanner.scan(&reply[start..end]).unwrap();
                        start += scanned.used;
                        assert_eq!(scanned.done, start == reply.len());
                        if scanned.done {
                            break;
                        }
                    }
                    assert_eq!(start, reply.len());
                }
            }
        }
    }

    #[test]
    fn refuses_bytes_that_are_not_a_reply() {
        for (bytes, error) in [
            (&b"?\r\n"[..], ReplyError::Type),
            (b"$-2\r\n", ReplyError::Length),
            (b"$?\r\n", ReplyError::Length),
            (b"%-1\r\n", ReplyError::Length),
            (b"*99999999999\r\n", ReplyError::Length),
            (b"$1\r\nab\r\n", ReplyError::BulkEnd),
            (b"+a\rb", ReplyError::LineEnd),
        ] {
            assert_eq!(ReplyScanner::new().scan(bytes), Err(error));
        }
        let deep = b"*1\r\n".repeat(100_000);
        assert_eq!(ReplyScanner::new().scan(&deep), Err(ReplyError::Depth));
    }

    #[test]
    fn accepts_a_reply_as_deep_as_a_script_can_return() {
        for depth in [1, 64, 65, 8_000, MAX_DEPTH] {
            let mut reply = b"*2\r\n:1\r\n".repeat(depth);
            reply.extend_from_slice(b"+end\r\n");
            let scanned = ReplyScanner::new().scan(&reply).unwrap();
            assert_eq!((scanned.used, scanned.done), (reply.len(), true));
            let (first, second) = reply.split_at(reply.len() / 2);
            let mut scanner = ReplyScanner::new();
            let used = scanner.scan(first).unwrap().used;
            let remaining = [&first[used..], second].concat();
            let scanned = scanner.scan(&remaining).unwrap();
            assert_eq!((scanned.used, scanned.done), (remaining.len(), true));
        }
    }

    #[test]
    fn the_first_word_distinguishes_a_message_from_a_reply() {
        assert_eq!(
            first_word(b"*3\r\n$7\r\nmessage\r\n"),
            FirstWord::Word(b"message")
        );
        assert_eq!(first_word(b">2\r\n$4\r\npong"), FirstWord::Word(b"pong"));
        assert_eq!(first_word(b"*3\r\n$7\r\nmess"), FirstWord::Open);
        assert_eq!(
            first_word(b">2\r\n+MOVING\r\n:1\r\n"),
            FirstWord::Word(b"MOVING")
        );
        assert_eq!(first_word(b">2\r\n+MOV"), FirstWord::Open);
        assert_eq!(first_word(b"*2\r\n+MOVING\r\n:1\r\n"), FirstWord::Other);
        assert_eq!(first_word(b"*3\r"), FirstWord::Open);
        assert_eq!(first_word(b"*-1\r\n"), FirstWord::Other);
        assert_eq!(first_word(b"*1\r\n:1\r\n"), FirstWord::Other);
        assert_eq!(first_word(b"$1\r\na\r\n"), FirstWord::Other);
    }
}
