//! Resealing: stored bytes as the sealer would write them now.

use super::sealing::Written;
use super::{Form, ResealOutcome, Sealer};
use crate::binding::Binding;
use crate::envelope::{Flags, Header, Shape};
use crate::error::{ResealError, SealError};
use crate::keyring::{Keyring, SharedKeyring};
use crate::version::EnvelopeVersion;

impl Sealer {
    /// Opens stored bytes and, unless they are already as this sealer would write them, seals the value again. A value in
    /// the sealed format keeps it, and what the format of version 2 cannot express stays in version 3: an envelope never
    /// loses its binding.
    pub fn reseal(
        &self,
        stored: &[u8],
        binding: Binding<'_>,
    ) -> Result<ResealOutcome, ResealError> {
        let binding = self.grouped(binding);
        let Some(opened) = self.open(stored, binding)? else {
            return Ok(ResealOutcome::Current);
        };
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        let rules = self.rules_under(ring);
        let seal = |written: Written, armored, binding: Binding<'_>| {
            self.check_written(ring, written, binding.kind())?;
            self.seal_as(ring, written, armored, &opened.value, &binding)
                .map(ResealOutcome::Replaced)
                .map_err(ResealError::Seal)
        };
        if let (Some(header), Form::Sealed { armored, .. }) =
            (Shape::of_header(stored), opened.form)
        {
            let (written, binding) = self.successor(ring, header, binding);
            let will_be_armored = armored || self.armored;
            if armored == will_be_armored && self.header(ring, written, &binding)? == Some(header) {
                return Ok(ResealOutcome::Current);
            }
            return seal(written, will_be_armored, binding);
        }
        let is_current = self.user.is_none()
            && matches!(self.written(rules, binding.kind()), Written::Classic)
            && matches!(opened.form, Form::Classic { .. })
            && opened.form.key() == ring.map(Keyring::sealing_id);
        if is_current {
            return Ok(ResealOutcome::Current);
        }
        let written = self.written(rules, binding.kind());
        seal(written, self.armored, binding)
    }

    /// The form and the binding of the successor of an envelope with this header.
    fn successor<'b>(
        &self,
        ring: Option<&Keyring>,
        header: Header,
        binding: Binding<'b>,
    ) -> (Written, Binding<'b>) {
        use EnvelopeVersion::{V2, V3};
        if header.flags.deterministic() || self.is_deterministic(binding.kind()) {
            return (Written::Deterministic, binding);
        }
        match (self.rules_under(ring).write, header.version) {
            // An unbound envelope has no successor in version 3.
            (V3, V2) if binding.flags(V3).is_err() => (Written::Random(V2), binding),
            (V3, _) => (Written::Random(V3), binding),
            (V2, V3) if binding.flags(V2).is_err() => (Written::Random(V3), binding),
            (V2, V3) => (Written::Random(V2), binding),
            (V2, V2) => (Written::Random(V2), binding.sealing_to_record()),
        }
    }

    /// The header of a new envelope in this form, or `None` if there is no key for it.
    pub(super) fn header(
        &self,
        ring: Option<&Keyring>,
        written: Written,
        binding: &Binding<'_>,
    ) -> Result<Option<Header>, SealError> {
        let sealing_id = match &self.user {
            Some(user) => user.id(),
            None => ring.map(Keyring::sealing_id),
        };
        let (version, key, flags) = match written {
            Written::Classic => return Ok(None),
            Written::Random(version) => (version, sealing_id, binding.flags(version)?),
            Written::Deterministic => {
                let key = self.deterministic_id(ring, binding)?;
                let flags = binding.flags(EnvelopeVersion::V3)?.deterministically();
                (EnvelopeVersion::V3, Some(key), flags)
            }
        };
        let flags = match self.user {
            Some(_) => Flags::with_user_key(flags),
            None => flags,
        };
        Ok(key.map(|key| Header {
            version,
            flags,
            key,
        }))
    }
}
