//! Bytes on their way out, and bytes that wait for more. Most connections are idle most of the time, so
//! an empty buffer has no memory of its own: what it had goes to the thread's spares, and the next one
//! that needs some takes what was used last and is still in the processor's cache.

use std::cell::RefCell;
use std::collections::VecDeque;

/// A buffer that grew beyond this is not kept.
const LONGEST_SPARE: usize = 128 * 1024;
/// A chunk that is longer takes no more bytes: the next ones go to a new chunk.
const CHUNK: usize = LONGEST_SPARE;
/// Where so many bytes wait, the next chunk is one of those below: only then their memory must be given back.
const MAPPED_FROM: usize = 1024 * 1024;
/// Room that is reserved for a chunk of its own mapping. Allocators map what is larger than 32 MiB separately, and
/// unmap it when it is freed. What is smaller they may keep, between other allocations, and where memory is locked
/// the system takes it back in no other way. Reserved pages take no memory before they are used.
const MAPPED_CHUNK: usize = 33 * 1024 * 1024;
/// Bytes in a chunk of its own mapping after which the next one begins.
const MAPPED_FILL: usize = 32 * 1024 * 1024;
/// Buffers that one thread keeps.
const SPARES: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way out, in chunks: what has been written gives its memory back while the rest waits.
#[derive(Default)]
pub(crate) struct Outgoing {
    first: Vec<u8>,
    /// Bytes of the first chunk that were written.
    written: usize,
    /// The chunks behind the first.
    more: VecDeque<Vec<u8>>,
    /// Bytes in `more`, without its last chunk, which may still grow.
    complete: usize,
}

impl Outgoing {
    /// Where more is appended.
    #[inline]
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        if self.more.is_empty() && self.first.len() < CHUNK {
            return with_memory(&mut self.first);
        }
        self.last_chunk()
    }

    fn last_chunk(&mut self) -> &mut Vec<u8> {
        let is_full = |last: &Vec<u8>| {
            let most = if last.capacity() < MAPPED_CHUNK {
                CHUNK
            } else {
                MAPPED_FILL
            };
            last.len() >= most
        };
        let last = self.more.back();
        if last.is_none_or(is_full) {
            let len = last.map_or(0, Vec::len);
            self.complete = self.complete.saturating_add(len);
            let mut next = Vec::new();
            if self.complete >= MAPPED_FROM && next.try_reserve_exact(MAPPED_CHUNK).is_err() {
                tracing::debug!("no memory is mapped for a long buffer");
            }
            self.more.push_back(next);
        }
        match self.more.back_mut() {
            Some(last) => with_memory(last),
            None => &mut self.first,
        }
    }

    /// The bytes to write next: not all, where there are several chunks.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.first.get(self.written..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        let first = self.first.len().saturating_sub(self.written);
        let last = self.more.back().map_or(0, Vec::len);
        first.saturating_add(self.complete).saturating_add(last)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many of the [bytes to write next](Self::bytes) were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.written = self.written.saturating_add(len);
        if self.written < self.first.len() {
            return;
        }
        self.written = 0;
        give_back(&mut self.first);
        if let Some(next) = self.more.pop_front() {
            if !self.more.is_empty() {
                self.complete = self.complete.saturating_sub(next.len());
            }
            self.first = next;
        }
    }

    /// Puts bytes before all others.
    pub(crate) fn prepend(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(self.bytes());
        self.first = bytes;
        self.written = 0;
    }

    pub(crate) fn clear(&mut self) {
        self.written = 0;
        self.complete = 0;
        self.more = VecDeque::new();
        give_back(&mut self.first);
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
        assert_eq!(outgoing.first.capacity(), 0);
    }

    #[test]
    fn many_bytes_are_written_in_order_and_their_memory_is_given_back_meanwhile() {
        let mut outgoing = Outgoing::default();
        let mut expected = Vec::new();
        for number in 0..1000_u32 {
            let piece = number
                .to_le_bytes()
                .repeat(1 + number as usize * 7919 % 40_000);
            outgoing.end().extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(outgoing.len(), expected.len());
        }
        outgoing.end();
        outgoing.prepend(b"first".to_vec());
        expected.splice(0..0, *b"first");
        let held = |outgoing: &Outgoing| {
            let more: usize = outgoing.more.iter().map(Vec::capacity).sum();
            outgoing.first.capacity() + more
        };
        let mut written = Vec::new();
        for step in (1..).map(|number| 1 + number * 7919 % 400_000) {
            if outgoing.is_empty() {
                break;
            }
            assert!(!outgoing.bytes().is_empty());
            let step = step.min(outgoing.bytes().len());
            written.extend_from_slice(&outgoing.bytes()[..step]);
            outgoing.advance(step);
            assert_eq!(outgoing.len(), expected.len() - written.len());
            assert!(held(&outgoing) < outgoing.len() + 2 * MAPPED_CHUNK);
        }
        assert!(written == expected);
        outgoing.rest();
        assert_eq!(held(&outgoing), 0);
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
