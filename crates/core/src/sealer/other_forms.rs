//! The other forms in which a value that is found by its bytes may be stored: plain, under an older key, bound to its
//! record where new values are bound to its group, or the other way round. A caller that looks such a value up in its own
//! form must know them.

use std::borrow::Cow;

use waxseal_kinds::Kind;

use super::Sealer;
use super::sealing::Written;
use crate::armor;
use crate::binding::Binding;
use crate::envelope::Shape;
use crate::error::SealError;
use crate::keyring::{Keyring, SharedKeyring};
use crate::options::Mode;

impl Sealer {
    /// True if a value of this kind, which is found by its bytes, may be stored in another form than
    /// [`to_store`](Self::to_store) gives.
    #[must_use]
    pub fn has_other_forms(&self, kind: Kind) -> bool {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        if self.mode.seals() && self.is_in_one_form(ring.as_deref().map(|ring| &**ring), kind) {
            return false;
        }
        let mut keys = ring.iter().flat_map(|ring| ring.all_deterministic());
        match self.mode {
            Mode::Off => keys.next().is_some(),
            Mode::On => true,
            Mode::Required => self.user.is_some() || self.group.is_some() || keys.nth(1).is_some(),
        }
    }

    /// True if the keyring has the members of its records, and these values with them, in one form: the one that is
    /// written in any mode that seals.
    fn is_in_one_form(&self, ring: Option<&Keyring>, kind: Kind) -> bool {
        let (Some(ring), Some(records)) = (ring, &self.records) else {
            return false;
        };
        let known = ring.in_one_form(records);
        known.is_some_and(|known| kind != Kind::ListElement || known.elements)
    }

    /// True if a stored value has the header of the form that is written. `None` if it is of a kind that is not found by
    /// its bytes, or its user was erased, so that nothing is written.
    #[must_use]
    pub fn is_in_written_form(&self, stored: &[u8], binding: Binding<'_>) -> Option<bool> {
        let binding = self.grouped(binding);
        if !self.is_deterministic(binding.kind()) {
            return None;
        }
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        match self.header(ring, Written::Deterministic, &binding) {
            Ok(Some(written)) => {
                let is_armored = stored.starts_with(armor::PREFIX);
                let found = Shape::of_header(stored);
                Some(found == Some(written) && is_armored == self.armored)
            }
            Err(SealError::Erased) => None,
            Ok(None) | Err(_) => Some(false),
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
