//! Requests: an array of bulk strings, or one inline line. The scanner remembers its position, so that each byte is read
//! once, however the bytes are chunked; the caller keeps the buffer.

use smallvec::SmallVec;

use crate::MAX_BULK_LEN;
use crate::error::RequestError;
use crate::inline;
use crate::number::{Line, line};
use crate::tail::{RequestTail, argument_head};

/// The arguments of one request, the command first.
pub type Arguments<'a> = SmallVec<[&'a [u8]; 8]>;

/// Arguments in one request that Redis 7 accepts from an authenticated client. Older servers, which accept
/// 1,048,576, refuse a longer request themselves.
const MAX_ARGUMENTS: usize = 0x7fff_ffff;

/// Limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Arguments in one request.
    pub arguments: usize,
    /// Bytes in one argument.
    pub argument: u64,
    /// Bytes in one inline request.
    pub inline: usize,
    /// Bytes in one argument that the caller is ready to hold: a longer one is [reported](Scan::Large) before its bytes
    /// are scanned.
    pub held: u64,
}

impl Default for RequestLimits {
    /// Returns the limits of Redis 7: 2^31 - 1 arguments, 512 MiB each, 64 KiB inline; holds 64 MiB.
    fn default() -> Self {
        Self {
            arguments: MAX_ARGUMENTS,
            argument: MAX_BULK_LEN,
            inline: 64 * 1024,
            held: 64 * 1024 * 1024,
        }
    }
}

/// The state of a request in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// It is incomplete, and cannot be complete before the buffer holds this many bytes.
    Incomplete {
        /// Bytes from the start of the request.
        at_least: usize,
    },
    /// It is complete and this long. Its arguments are available.
    Complete {
        /// Bytes from the start of the request.
        len: usize,
    },
    /// These bytes are not a request and get no reply: an empty line, an empty array.
    Nothing {
        /// Bytes from the start of the request.
        len: usize,
    },
    /// The next argument is longer than the caller is ready to hold. The arguments before it are available. The caller
    /// streams the remainder by [`RequestScanner::tail`], or holds it after [`RequestScanner::hold`].
    Large {
        /// The length of the argument.
        length: u64,
    },
}

/// Finds the end and the arguments of the request at the start of a buffer.
#[derive(Debug)]
pub struct RequestScanner {
    limits: RequestLimits,
    spans: Vec<(usize, usize)>,
    inline_arguments: Vec<Vec<u8>>,
    position: usize,
    announced: usize,
    /// The caller holds the next argument, whatever its length.
    hold: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Head,
    Body {
        end: usize,
    },
    /// In an inline line whose end has not been received.
    Inline,
    /// An inline line is complete.
    InlineComplete,
}

