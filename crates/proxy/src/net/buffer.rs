//! Bytes on their way out, and received bytes that wait for more.
//!
//! Most connections are idle most of the time, so an empty buffer has no memory of its own: it gives its memory to the
//! thread's free list, and the next buffer that needs some takes what was used last and is still in the processor's
//! cache.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Maximum capacity of a buffer on the free list.
const MAX_FREE_CAPACITY: usize = 128 * 1024;
/// Length of a chunk after which bytes go to a new one.
const CHUNK: usize = MAX_FREE_CAPACITY;
/// Waiting bytes above which further chunks get a memory mapping of their own, so that their memory can be returned.
const MAPPED_FROM: usize = 1024 * 1024;
/// Capacity of a chunk with its own mapping. Allocators map anything larger than 32 MiB separately, and unmap it when it
/// is freed. Smaller allocations they may keep, and locked memory returns to the system in no other way. Reserved pages
/// take no memory until they are used.
const MAPPED_CHUNK: usize = 33 * 1024 * 1024;
/// Length of a chunk with its own mapping after which the next one begins.
const MAPPED_FILL: usize = 32 * 1024 * 1024;
/// Maximum length of a thread's free list.
const MAX_FREE: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way out, in chunks: a written chunk returns its memory while the remaining ones wait.
#[derive(Default)]
pub(crate) struct OutputBuffer {
    first: Vec<u8>,
    /// Bytes of the first chunk that have been written.
    written: usize,
    /// The chunks behind the first.
    more: VecDeque<Vec<u8>>,
    /// Bytes in `more`, without its last chunk, which may still grow.
    complete: usize,
}

impl OutputBuffer {
    /// The vector to append to.
    #[inline]
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        if self.more.is_empty() && self.first.len() < CHUNK {
            return with_memory(&mut self.first);
        }
        self.last_chunk()
    }

    fn last_chunk(&mut self) -> &mut Vec<u8> {
        let is_full = |last: &Vec<u8>| {
            let max_len = if last.capacity() < MAPPED_CHUNK {
                CHUNK
            } else {
                MAPPED_FILL
            };
            last.len() >= max_len
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

    /// The bytes to write next: those of the first chunk.
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

    /// Removes the first `len` of the [bytes to write next](Self::bytes), which were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.written = self.written.saturating_add(len);
        if self.written < self.first.len() {
            return;
        }
        self.written = 0;
        free(&mut self.first);
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
        free(&mut self.first);
    }

    /// Frees the memory of an empty buffer, to which something was to be appended and was not.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

/// Received bytes that wait for more.
#[derive(Default)]
pub(crate) struct InputBuffer {
    bytes: Vec<u8>,
    /// Bytes at the start that have been consumed.
    consumed: usize,
}

impl InputBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.consumed)
    }

    /// Passes the waiting bytes, followed by those received, to `take`, which returns how many it consumed; keeps the
    /// others. Received bytes are copied only if others wait before them, or some are left.
    pub(crate) fn with<T>(&mut self, received: &[u8], take: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        if self.bytes.is_empty() {
            let (used, result) = take(received);
            let left = received.get(used..).unwrap_or_default();
            if !left.is_empty() {
                with_memory(&mut self.bytes).extend_from_slice(left);
            }
            return result;
        }
        self.bytes.extend_from_slice(received);
        let (used, result) = take(self.bytes.get(self.consumed..).unwrap_or_default());
        self.consumed = self.consumed.saturating_add(used);
        if self.consumed >= self.bytes.len() {
            self.consumed = 0;
            free(&mut self.bytes);
        } else if self.consumed > self.bytes.len() / 2 {
            // Not on every call: requests may be taken one at a time, and each move costs the length of the others.
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        result
    }
}

/// Gives a buffer without memory some from the free list.
fn with_memory(bytes: &mut Vec<u8>) -> &mut Vec<u8> {
    if bytes.capacity() == 0
        && let Some(free) = FREE.with_borrow_mut(Vec::pop)
    {
        *bytes = free;
    }
    bytes
}

/// Empties a buffer and puts its memory on the free list.
fn free(bytes: &mut Vec<u8>) {
    let mut bytes = std::mem::take(bytes);
    if bytes.capacity() == 0 || bytes.capacity() > MAX_FREE_CAPACITY {
        return;
    }
    bytes.clear();
    FREE.with_borrow_mut(|free| {
        if free.len() < MAX_FREE {
            free.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_not_consumed_are_passed_again_before_those_that_follow() {
        let mut input = InputBuffer::default();
        assert_eq!(input.with(b"abc", |bytes| (1, bytes.len())), 3);
        assert_eq!(input.with(b"de", |bytes| (0, bytes.to_vec())), b"bcde");
        assert_eq!(input.with(b"", |bytes| (4, bytes.to_vec())), b"bcde");
        assert!(input.is_empty());
        let bytes: Vec<u8> = (0..200).collect();
        for step in [1, 3, 7, 99] {
            let mut input = InputBuffer::default();
            input.with(&bytes, |_| (0, ()));
            let mut taken = Vec::new();
            while !input.is_empty() {
                let left = input.len();
                input.with(b"", |bytes| {
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
    fn written_bytes_are_removed_and_an_empty_buffer_keeps_no_memory() {
        let mut output = OutputBuffer::default();
        output.end().extend_from_slice(&[7; 100_000]);
        output.advance(60_000);
        assert_eq!((output.len(), output.bytes().len()), (40_000, 40_000));
        output.advance(40_000);
        assert!(output.is_empty());
        assert_eq!(output.first.capacity(), 0);
    }

    #[test]
    fn many_bytes_are_written_in_order_and_their_memory_is_freed_meanwhile() {
        let mut output = OutputBuffer::default();
        let mut expected = Vec::new();
        for number in 0..1000_u32 {
            let piece = number
                .to_le_bytes()
                .repeat(1 + number as usize * 7919 % 40_000);
            output.end().extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(output.len(), expected.len());
        }
        output.end();
        output.prepend(b"first".to_vec());
        expected.splice(0..0, *b"first");
        let held = |output: &OutputBuffer| {
            let more: usize = output.more.iter().map(Vec::capacity).sum();
            output.first.capacity() + more
        };
        let mut written = Vec::new();
        for step in (1..).map(|number| 1 + number * 7919 % 400_000) {
            if output.is_empty() {
                break;
            }
            assert!(!output.bytes().is_empty());
            let step = step.min(output.bytes().len());
            written.extend_from_slice(&output.bytes()[..step]);
            output.advance(step);
            assert_eq!(output.len(), expected.len() - written.len());
            assert!(held(&output) < output.len() + 2 * MAPPED_CHUNK);
        }
        assert!(written == expected);
        output.release();
        assert_eq!(held(&output), 0);
    }

    #[test]
    fn the_memory_of_one_buffer_is_used_by_the_next_unless_it_is_large() {
        let mut first = OutputBuffer::default();
        first.end().extend_from_slice(&[7; 10_000]);
        let address = first.bytes().as_ptr();
        first.advance(10_000);
        let mut second = OutputBuffer::default();
        second.end().extend_from_slice(b"other");
        assert_eq!(second.bytes(), b"other");
        assert_eq!(second.bytes().as_ptr(), address);
        second.end().reserve(MAX_FREE_CAPACITY + 1);
        second.clear();
        assert_eq!(OutputBuffer::default().end().capacity(), 0);
    }
}
