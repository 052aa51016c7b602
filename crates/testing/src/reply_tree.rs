//! Replies of either protocol version as trees, so that two of them can be compared without regard to
//! order where order means nothing. Knows the syntax and no command.

use std::fmt;

/// Bytes of a reply that are shown in a report.
const MAX_SHOWN: usize = 400;

/// The first bytes of envelopes of the sealed format, version 2 and 3.
const MAGICS: [&[u8]; 2] = [&[0xf5, 0x57, 2], &[0xf5, 0x57, 3]];
/// The first bytes of an envelope in its text form.
const ARMOR: &[u8] = b"ws2:";

/// One reply, or one element of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTree {
    /// The first byte: `+`, `-`, `:`, `$`, `*`, `%` and so on.
    pub kind: u8,
    /// The rest of the line, or the content of a bulk string. For a null it is `-1`.
    pub text: Vec<u8>,
    /// The elements of an aggregate; a map's are its keys and values in turn.
    pub items: Vec<ReplyTree>,
}

/// The bytes are not RESP.
#[derive(Debug)]
pub struct Malformed;

impl ReplyTree {
    /// Parses the reply at the start of these bytes and returns its length with it. `None` when more
    /// bytes are needed.
    ///
    /// # Errors
    ///
    /// If the bytes are not RESP.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut at = 0;
        Ok(parse(bytes, &mut at)?.map(|reply| (reply, at)))
    }

    /// A simple string.
    #[must_use]
    pub fn simple(text: &str) -> Self {
        Self {
            kind: b'+',
            text: text.into(),
            items: Vec::new(),
        }
    }

    /// A bulk string.
    #[must_use]
    pub fn bulk(text: &[u8]) -> Self {
        Self {
            kind: b'$',
            text: text.into(),
            items: Vec::new(),
        }
    }

    /// True if it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    /// True if it is an error whose text begins so.
    #[must_use]
    pub fn is_error_of(&self, start: &str) -> bool {
        self.is_error() && self.text.starts_with(start.as_bytes())
    }

    /// True if it is a message that answers no request.
    #[must_use]
    pub fn is_push(&self) -> bool {
        self.kind == b'>'
    }

    /// An error that the proxy answers with instead of sending the request.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        // The proxy asks for the text of a script that the server may have, at once, also inside a transaction.
        let words: [&[u8]; 2] = [b"SEALREFUSED", b"NOSCRIPT"];
        self.is_error() && words.iter().any(|word| self.text.starts_with(word))
    }

    /// True if it is `+QUEUED`.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.kind == b'+' && self.text == b"QUEUED"
    }

    /// True if it is an aggregate whose first element is this text.
    #[must_use]
    pub fn begins_with(&self, word: &str) -> bool {
        let first = self.items.first();
        first.is_some_and(|first| first.text.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// True if an envelope, or part of one that holds its first bytes, is in it.
    #[must_use]
    pub fn holds_envelope(&self) -> bool {
        let here =
            MAGICS.iter().any(|magic| contains(&self.text, magic)) || self.text.starts_with(ARMOR);
        here || self.items.iter().any(Self::holds_envelope)
    }
}

/// True if `wanted` occurs in `bytes`.
#[must_use]
pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else {
        return true;
    };
    let mut remaining = bytes;
    while let Some(at) = remaining.iter().position(|byte| byte == first) {
        remaining = &remaining[at..];
        if remaining.starts_with(wanted) {
            return true;
        }
        remaining = &remaining[1..];
    }
    false
}

/// True if a stored value is an envelope of the sealed format.
#[must_use]
pub fn is_sealed(value: &[u8]) -> bool {
    MAGICS.iter().any(|magic| value.starts_with(magic)) || value.starts_with(ARMOR)
}

fn parse(bytes: &[u8], at: &mut usize) -> Result<Option<ReplyTree>, Malformed> {
    let Some(remaining) = bytes.get(*at..).filter(|remaining| !remaining.is_empty()) else {
        return Ok(None);
    };
    let Some(end) = remaining.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let kind = remaining[0];
    let line = &remaining[1..end];
    *at += end + 2;
    let mut reply = ReplyTree {
        kind,
        text: line.to_vec(),
        items: Vec::new(),
    };
    match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
        b'$' | b'!' | b'=' => {
            if let Some(length) = length(line)? {
                let Some(text) = bytes.get(*at..*at + length) else {
                    return Ok(None);
                };
                if bytes.len() < *at + length + 2 {
                    return Ok(None);
                }
                reply.text = text.to_vec();
                *at += length + 2;
            }
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Some(length) = length(line)? else {
                return Ok(Some(reply));
            };
            reply.text.clear();
            let count = match kind {
                b'%' => 2 * length,
                // An attribute belongs to what follows it.
                b'|' => 2 * length + 1,
                _ => length,
            };
            for _ in 0..count {
                match parse(bytes, at)? {
                    Some(item) => reply.items.push(item),
                    None => return Ok(None),
                }
            }
        }
        _ => return Err(Malformed),
    }
    Ok(Some(reply))
}

/// A length, or none for null.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    let number = std::str::from_utf8(line)
        .ok()
        .and_then(|it| it.parse().ok());
    match number.ok_or(Malformed)? {
        -1_i64 => Ok(None),
        number => usize::try_from(number).map(Some).map_err(|_| Malformed),
    }
}

impl fmt::Debug for ReplyTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        show(self, &mut shown);
        f.write_str(&shown)?;
        if shown.len() > MAX_SHOWN {
            f.write_str(" …")?;
        }
        Ok(())
    }
}

fn show(reply: &ReplyTree, out: &mut String) {
    if out.len() > MAX_SHOWN {
        return;
    }
    out.push(char::from(reply.kind));
    let text = reply.text.get(..MAX_SHOWN).unwrap_or(&reply.text);
    out.push_str(&text.escape_ascii().to_string());
    if matches!(reply.kind, b'*' | b'~' | b'>' | b'%' | b'|') {
        out.push('[');
        for (number, item) in reply.items.iter().enumerate() {
            if number > 0 {
                out.push_str(", ");
            }
            show(item, out);
        }
        out.push(']');
    }
}

#[test]
fn a_reply_is_parsed_only_when_it_is_whole() {
    let bytes = b"%1\r\n$1\r\na\r\n*2\r\n:7\r\n$-1\r\n+next\r\n";
    let whole = bytes.len() - "+next\r\n".len();
    for end in 0..whole {
        assert!(ReplyTree::parse(&bytes[..end]).unwrap().is_none(), "{end}");
    }
    let (reply, length) = ReplyTree::parse(bytes).unwrap().unwrap();
    assert_eq!(length, whole);
    assert_eq!(format!("{reply:?}"), "%[$a, *[:7, $-1]]");
    assert!(ReplyTree::parse(b"?\r\n").is_err());
}