impl RequestScanner {
    /// Creates a scanner at the start of a request.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            spans: Vec::new(),
            inline_arguments: Vec::new(),
            position: 0,
            announced: 0,
            hold: false,
            state: State::Start,
        }
    }

    /// Continues with the request at the start of the buffer, which holds at least the bytes of the previous call. A
    /// complete request stays so until [`reset`](Self::reset).
    #[inline]
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Scan, RequestError> {
        loop {
            match self.state {
                State::Start => match self.start(buffer)? {
                    Some(scan) => return Ok(scan),
                    None => self.state = State::Head,
                },
                State::Inline => return self.inline(buffer),
                State::InlineComplete => return Ok(self.inline_result()),
                State::Head => {
                    if self.spans.len() == self.announced {
                        return Ok(Scan::Complete { len: self.position });
                    }
                    if let Some(scan) = self.head(buffer)? {
                        return Ok(scan);
                    }
                }
                State::Body { end } => {
                    let at_least = end.saturating_add(2);
                    match buffer.get(end..at_least) {
                        None => return Ok(Scan::Incomplete { at_least }),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(RequestError::ArgumentEnd),
                    }
                    self.spans.push((self.position, end));
                    self.position = at_least;
                    self.state = State::Head;
                }
            }
        }
    }

    /// Returns the arguments found so far. The buffer is the one of the last [`scan`](Self::scan).
    #[must_use]
    #[inline]
    pub fn arguments<'a>(&'a self, buffer: &'a [u8]) -> Arguments<'a> {
        if self.is_inline() {
            return self.inline_arguments.iter().map(Vec::as_slice).collect();
        }
        let spans = self.spans.iter();
        spans
            .map(|(start, end)| buffer.get(*start..*end).unwrap_or_default())
            .collect()
    }

    /// The number of arguments that the request announces.
    #[must_use]
    pub fn announced(&self) -> usize {
        if self.is_inline() {
            return self.inline_arguments.len();
        }
        self.announced
    }

    /// True if the request is an inline line.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(self.state, State::Inline | State::InlineComplete)
    }

    /// True if no byte of a request has been scanned.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.state == State::Start
    }

    /// The positions of the arguments in the buffer. Empty for an inline request.
    #[must_use]
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// Bytes held beside the buffer for the positions of the arguments found so far, including those that
    /// [`arguments`](Self::arguments) will need.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        const PER_ARGUMENT: usize = size_of::<(usize, usize)>() + size_of::<&[u8]>();
        self.spans.len().saturating_mul(PER_ARGUMENT)
    }

    /// The number of bytes read: the position of the next argument, or of the first byte of an incomplete one.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Has the argument held after all. For use after [`Large`](Scan::Large).
    pub fn hold(&mut self) {
        self.hold = true;
    }

    /// Returns a scanner for the remainder of the request, from [`position`](Self::position) on, which holds nothing. For
    /// use after [`Large`](Scan::Large), or in an array that has become too long to hold.
    #[must_use]
    pub fn tail(&self) -> RequestTail {
        let left = self.announced.saturating_sub(self.spans.len());
        let (arguments, body) = match self.state {
            State::Body { end } => (
                left.saturating_sub(1),
                u64::try_from(end.saturating_sub(self.position))
                    .unwrap_or(u64::MAX)
                    .saturating_add(2),
            ),
            State::Start | State::Head | State::Inline | State::InlineComplete => (left, 0),
        };
        RequestTail {
            limits: self.limits,
            arguments,
            body,
        }
    }

    /// Forgets the request: the next one begins at the start of the buffer.
    #[inline]
    pub fn reset(&mut self) {
        // The memory for a request of a million arguments is not kept.
        if self.spans.capacity() > 1024 {
            self.spans = Vec::new();
        }
        self.spans.clear();
        self.inline_arguments = Vec::new();
        self.position = 0;
        self.announced = 0;
        self.hold = false;
        self.state = State::Start;
    }

    fn start(&mut self, buffer: &[u8]) -> Result<Option<Scan>, RequestError> {
        let Some((first, remaining)) = buffer.split_first() else {
            return Ok(Some(Scan::Incomplete { at_least: 1 }));
        };
        if *first != b'*' {
            return self.inline(buffer).map(Some);
        }
        let (count, len) = match line(remaining) {
            Line::Number(count, len) => (count, len.saturating_add(1)),
            Line::Open => return Ok(Some(at_least_one_more(buffer))),
            Line::Invalid => return Err(RequestError::Count),
            Line::Endless => return Err(RequestError::CountLine),
        };
        if count <= 0 {
            return Ok(Some(Scan::Nothing { len }));
        }
        self.announced = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.limits.arguments)
            .ok_or(RequestError::Count)?;
        self.position = len;
        Ok(None)
    }

    #[inline]
    fn head(&mut self, buffer: &[u8]) -> Result<Option<Scan>, RequestError> {
        let remaining = buffer.get(self.position..).unwrap_or_default();
        let Some((length, len)) = argument_head(remaining, &self.limits)? else {
            return Ok(Some(at_least_one_more(buffer)));
        };
        if length > self.limits.held && !self.hold {
            return Ok(Some(Scan::Large { length }));
        }
        self.hold = false;
        let length = usize::try_from(length).map_err(|_| RequestError::Length)?;
        self.position = self.position.saturating_add(len);
        let end = self.position.saturating_add(length);
        self.state = State::Body { end };
        Ok(None)
    }

    fn inline(&mut self, buffer: &[u8]) -> Result<Scan, RequestError> {
        let window = buffer.get(..self.limits.inline).unwrap_or(buffer);
        let seen = window.get(self.position..).unwrap_or_default();
        let Some(found) = seen.iter().position(|byte| *byte == b'\n') else {
            if buffer.len() >= self.limits.inline {
                return Err(RequestError::InlineLength);
            }
            self.position = buffer.len();
            self.state = State::Inline;
            return Ok(at_least_one_more(buffer));
        };
        let end = self.position.saturating_add(found);
        let text = window.get(..end).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let len = end.saturating_add(1);
        self.inline_arguments = inline::arguments(text)?;
        self.state = State::InlineComplete;
        self.position = len;
        Ok(self.inline_result())
    }

    fn inline_result(&self) -> Scan {
        let len = self.position;
        if self.inline_arguments.is_empty() {
            Scan::Nothing { len }
        } else {
            Scan::Complete { len }
        }
    }
}

fn at_least_one_more(buffer: &[u8]) -> Scan {
    Scan::Incomplete {
        at_least: buffer.len().saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<(Scan, Vec<Vec<u8>>), RequestError> {
        let mut scanner = RequestScanner::new(RequestLimits::default());
        let scan = scanner.scan(bytes)?;
        let arguments = scanner.arguments(bytes);
        Ok((scan, arguments.iter().map(|it| it.to_vec()).collect()))
    }

    #[test]
    fn finds_the_end_and_the_arguments_of_a_request() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*1\r\n";
        let (found, arguments) = scan(bytes).unwrap();
        assert_eq!(found, Scan::Complete { len: 26 });
        assert_eq!(arguments, [&b"SET"[..], b"a", b""]);
    }

    #[test]
    fn refuses_absurd_numbers_before_anything_is_allocated() {
        for (bytes, error) in [
            (&b"*99999999999\r\n"[..], RequestError::Count),
            (b"*1\r\n$99999999999\r\n", RequestError::Length),
            (b"*1\r\n$-1\r\n", RequestError::Length),
            (b"*1\r\n:1\r\n", RequestError::Dollar(b':')),
            (b"*1\r\n$1\r\nab\r\n", RequestError::ArgumentEnd),
            (b"*01\r\n", RequestError::Count),
        ] {
            assert_eq!(scan(bytes), Err(error));
        }
        assert_eq!(scan(&[b'*'; 40]), Err(RequestError::CountLine));
        assert_eq!(scan(&[b'a'; 70_000]), Err(RequestError::InlineLength));
    }

    #[test]
    fn a_large_argument_is_reported_and_can_be_streamed() {
        let limits = RequestLimits {
            held: 4,
            ..RequestLimits::default()
        };
        let bytes = b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nvalue\r\n$2\r\nNX\r\n";
        let mut scanner = RequestScanner::new(limits);
        assert_eq!(scanner.scan(bytes), Ok(Scan::Large { length: 5 }));
        assert_eq!(scanner.arguments(bytes).as_slice(), [&b"SET"[..], b"a"]);
        let remaining = &bytes[scanner.position()..];
        let mut tail = scanner.tail();
        let progress = tail.scan(remaining).unwrap();
        assert_eq!((progress.used, progress.done), (remaining.len(), true));
    }
}
