//! Parsing of globs as Redis reads them, and of `{user}`. A text that Redis accepts although it is certainly a
//! mistake, such as a class without its end, is an error.

use super::bytes::ByteSet;
use super::error::PatternError;

/// The maximum length of a pattern in bytes. The time to compare two patterns grows with both lengths.
const MAX_LENGTH: usize = 1024;
/// The maximum number of `*` and `{user}` in a pattern. Servers before Redis 6.2.11 and 7.0.9 try all ways to
/// distribute a name among them.
const MAX_STARS: usize = 8;
pub(super) const USER: &str = "{user}";

/// One element of a glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This byte.
    Byte(u8),
    /// `?`: any byte.
    One,
    /// `[…]`: one byte of a set.
    Class(ByteSet),
    /// `*`: any number of bytes.
    Star,
    /// `{user}`: any number of bytes, which identify the user.
    User,
}

impl Token {
    pub(super) fn is_star(self) -> bool {
        matches!(self, Self::Star | Self::User)
    }

    /// The bytes that are accepted at this position.
    pub(super) fn accepted(self) -> ByteSet {
        match self {
            Self::Byte(byte) => ByteSet::only(byte),
            Self::Class(set) => set,
            Self::One | Self::Star | Self::User => ByteSet::ALL,
        }
    }
}

/// A character that is hard to see at the end of a line: white space, or one without width.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}

/// Parses a glob. Several `*` in a row are one.
pub(super) fn parse(text: &str) -> Result<Vec<Token>, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(PatternError::TooLong(text.len(), MAX_LENGTH));
    }
    if text.starts_with(is_blank) || text.ends_with(is_blank) {
        return Err(PatternError::Blank(text.to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(PatternError::Control(text.to_owned()));
    }
    let mut parser = Parser {
        text,
        remaining: text,
    };
    let mut tokens = Vec::new();
    while !parser.remaining.is_empty() {
        parser.token(&mut tokens)?;
    }
    let stars = tokens.iter().filter(|token| token.is_star()).count();
    if stars > MAX_STARS {
        return Err(PatternError::Stars(text.to_owned(), stars, MAX_STARS));
    }
    check_user(text, &tokens)?;
    Ok(tokens)
}

/// Checks that a name identifies its user: `{user}` occurs once, and not beside a wildcard.
fn check_user(text: &str, tokens: &[Token]) -> Result<(), PatternError> {
    let users = tokens.iter().filter(|token| **token == Token::User);
    if users.count() > 1 {
        return Err(PatternError::Users(text.to_owned()));
    }
    let is_ambiguous = |pair: &[Token]| {
        let is_literal = |token: &Token| matches!(token, Token::Byte(_));
        pair.contains(&Token::User) && !pair.iter().any(is_literal)
    };
    match tokens.windows(2).any(is_ambiguous) {
        true => Err(PatternError::BesideUser(text.to_owned())),
        false => Ok(()),
    }
}

struct Parser<'t> {
    text: &'t str,
    remaining: &'t str,
}

impl Parser<'_> {
    fn token(&mut self, tokens: &mut Vec<Token>) -> Result<(), PatternError> {
        if let Some(remaining) = self.remaining.strip_prefix(USER) {
            self.remaining = remaining;
            tokens.push(Token::User);
            return Ok(());
        }
        match self.next() {
            Some('*') if tokens.last() == Some(&Token::Star) => {}
            Some('*') => tokens.push(Token::Star),
            Some('?') => tokens.push(Token::One),
            Some('[') => {
                let set = self.class()?;
                tokens.push(Token::Class(set));
            }
            Some('\\') => {
                let escaped = self.next();
                let escaped = escaped.ok_or_else(|| PatternError::Escape(self.text.to_owned()))?;
                push(tokens, escaped);
            }
            Some(brace @ ('{' | '}')) => return Err(self.brace(brace)),
            Some(other) => push(tokens, other),
            None => {}
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.remaining.chars();
        let next = chars.next();
        self.remaining = chars.as_str();
        next
    }

    fn brace(&self, brace: char) -> PatternError {
        PatternError::Brace(self.text.to_owned(), brace)
    }

    /// Parses a class after its `[`. As in Redis, `^` negates, a range may be written backwards, the end of a range
    /// is never escaped, and the first `]` that is not such an end closes the class.
    fn class(&mut self) -> Result<ByteSet, PatternError> {
        let is_negated = self.remaining.starts_with('^');
        if is_negated {
            self.next();
        }
        let mut set = ByteSet::EMPTY;
        loop {
            let open = || PatternError::OpenClass(self.text.to_owned());
            let (mut first, mut last) = (self.remaining.chars().next().ok_or_else(open)?, None);
            self.next();
            match first {
                ']' => break,
                '\\' => {
                    let open = || PatternError::OpenClass(self.text.to_owned());
                    first = self.remaining.chars().next().ok_or_else(open)?;
                    self.next();
                }
                '{' | '}' => return Err(self.brace(first)),
                _ if let Some(end) =
                    self.remaining.strip_prefix('-').filter(|it| !it.is_empty()) =>
                {
                    self.remaining = end;
                    last = self.next();
                }
                _ => {}
            }
            let first = self.class_byte(first)?;
            let last = match last {
                Some(brace @ ('{' | '}')) => return Err(self.brace(brace)),
                Some(last) => self.class_byte(last)?,
                None => first,
            };
            (first.min(last)..=first.max(last)).for_each(|byte| set.insert(byte));
        }
        match (is_negated, set == ByteSet::EMPTY) {
            (false, true) => Err(PatternError::EmptyClass(self.text.to_owned())),
            (false, false) => Ok(set),
            (true, _) => Ok(set.complement()),
        }
    }

    /// A class accepts one byte, and only characters of ASCII have only one.
    fn class_byte(&self, c: char) -> Result<u8, PatternError> {
        let wide = || PatternError::WideClass(self.text.to_owned(), c);
        u8::try_from(c).ok().filter(u8::is_ascii).ok_or_else(wide)
    }
}

fn push(tokens: &mut Vec<Token>, literal: char) {
    let mut buffer = [0; 4];
    let bytes = literal.encode_utf8(&mut buffer).bytes();
    tokens.extend(bytes.map(Token::Byte));
}
