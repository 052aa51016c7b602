//! Opened decoys, records that no application reads, by the program that opened them.

use metrics::Counter;

use crate::handles::counter;
use crate::names::DECOYS_OPENED;

/// The program that opened the value of a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoyOpener {
    /// A proxy, for a client.
    Proxy,
    /// The library, for its application.
    Library,
}

impl DecoyOpener {
    /// The value of the label `by`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Library => "library",
        }
    }
}

/// Creates the counter of decoys' values that were opened this way.
pub fn decoys_opened_counter(by: DecoyOpener) -> Counter {
    counter(&DECOYS_OPENED, &[by.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opener_is_a_label_value_of_the_table() {
        for by in [DecoyOpener::Proxy, DecoyOpener::Library] {
            assert!(DECOYS_OPENED.allows("by", by.as_str()), "{by:?}");
        }
    }
}
