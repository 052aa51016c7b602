//! Hash tags: a short one for each slot, and what a tag does behind a given prefix.

use std::sync::LazyLock;

use crate::slot::{SLOTS, crc16_step, reduced, tag_in};

/// The length of a tag.
pub const TAG_LEN: usize = 3;

/// The characters of tags, in the order of their bytes.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A name that has this tag is in the slot: the first text of three letters or digits whose checksum leads to it. A
/// number that is not one of a slot is taken modulo their number.
///
/// The tags of all slots are found when the first one is asked for, which takes a few milliseconds.
#[must_use]
pub fn tag_of(slot: u16) -> [u8; TAG_LEN] {
    static TAGS: LazyLock<Vec<[u8; TAG_LEN]>> = LazyLock::new(find_tags);
    let tag = TAGS.get(usize::from(reduced(slot)));
    // There is one for each slot.
    tag.copied().unwrap_or_default()
}

fn find_tags() -> Vec<[u8; TAG_LEN]> {
    let mut tags = vec![[0; TAG_LEN]; usize::from(SLOTS)];
    for a in *ALPHABET {
        let crc_a = crc16_step(0, a);
        for b in *ALPHABET {
            let crc_b = crc16_step(crc_a, b);
            for c in *ALPHABET {
                let slot = usize::from(reduced(crc16_step(crc_b, c)));
                if let Some(tag @ [0, 0, 0]) = tags.get_mut(slot) {
                    *tag = [a, b, c];
                }
            }
        }
    }
    tags
}

/// What a tag does that stands right behind a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRule {
    /// It decides on the slot.
    Needed,
    /// Nothing, and none is needed: the prefix has a tag, so all names that begin with it are in one slot.
    InPrefix,
    /// Nothing: the prefix has a brace that opens no tag of its own, and servers look at the first one only.
    Impossible,
}

impl TagRule {
    /// The rule for names that begin with this prefix.
    #[must_use]
    pub fn of(prefix: &[u8]) -> Self {
        match tag_in(prefix) {
            Some(tag) if !tag.is_empty() => Self::InPrefix,
            None if !prefix.contains(&b'{') => Self::Needed,
            _ => Self::Impossible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::slot;

    #[test]
    fn each_slot_has_a_tag_that_leads_to_it() {
        for number in 0..SLOTS {
            let tag = tag_of(number);
            assert!(tag.iter().all(u8::is_ascii_alphanumeric), "{number}");
            assert_eq!(slot(&tag), number);
            let name = [b"wa:~{", &tag[..], b"}9VcDE{x}"].concat();
            assert_eq!(slot(&name), number);
        }
        assert_eq!(tag_of(SLOTS), tag_of(0));
    }

    #[test]
    fn the_tag_is_the_first_in_the_order_of_bytes() {
        assert!(ALPHABET.is_sorted());
        assert_eq!((&tag_of(0), &tag_of(16_383)), (b"06S", b"6ZJ"));
        let mut seen = vec![false; usize::from(SLOTS)];
        for a in ALPHABET {
            for b in ALPHABET {
                for c in ALPHABET {
                    let tag = [*a, *b, *c];
                    let is_first = !std::mem::replace(&mut seen[usize::from(slot(&tag))], true);
                    assert_eq!(tag_of(slot(&tag)) == tag, is_first);
                }
            }
        }
    }

    #[test]
    fn a_prefix_tells_what_a_tag_behind_it_does() {
        for (prefix, rule) in [
            (&b"wa:"[..], TagRule::Needed),
            (b"", TagRule::Needed),
            (b"a}b:", TagRule::Needed),
            (b"bull:{q}:", TagRule::InPrefix),
            (b"{a}{", TagRule::InPrefix),
            (b"a{", TagRule::Impossible),
            (b"a{}", TagRule::Impossible),
            (b"a{}{b}", TagRule::Impossible),
        ] {
            assert_eq!(TagRule::of(prefix), rule, "{prefix:?}");
            // As the rule says, so the server finds it.
            let in_slot = |number| slot(&[prefix, b"~{", &tag_of(number), b"}9VcDE"].concat());
            let follows = [1, 2].map(|number| in_slot(number) == number) == [true, true];
            assert_eq!(follows, rule == TagRule::Needed, "{prefix:?}");
            let is_fixed = in_slot(1) == slot(&[prefix, b"other"].concat());
            assert_eq!(is_fixed, rule == TagRule::InPrefix, "{prefix:?}");
        }
    }
}
