//! The grammar of `.env` in Node.js applications: that of the package `dotenv`, which most of them
//! use. One file is shared with such an application, so a line must mean the same to both.
//!
//! ```text
//! file        everything but assignments is skipped, line by line
//! assignment  [export] NAME = value   or   NAME: value   (white space is free, line breaks too)
//! value       '…', "…" or `…`, over several lines if need be, where nothing but white space and a comment
//!             follow on the line; else everything up to a # or the end of the line, trimmed
//! ```
//!
//! In double quotes `\n` and `\r` are line breaks. Nothing is substituted: a dollar sign stands for itself.
//! Knows no variable, and reads no file.

use std::ops::Range;

use zeroize::Zeroizing;

/// One assignment of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment<'t> {
    pub(super) name: &'t str,
    /// The position of the name.
    pub(super) at: usize,
    /// All of it, from the name to the end of its comment.
    pub(super) span: Range<usize>,
    /// The value as it is written, with its quotes.
    written: &'t str,
}

/// Returns the text with every line break as one line feed.
pub(super) fn normalize(text: &str) -> Zeroizing<String> {
    let mut normal = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => {
                letters.next_if_eq(&'\n');
                normal.push('\n');
            }
            _ => normal.push(letter),
        }
    }
    Zeroizing::new(normal)
}

/// The assignments of a normalized text, in order.
pub(super) fn assignments(text: &str) -> impl Iterator<Item = Assignment<'_>> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        while let Some(start) = from {
            let reader = Reader { text };
            if let Some(found) = reader.assignment(start) {
                // The next one begins on another line.
                from = match reader.is_line_start(found.span.end) {
                    true => Some(found.span.end),
                    false => reader.next_line(found.span.end),
                };
                return Some(found);
            }
            from = reader.next_line(start);
        }
        None
    })
}

impl Assignment<'_> {
    /// True if the value begins with a quote that nothing closes, which is then a part of it.
    pub(super) fn is_unclosed(&self) -> bool {
        let mut letters = self.written.chars();
        let first = letters.next().filter(|it| is_quote(*it));
        first.is_some() && letters.next_back() != first
    }

    /// The value of the variable.
    pub(super) fn value(&self) -> Zeroizing<String> {
        let first = self.written.chars().next().filter(|it| is_quote(*it));
        let inner = first.and_then(|quote| {
            let inner = self.written.strip_prefix(quote)?;
            inner.strip_suffix(quote)
        });
        let value = inner.unwrap_or(self.written);
        match first {
            // Not only where the quotes are closed.
            Some('"') => {
                let expanded = Zeroizing::new(value.replace("\\n", "\n"));
                Zeroizing::new(expanded.replace("\\r", "\r"))
            }
            _ => Zeroizing::new(value.to_owned()),
        }
    }
}

/// White space, as JavaScript has it.
pub(super) fn is_space(letter: char) -> bool {
    match letter {
        '\u{feff}' => true,
        // Next line: white space for Rust alone.
        '\u{85}' => false,
        _ => letter.is_whitespace(),
    }
}

/// True for the line terminators of JavaScript.
fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '\'' | '"' | '`')
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-')
}

/// Reads at positions of the text, which are at letters or at its end.
#[derive(Clone, Copy)]
struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn remaining(self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    /// The first position from here on whose letter is none of these.
    fn skip(self, at: usize, is_skipped: fn(char) -> bool) -> usize {
        let remaining = self.remaining(at);
        at + remaining
            .find(|letter| !is_skipped(letter))
            .unwrap_or(remaining.len())
    }

    fn is_line_start(self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        before.chars().next_back().is_none_or(is_line_end)
    }

    /// The beginning of the next line, if there is one.
    fn next_line(self, at: usize) -> Option<usize> {
        let remaining = self.remaining(at);
        let end = remaining.find(is_line_end)?;
        let letter = remaining.get(end..)?.chars().next()?;
        Some(at + end + letter.len_utf8())
    }

    /// The assignment that begins on this line, or after empty ones from here on.
    fn assignment(self, line: usize) -> Option<Assignment<'t>> {
        let start = self.skip(line, is_space);
        let exported = self.remaining(start).strip_prefix("export").map(|_| {
            let behind = start + "export".len();
            (behind, self.skip(behind, is_space))
        });
        let exported = exported.filter(|(behind, name)| behind < name);
        // A variable may be called "export".
        let (name, at, behind) = exported
            .and_then(|(_, at)| self.name(at))
            .or_else(|| self.name(start))?;
        let (written, end) = self.value(behind);
        Some(Assignment {
            name,
            at,
            span: at..end,
            written,
        })
    }

    /// A name at this position, and the position after its sign.
    fn name(self, at: usize) -> Option<(&'t str, usize, usize)> {
        let end = self.skip(at, is_of_name);
        let name = self.text.get(at..end).filter(|name| !name.is_empty())?;
        let sign = self.skip(end, is_space);
        if self.remaining(sign).starts_with('=') {
            return Some((name, at, sign + 1));
        }
        // A colon follows the name directly, and white space follows the colon.
        let space = self.remaining(end).strip_prefix(':')?.chars().next()?;
        is_space(space).then(|| (name, at, end + 1 + space.len_utf8()))
    }

    /// The value that is written at this position, and the end of its line.
    fn value(self, at: usize) -> (&'t str, usize) {
        if let Some(quoted) = self.quoted(self.skip(at, is_space)) {
            return quoted;
        }
        let remaining = self.remaining(at);
        let end = at + remaining.find(['#', '\n']).unwrap_or(remaining.len());
        let written = self.text.get(at..end).unwrap_or_default();
        let line_end = self.rest_of_line(end).unwrap_or(end);
        (written.trim_matches(is_space), line_end)
    }

    /// A value in quotes that nothing follows. A quote after a backslash ends it only where no
    /// other does.
    fn quoted(self, at: usize) -> Option<(&'t str, usize)> {
        let quote = self
            .remaining(at)
            .chars()
            .next()
            .filter(|it| is_quote(*it))?;
        let mut candidates = Vec::new();
        let mut before = quote;
        for (index, letter) in self.remaining(at).char_indices().skip(1) {
            if letter == quote {
                candidates.push(at + index + 1);
                if before != '\\' {
                    break;
                }
            }
            before = letter;
        }
        candidates.into_iter().rev().find_map(|end| {
            let line_end = self.rest_of_line(end)?;
            Some((self.text.get(at..end)?, line_end))
        })
    }

    /// The end of a line of which only white space and a comment are left at this position. White space
    /// may continue over further lines, up to a comment there.
    fn rest_of_line(self, at: usize) -> Option<usize> {
        let next = self.skip(at, is_space);
        let remaining = self.remaining(next);
        if remaining.is_empty() || remaining.starts_with('#') {
            return Some(next + remaining.find(is_line_end).unwrap_or(remaining.len()));
        }
        let space = self.text.get(at..next)?;
        space.rfind(is_line_end).map(|end| at + end)
    }
}

#[cfg(test)]
mod tests;
