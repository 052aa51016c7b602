//! A glob over names, parsed once and matched without recursion and without allocation.

use super::bytes::{ByteSet, byte_filter};
use super::error::PatternError;
use super::parse::{self, Token};

/// A glob: literal text, then wildcards and text between them, then literal text.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    prefix: String,
    suffix: String,
    middle: Middle,
    tokens: Box<[Token]>,
}

/// The part between the literal prefix and the literal suffix.
#[derive(Clone, Debug)]
enum Middle {
    /// Nothing: the glob is one name.
    Nothing,
    /// One `*` or `{user}`.
    Star,
    Parts(Box<Parts>),
}

/// Several wildcards. Every star matches the shortest text, from left to right, and the last one all that remains.
/// The part between two stars is therefore matched at its first position after the part before: a later position
/// would leave less for the other parts.
#[derive(Clone, Debug)]
struct Parts {
    /// From the literal prefix to the first star.
    head: Part,
    /// From star to star.
    between: Box<[Part]>,
    /// From the last star to the literal suffix.
    tail: Part,
    has_star: bool,
    /// The index of the star that is the user.
    user: Option<usize>,
}

/// Positions that match one byte each.
#[derive(Clone, Debug)]
enum Part {
    Literal(Box<[u8]>),
    Mixed(Box<[Token]>),
}

impl Glob {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self::new(parse::parse(text)?))
    }

    fn new(tokens: Vec<Token>) -> Self {
        let is_wildcard = |token: &Token| !matches!(token, Token::Byte(_));
        let tokens = tokens.into_boxed_slice();
        let first = tokens.iter().position(is_wildcard);
        let first = first.unwrap_or(tokens.len());
        let last = tokens.iter().rposition(is_wildcard);
        let end = last.map_or(tokens.len(), |last| last.saturating_add(1));
        let inner = tokens.get(first..end).unwrap_or_default();
        let middle = match inner {
            [] => Middle::Nothing,
            [star] if star.is_star() => Middle::Star,
            _ => Middle::Parts(Box::new(Parts::new(inner))),
        };
        Self {
            prefix: text(tokens.get(..first).unwrap_or_default()),
            suffix: text(tokens.get(end..).unwrap_or_default()),
            middle,
            tokens,
        }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The literal text before the first wildcard.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The literal text after the last wildcard.
    pub(super) fn suffix(&self) -> &str {
        &self.suffix
    }

    pub(super) fn is_literal(&self) -> bool {
        matches!(self.middle, Middle::Nothing)
    }

    /// True if a wildcard matches any number of bytes. Without one, the glob is nearly the whole name of a record.
    pub(super) fn has_star(&self) -> bool {
        self.tokens.iter().any(|token| token.is_star())
    }

    pub(super) fn has_user(&self) -> bool {
        self.tokens.contains(&Token::User)
    }

    /// The [filter](byte_filter) of the texts that names are searched for, between two stars.
    pub(super) fn searched_bytes(&self) -> u64 {
        let Middle::Parts(parts) = &self.middle else {
            return 0;
        };
        parts.between.iter().fold(0, |filter, part| match part {
            Part::Literal(bytes) => filter | byte_filter(bytes),
            Part::Mixed(_) => filter,
        })
    }

    /// The number of literal bytes.
    pub(super) fn literal_len(&self) -> usize {
        let literals = self.tokens.iter();
        literals.filter(|it| matches!(it, Token::Byte(_))).count()
    }

    /// The text of a name that `{user}` matches; without a `{user}`, some text. `None` if the name does not match.
    #[inline]
    pub(super) fn captured<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let remaining = name.strip_prefix(self.prefix.as_bytes())?;
        // Most suffixes are empty, and comparing an empty suffix is not free.
        let inner = || match self.suffix.is_empty() {
            true => Some(remaining),
            false => remaining.strip_suffix(self.suffix.as_bytes()),
        };
        match &self.middle {
            Middle::Nothing => remaining.is_empty().then_some(remaining),
            Middle::Star => inner(),
            Middle::Parts(parts) => parts.captured(inner()?),
        }
    }

    #[inline]
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.captured(name).is_some()
    }

    /// The only name with this user, if the glob has no other wildcard.
    pub(super) fn name_of(&self, user: &[u8]) -> Option<Vec<u8>> {
        let is_one = matches!(self.middle, Middle::Star) && self.has_user();
        is_one.then(|| [self.prefix.as_bytes(), user, self.suffix.as_bytes()].concat())
    }

    /// The glob in the notation of Redis: `*` for `{user}`, and literal characters escaped that could be taken for
    /// wildcards.
    pub(super) fn for_redis(&self) -> String {
        let mut glob = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Byte(byte) => push_literal(&mut glob, *byte),
                Token::One => glob.push(b'?'),
                Token::Class(set) => push_class(&mut glob, *set),
                Token::Star | Token::User => glob.push(b'*'),
            }
        }
        String::from_utf8_lossy(&glob).into_owned()
    }
}

