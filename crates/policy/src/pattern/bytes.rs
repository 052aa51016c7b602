//! Sets of bytes: those that a position of a glob accepts, and those that a name contains.

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSet([u128; 2]);

impl ByteSet {
    pub(super) const EMPTY: Self = Self([0; 2]);
    pub(super) const ALL: Self = Self([u128::MAX; 2]);

    pub(super) fn only(byte: u8) -> Self {
        let mut set = Self::EMPTY;
        set.insert(byte);
        set
    }

    pub(super) fn insert(&mut self, byte: u8) {
        let [low, high] = &mut self.0;
        let half = if byte < 128 { low } else { high };
        *half |= 1_u128 << (byte & 127);
    }

    #[inline]
    pub(super) fn contains(&self, byte: u8) -> bool {
        let [low, high] = self.0;
        let half = if byte < 128 { low } else { high };
        half >> (byte & 127) & 1 == 1
    }

    pub(super) fn complement(self) -> Self {
        Self(self.0.map(|half| !half))
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        let [low, high] = self.0;
        let [other_low, other_high] = other.0;
        low & other_low != 0 || high & other_high != 0
    }

    pub(super) fn includes(self, other: Self) -> bool {
        !self.complement().intersects(other)
    }
}

/// The bytes that a name contains, in 64 bits: different bytes may share a bit, but not lower-case letters and
/// digits.
///
/// A name cannot contain a text whose filter has a bit that the filter of the name lacks.
#[inline]
pub(crate) fn byte_filter(bytes: &[u8]) -> u64 {
    let bit = |byte: &u8| 1_u64 << ((byte ^ (byte >> 1 & 0x20)) & 0x3f);
    bytes.iter().fold(0, |filter, byte| filter | bit(byte))
}
