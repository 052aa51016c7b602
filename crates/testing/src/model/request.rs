//! One request of a history: its words, how its replies are compared, and how a report shows it.

use std::fmt;

use super::comparison::Comparison;

/// Longer words are shown by their beginning and their length.
const MAX_SHOWN: usize = 60;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) comparison: Comparison,
}

impl Request {
    /// A request whose reply is compared exactly.
    pub(super) fn exact(words: &[&str]) -> Self {
        Self {
            words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            comparison: Comparison::Exact,
        }
    }

    /// The command in capital letters.
    pub(super) fn command(&self) -> String {
        String::from_utf8_lossy(&self.words[0]).to_ascii_uppercase()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, word) in self.words.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            if word.is_empty() {
                f.write_str("''")?;
            }
            let shown = word.get(..MAX_SHOWN).unwrap_or(word);
            write!(
                f,
                "{}",
                shown.escape_ascii().to_string().replace(' ', "\\x20")
            )?;
            if shown.len() < word.len() {
                write!(f, "…({} bytes)", word.len())?;
            }
        }
        Ok(())
    }
}
