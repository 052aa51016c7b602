//! Bytes on their way out, and bytes that wait for more: both give their memory back when they are
//! empty, because most connections are idle most of the time.

/// What is kept of an empty buffer's memory.
const KEPT: usize = 16 * 1024;

/// Bytes on their way out.
#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    gone: usize,
}

impl Outgoing {
    /// Where more is appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
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
        } else if self.gone > KEPT && self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.gone = 0;
        empty(&mut self.bytes);
    }

    /// Gives all memory back, where there is nothing to send.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// Bytes that came and wait for more.
#[derive(Default)]
pub(crate) struct Waiting {
    bytes: Vec<u8>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives what waits, followed by what came, to `take`, which says how much of it is done with;
    /// keeps the rest. What came is copied only where something waits, or is left.
    pub(crate) fn with<T>(&mut self, came: &[u8], take: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        if self.bytes.is_empty() {
            let (used, result) = take(came);
            self.bytes
                .extend_from_slice(came.get(used..).unwrap_or_default());
            return result;
        }
        self.bytes.extend_from_slice(came);
        let (used, result) = take(&self.bytes);
        if used >= self.bytes.len() {
            empty(&mut self.bytes);
        } else if used > 0 {
            self.bytes.drain(..used);
        }
        result
    }
}

fn empty(bytes: &mut Vec<u8>) {
    if bytes.capacity() > KEPT {
        *bytes = Vec::new();
    } else {
        bytes.clear();
    }
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
    }

    #[test]
    fn what_went_is_gone_and_an_empty_buffer_keeps_little() {
        let mut outgoing = Outgoing::default();
        outgoing.end().extend_from_slice(&[7; 100_000]);
        outgoing.advance(60_000);
        assert_eq!((outgoing.len(), outgoing.bytes().len()), (40_000, 40_000));
        outgoing.advance(40_000);
        assert!(outgoing.is_empty());
        assert!(outgoing.end().capacity() <= KEPT);
    }
}
