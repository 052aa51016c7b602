//! The other forms in which a value that is found by its bytes may be stored: plain, under an older key, bound to its
//! record where new values are bound to its group, or the other way round. A caller that looks such a value up in its own
//! form must know them.

use std::borrow::Cow;

use super::Sealer;
use crate::binding::Binding;
use crate::envelope::Shape;
use crate::error::SealError;
use crate::keyring::SharedKeyring;
use crate::options::Mode;

impl Sealer {
    /// True if a value that is found by its bytes may be stored in another form than [`to_store`](Self::to_store) gives.
    #[must_use]
    pub fn has_other_forms(&self) -> bool {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let mut keys = ring.iter().flat_map(|ring| ring.all_deterministic());
        match self.mode {
            Mode::Off => keys.next().is_some(),
            Mode::On => true,
            Mode::Required => self.user.is_some() || self.group.is_some() || keys.nth(1).is_some(),
        }
    }

    /// The forms of a value that is found by its bytes, but the one that [`to_store`](Self::to_store) gives: of equal
    /// bindings each value has the same number, but for one that is a deterministic envelope itself.
    ///
    /// That one is never stored in plaintext: bytes that look like it are a sealed member, which must not be taken for the
    /// value.
    pub fn other_forms<'v>(
        &self,
        value: &'v [u8],
        binding: Binding<'_>,
    ) -> Result<Vec<Cow<'v, [u8]>>, SealError> {
        let sealed = match self.deterministic_forms(value, binding) {
            // Nothing can have been sealed.
            Err(
                SealError::NoKey | SealError::NeedsFormat2 { .. } | SealError::NeedsVersion3 { .. },
            ) if !self.mode.seals() => {
                return Ok(Vec::new());
            }
            sealed => sealed?,
        };
        // Bound to the record instead of the group, or to the group instead of the record.
        let otherwise_bound = match &self.group {
            Some(group) => {
                let binding = binding.in_group(group.id(), !group.seals());
                self.deterministic_forms(value, binding)?
            }
            None => Vec::new(),
        };
        let written = usize::from(self.mode.seals());
        let is_envelope = Shape::of_header(value).is_some_and(|it| it.flags.deterministic());
        let sealed = sealed.into_iter().skip(written).chain(otherwise_bound);
        let mut forms: Vec<Cow<'v, [u8]>> = sealed.map(Cow::Owned).collect();
        if self.mode == Mode::On && !is_envelope {
            forms.push(Cow::Borrowed(value));
        }
        Ok(forms)
    }
}
