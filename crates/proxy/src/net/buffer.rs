//! Bytes on their way out, and bytes that wait for more. Most connections are idle most of the time, so
//! an empty buffer has no memory of its own: what it had goes to the thread's spares, and the next one
//! that needs some takes what was used last and is still in the processor's cache.

use std::cell::RefCell;

/// A buffer that grew beyond this is not kept.
const LONGEST_SPARE: usize = 128 * 1024;
/// Buffers that one thread keeps.
const SPARES: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way out.
#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    gone: usize,
}

impl Outgoing {
    /// Where more is appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        with_memory(&mut self.bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.gone)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many bytes have gone.
    pub(crate) fn advance(&mut self, len: usize) {
        self.gone = self.gone.saturating_add(len);
        if self.is_empty() {
            self.clear();
        } else if self.gone > LONGEST_SPARE && self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.gone = 0;
        give_back(&mut self.bytes);
    }

    /// Gives back the memory of what was to be written and was not.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

/// Bytes that came and wait for more.
#[derive(Default)]
pub(crate) struct Waiting {
    bytes: Vec<u8>,
    /// Bytes at the start that are done with.
    done: usize,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.done)
    }

    /// Gives what waits, followed by what came, to `take`, which says how much of it is done with;
    /// keeps the rest. What came is copied only where something waits, or is left.
    pub(crate) fn with<T>(&mut self, came: &[u8], take: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        if self.bytes.is_empty() {
            let (used, result) = take(came);
            let left = came.get(used..).unwrap_or_default();
            if !left.is_empty() {
                with_memory(&mut self.bytes).extend_from_slice(left);
            }
            return result;
        }
        self.bytes.extend_from_slice(came);
        let (used, result) = take(self.bytes.get(self.done..).unwrap_or_default());
        self.done = self.done.saturating_add(used);
        if self.done >= self.bytes.len() {
            self.done = 0;
            give_back(&mut self.bytes);
        } else if self.done > self.bytes.len() / 2 {
            // Moved seldom: one request may be taken at a time.
            self.bytes.drain(..self.done);
            self.done = 0;
        }
        result
    }
}

/// Gives a buffer that has none some memory.
fn with_memory(bytes: &mut Vec<u8>) -> &mut Vec<u8> {
    if bytes.capacity() == 0
        && let Some(spare) = SPARE.with_borrow_mut(Vec::pop)
    {
        *bytes = spare;
    }
    bytes
}

/// Empties a buffer and takes its memory.
fn give_back(bytes: &mut Vec<u8>) {
    let mut spare = std::mem::take(bytes);
    if spare.capacity() == 0 || spare.capacity() > LONGEST_SPARE {
        return;
    }
    spare.clear();
    SPARE.with_borrow_mut(|spares| {
        if spares.len() < SPARES {
            spares.push(spare);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_comes_again_before_what_follows() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.with(b"abc", |bytes| (1, bytes.len())), 3);
        assert_eq!(waiting.with(b"de", |bytes| (0, bytes.to_vec())), b"bcde");
        assert_eq!(waiting.with(b"", |bytes| (4, bytes.to_vec())), b"bcde");
        assert!(waiting.is_empty());
        let bytes: Vec<u8> = (0..200).collect();
        for step in [1, 3, 7, 99] {
            let mut waiting = Waiting::default();
            waiting.with(&bytes, |_| (0, ()));
            let mut taken = Vec::new();
            while !waiting.is_empty() {
                let left = waiting.len();
                waiting.with(b"", |bytes| {
                    assert_eq!(bytes.len(), left);
                    let used = step.min(bytes.len());
                    taken.extend_from_slice(&bytes[..used]);
                    (used, ())
                });
            }
            assert_eq!(taken, bytes);
        }
    }

    #[test]
    fn what_went_is_gone_and_an_empty_buffer_keeps_little() {
        let mut outgoing = Outgoing::default();
        outgoing.end().extend_from_slice(&[7; 100_000]);
        outgoing.advance(60_000);
        assert_eq!((outgoing.len(), outgoing.bytes().len()), (40_000, 40_000));
        outgoing.advance(40_000);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.bytes.capacity(), 0);
    }

    #[test]
    fn memory_goes_from_one_buffer_to_the_next_and_a_large_one_is_given_up() {
        let mut first = Outgoing::default();
        first.end().extend_from_slice(&[7; 10_000]);
        let place = first.bytes().as_ptr();
        first.advance(10_000);
        let mut second = Outgoing::default();
        second.end().extend_from_slice(b"other");
        assert_eq!(second.bytes(), b"other");
        assert_eq!(second.bytes().as_ptr(), place);
        second.end().reserve(LONGEST_SPARE + 1);
        second.clear();
        assert_eq!(Outgoing::default().end().capacity(), 0);
    }
}
