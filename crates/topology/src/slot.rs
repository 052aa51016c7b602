//! The slot of a record name, as servers compute it: CRC-16 of the name, or of its hash tag if it has one.

/// The number of slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of the record of this name.
#[must_use]
pub fn slot(name: &[u8]) -> u16 {
    reduced(crc16(hashed_part(name)))
}

/// The slot of a checksum.
pub(crate) fn reduced(checksum: u16) -> u16 {
    checksum & SLOTS.wrapping_sub(1)
}

/// The part of a name that its slot depends on: what is between the first `{` and the first `}` after it, unless that is
/// nothing; else the whole name.
fn hashed_part(name: &[u8]) -> &[u8] {
    tag_in(name).filter(|tag| !tag.is_empty()).unwrap_or(name)
}

/// What is between the first `{` and the first `}` after it.
pub(crate) fn tag_in(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|byte| *byte == b'{')?;
    let (_, after) = name.split_at_checked(open)?;
    let after = after.strip_prefix(b"{")?;
    let close = after.iter().position(|byte| *byte == b'}')?;
    after.get(..close)
}

/// CRC-16/XMODEM: the polynomial 0x1021, from zero, nothing reflected.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| crc16_step(crc, *byte))
}

/// The checksum of some bytes and one more, from the checksum of these bytes.
#[inline]
pub(crate) fn crc16_step(crc: u16, byte: u8) -> u16 {
    let [high, low] = crc.to_be_bytes();
    // The index is a byte, and the table has an entry for each.
    let change = TABLE.get(usize::from(high ^ byte)).copied();
    u16::from_be_bytes([low, 0]) ^ change.unwrap_or_default()
}

/// The changes that each first byte makes to a checksum.
static TABLE: [u16; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, which reports both"
)]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc = crc << 1 ^ if carry { 0x1021 } else { 0 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_its_check_value() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn a_tag_is_hashed_in_place_of_its_name() {
        for (name, hashed) in [
            (&b"wa:{ana}:1"[..], &b"ana"[..]),
            (b"{a}{b}", b"a"),
            (b"x}{a}", b"a"),
            (b"{{a}}", b"{a"),
            (b"{}{a}", b"{}{a}"),
            (b"{a", b"{a"),
            (b"a}", b"a}"),
            (b"", b""),
        ] {
            assert_eq!(hashed_part(name), hashed);
            assert_eq!(slot(name), crc16(hashed) % SLOTS);
        }
    }
}
