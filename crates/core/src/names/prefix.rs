//! How the names behind one prefix are stored: their padding, and on a cluster their tag.

use waxseal_topology::{TAG_LEN, TagRule, slot, tag_of};

use super::text;

pub(super) const MAX_PAD: u16 = 256;

/// The multiple to which the sealed part of names is padded, so that their length tells less: from 1, which pads nothing,
/// to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PadNames(u16);

impl PadNames {
    /// `None` if it is not from 1 to 256.
    #[must_use]
    pub fn new(multiple: u16) -> Option<Self> {
        (1..=MAX_PAD).contains(&multiple).then_some(Self(multiple))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for PadNames {
    fn default() -> Self {
        Self(1)
    }
}

/// How names that begin with one prefix are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePrefix {
    prefix: Box<[u8]>,
    pad: PadNames,
    former_pad: Option<PadNames>,
    accepts_all_pads: bool,
    is_tagged: bool,
}

impl NamePrefix {
    /// Names that begin with this literal prefix, which stays readable, on a server that is no cluster.
    #[must_use]
    pub fn new(prefix: impl Into<Box<[u8]>>, pad: PadNames) -> Self {
        Self {
            prefix: prefix.into(),
            pad,
            former_pad: None,
            accepts_all_pads: false,
            is_tagged: false,
        }
    }

    /// The same names, of which some may still be padded to this multiple.
    #[must_use]
    pub fn with_former_pad(self, former: PadNames) -> Self {
        Self {
            former_pad: Some(former).filter(|former| *former != self.pad),
            ..self
        }
    }

    /// The same names, of which some may be padded to a multiple that is not known.
    pub(super) fn accepting_all_pads(self) -> Self {
        Self {
            accepts_all_pads: true,
            ..self
        }
    }

    /// The same names on a cluster: stored ones are in the slots of the logical ones. `None` if that cannot be done with this
    /// prefix ([`TagRule::Impossible`]).
    #[must_use]
    pub fn on_cluster(self) -> Option<Self> {
        let is_tagged = match TagRule::of(&self.prefix) {
            TagRule::Impossible => return None,
            TagRule::InPrefix => false,
            TagRule::Needed => true,
        };
        if is_tagged {
            // Finds all tags, which takes too long for the first request.
            let _ = tag_of(0);
        }
        Some(Self { is_tagged, ..self })
    }

    /// The literal prefix.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The number of multiples that names may be padded to.
    pub(super) fn pads(&self) -> usize {
        match self.former_pad {
            Some(_) => 2,
            None => 1,
        }
    }

    /// The length of the text of a sealed part of this length, padded to one of these multiples.
    #[inline]
    pub(super) fn text_len(&self, part: usize, index: usize) -> Option<usize> {
        let pad = match index {
            0 => self.pad,
            _ => self.former_pad?,
        };
        text::padded_len(part, usize::from(pad.0))
    }

    /// True if a sealed part of this length can have a text of this length.
    #[inline]
    pub(super) fn has_len(&self, part: usize, text: usize) -> bool {
        self.accepts_all_pads
            || (0..self.pads()).any(|index| self.text_len(part, index) == Some(text))
    }

    /// True if stored names have a tag behind the prefix.
    pub(super) fn is_tagged(&self) -> bool {
        self.is_tagged
    }

    /// The tag of the stored name of the record with this logical name.
    #[inline]
    pub(super) fn tag(&self, name: &[u8]) -> Option<[u8; TAG_LEN]> {
        self.is_tagged.then(|| tag_of(slot(name)))
    }
}