fn push_literal(glob: &mut Vec<u8>, byte: u8) {
    if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
        glob.push(b'\\');
    }
    glob.push(byte);
}

/// A class is written as ASCII. One that accepts bytes above that is negated, and what it excludes is ASCII.
fn push_class(glob: &mut Vec<u8>, set: ByteSet) {
    let is_negated = set.contains(u8::MAX);
    glob.extend_from_slice(if is_negated { b"[^" } else { b"[" });
    let listed = if is_negated { set.complement() } else { set };
    let mut remaining: &[u8] = &(0..128)
        .filter(|byte| listed.contains(*byte))
        .collect::<Vec<u8>>();
    while let Some((first, others)) = remaining.split_first() {
        let run =
            remaining.chunk_by(|a, b| a.checked_add(1) == Some(*b) && is_plain(*a) && is_plain(*b));
        remaining = match run.into_iter().next() {
            Some(run @ [_, _, .., last]) => {
                glob.extend([*first, b'-', *last]);
                remaining.get(run.len()..).unwrap_or_default()
            }
            _ => {
                glob.extend_from_slice(if is_plain(*first) { b"" } else { b"\\" });
                glob.push(*first);
                others
            }
        };
    }
    glob.push(b']');
}

/// True if a byte is literal in a class.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The text of literal tokens, which come from whole characters.
fn text(literals: &[Token]) -> String {
    let byte = |token: &Token| match token {
        Token::Byte(byte) => Some(*byte),
        _ => None,
    };
    let bytes: Vec<u8> = literals.iter().filter_map(byte).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Parts {
    fn new(inner: &[Token]) -> Self {
        let mut parts = inner.split(|token| token.is_star());
        let head = parts.next().unwrap_or_default();
        let mut between: Vec<Part> = parts.map(Part::new).collect();
        let stars = || inner.iter().filter(|token| token.is_star());
        Self {
            head: Part::new(head),
            tail: between.pop().unwrap_or_else(|| Part::new(&[])),
            between: between.into(),
            has_star: stars().next().is_some(),
            user: stars().position(|token| *token == Token::User),
        }
    }

    fn captured<'n>(&self, inner: &'n [u8]) -> Option<&'n [u8]> {
        let (head, remaining) = inner.split_at_checked(self.head.len())?;
        let tail = remaining.len().checked_sub(self.tail.len())?;
        let (mut remaining, tail) = remaining.split_at_checked(tail)?;
        if !self.head.accepts(head) || !self.tail.accepts(tail) {
            return None;
        }
        if !self.has_star {
            return remaining.is_empty().then_some(remaining);
        }
        let mut user = None;
        for (star, part) in self.between.iter().enumerate() {
            let at = part.find(remaining)?;
            let (matched, after) = remaining.split_at_checked(at)?;
            if self.user == Some(star) {
                user = Some(matched);
            }
            remaining = after.get(part.len()..)?;
        }
        Some(user.unwrap_or(remaining))
    }
}

impl Part {
    fn new(tokens: &[Token]) -> Self {
        let byte = |token: &Token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        };
        match tokens.iter().map(byte).collect() {
            Some(literal) => Self::Literal(literal),
            None => Self::Mixed(tokens.into()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Literal(bytes) => bytes.len(),
            Self::Mixed(tokens) => tokens.len(),
        }
    }

    /// True if each byte is accepted at its position. There must be as many bytes as positions.
    fn accepts(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => **literal == *bytes,
            Self::Mixed(tokens) => accept(tokens, bytes),
        }
    }

    /// The first position of this part in a text.
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(literal) => {
                let (first, others) = literal.split_first()?;
                find(text, *first, others.len(), |after| {
                    after.starts_with(others)
                })
            }
            Self::Mixed(tokens) => match tokens.split_first()? {
                (Token::Byte(first), others) => {
                    find(text, *first, others.len(), |after| accept(others, after))
                }
                _ => {
                    let mut windows = text.windows(tokens.len());
                    windows.position(|window| accept(tokens, window))
                }
            },
        }
    }
}

/// The first position of a byte that is followed by `needed` bytes, and by bytes for which `is_match` is true.
fn find(text: &[u8], first: u8, needed: usize, is_match: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let last = text.len().checked_sub(needed)?;
    let starts = text.get(..last)?.iter().enumerate();
    let mut starts = starts.filter(|(_, byte)| **byte == first);
    starts.find_map(|(at, _)| is_match(text.get(at.checked_add(1)?..)?).then_some(at))
}

/// True if each position accepts the byte there. There may be more bytes.
fn accept(tokens: &[Token], bytes: &[u8]) -> bool {
    bytes.len() >= tokens.len()
        && tokens.iter().zip(bytes).all(|(token, byte)| match token {
            Token::Byte(literal) => literal == byte,
            Token::Class(set) => set.contains(*byte),
            Token::One | Token::Star | Token::User => true,
        })
}
