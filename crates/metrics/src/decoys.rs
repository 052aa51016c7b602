//! Decoys: records that no application reads. Counts that one was opened, and by what; knows none of them.

use metrics::Counter;

use crate::handles::counter;
use crate::names::DECOYS_OPENED;

/// What opened the value of a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoyOpener {
    /// A proxy, to a client.
    Proxy,
    /// The library, to its application.
    Library,
}

/// The counter of values of decoys that were opened this way. Made once.
pub fn decoys_opened_counter(by: DecoyOpener) -> Counter {
    counter(&DECOYS_OPENED, &[word(by)])
}

fn word(by: DecoyOpener) -> &'static str {
    match by {
        DecoyOpener::Proxy => "proxy",
        DecoyOpener::Library => "library",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_the_table_allows() {
        for by in [DecoyOpener::Proxy, DecoyOpener::Library] {
            assert!(DECOYS_OPENED.allows("by", word(by)), "{by:?}");
        }
    }
}
