//! One request of the harness: its words, how they are sent, how a report shows them, and which
//! command a server reads in them.

use std::fmt;

use waxseal_policy::table::{self, Names, Row};

use super::stage::Side;
use waxseal_testing::link::encode;

/// One argument.
pub(super) type Word = Vec<u8>;

/// Behind a command word or a subcommand: a zero byte and letters with which this one server still
/// finds the command. They differ between servers, whose hash tables have seeds of their own.
pub(super) const ALIAS: &[u8] = b"\0{alias}";
/// The port of a server that records can be moved to.
pub(super) const SINK: &[u8] = b"{sink}";

/// Longer words are shown as their length and their first bytes.
const MAX_SHOWN: usize = 200;

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) words: Vec<Word>,
    /// Sent as a line of words instead of an array.
    pub(super) inline: bool,
}

impl Request {
    pub(super) fn new(words: Vec<Word>) -> Self {
        Self {
            words,
            inline: false,
        }
    }

    /// From a line in which blanks separate words, `\0` is a zero byte and `{…}` is resolved later.
    pub(super) fn parse(line: &str) -> Self {
        let words = line.split(' ').map(|word| {
            let word = word.replace("\\0", "\0");
            if word == "''" {
                Word::new()
            } else {
                word.into_bytes()
            }
        });
        Self::new(words.collect())
    }

    /// The word as a server compares it with its options: up to a zero byte, in upper case.
    pub(super) fn effective(&self, at: usize) -> Word {
        let word = self.words.get(at).map(Vec::as_slice).unwrap_or_default();
        let end = word.iter().position(|byte| *byte == 0);
        word[..end.unwrap_or(word.len())].to_ascii_uppercase()
    }

    /// True if a word is this option.
    pub(super) fn has(&self, option: &str) -> bool {
        (1..self.words.len()).any(|at| self.effective(at) == option.as_bytes())
    }

    /// The row of the command that a server reads in it.
    pub(super) fn row(&self) -> Option<&'static Row> {
        let words: Vec<Word> = (0..self.words.len().min(2))
            .map(|at| self.effective(at))
            .collect();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        table::find(&words)
    }

    /// The command that a server reads in it, as the table has it.
    pub(super) fn command(&self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The number of words that name the command.
    pub(super) fn command_len(&self) -> usize {
        let container = table::find(&[&self.effective(0)]);
        let is_one = container.is_some_and(|row| row.names == Names::Subcommands);
        if is_one { 2 } else { 1 }
    }

    pub(super) fn has_zero_byte(&self) -> bool {
        self.words.iter().any(|word| word.contains(&0))
    }

    pub(super) fn is_longer_than(&self, limit: usize) -> bool {
        self.words.iter().map(Vec::len).sum::<usize>() > limit
    }

    /// True if a command word has [`ALIAS`] behind it: then even errors differ.
    pub(super) fn has_alias(&self) -> bool {
        self.words.iter().any(|word| word.ends_with(ALIAS))
    }

    /// True if some word could be the name of a protected record.
    pub(super) fn mentions_protected(&self) -> bool {
        self.words.iter().any(|word| word.starts_with(b"wa:"))
    }

    /// The bytes for one of the two sides.
    pub(super) fn bytes(&self, side: &mut Side) -> Vec<u8> {
        let words: Vec<Word> = (0..self.words.len())
            .map(|at| self.resolved(at, side))
            .collect();
        if self.inline {
            line(&words)
        } else {
            encode(&words)
        }
    }

    fn resolved(&self, at: usize, side: &mut Side) -> Word {
        let word = &self.words[at];
        if word == SINK {
            return side.sink_port().to_string().into_bytes();
        }
        let Some(stem) = word.strip_suffix(ALIAS) else {
            return word.clone();
        };
        // Further behind it is a request within the request: `COMMAND GETKEYS GET a`.
        let suffix = if at == 1 && self.command_len() == 2 {
            side.alias(&self.effective(0), Some(stem))
        } else {
            side.alias(stem, None)
        };
        [stem, suffix.as_slice()].concat()
    }
}

/// A line of quoted words.
fn line(words: &[Word]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.push(b'"');
        for byte in word {
            if byte.is_ascii_alphanumeric() || b":._-*$".contains(byte) {
                out.push(*byte);
            } else {
                out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            }
        }
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
    out
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inline {
            f.write_str("(as a line) ")?;
        }
        for (number, word) in self.words.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            let shown = word.get(..MAX_SHOWN).unwrap_or(word).escape_ascii();
            if word.len() > MAX_SHOWN {
                write!(f, "\"{:.20}…({} bytes)\"", shown.to_string(), word.len())?;
            } else if word.is_empty() || word.contains(&b' ') {
                write!(f, "\"{shown}\"")?;
            } else {
                write!(f, "{shown}")?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_server_reads_words_up_to_a_zero_byte() {
    let request = Request::parse("client rePLY\\0x OFF\\0");
    assert_eq!(request.command(), "client|reply");
    assert_eq!(request.command_len(), 2);
    assert!(request.has("OFF"));
    assert_eq!(request.to_string(), "client rePLY\\x00x OFF\\x00");
}

#[test]
fn a_line_of_words_is_quoted() {
    let words = [b"SET".to_vec(), b"a b".to_vec(), Vec::new()];
    assert_eq!(line(&words), b"\"SET\" \"a\\x20b\" \"\"\r\n");
}
