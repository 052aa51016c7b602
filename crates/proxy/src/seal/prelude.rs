//! The prelude of a request that names members: a record never holds one member twice, so before the server looks one up
//! in the form that is written here, it gives the member that form, if it holds it in another one.

use std::borrow::Cow;

use smallvec::SmallVec;
use waxseal_core::Sealer;
use waxseal_policy::ValueSlot;

use super::{Request, SealingKeys, SendError};
use crate::location::{ValueKind, binding};
use crate::pending::names_of;
use crate::protection::Protection;

/// True if the server compares these values with those that it holds.
pub(crate) fn are_compared(command: &str, slots: &[ValueSlot]) -> bool {
    slots.first().is_some_and(|slot| {
        slot.location.kind == ValueKind::Member || matches!(command, "lrem" | "lpos" | "linsert")
    })
}

impl Request<'_> {
    /// Appends the request that gives these values the form that is written. Returns false if there is no other form,
    /// and nothing was appended. On an error nothing was appended.
    pub(crate) fn send_prelude(
        &self,
        slots: &[ValueSlot],
        protection: &Protection,
        keys: &SealingKeys,
        out: &mut Vec<u8>,
    ) -> Result<bool, SendError> {
        let mut forms: Vec<Cow<'_, [u8]>> = Vec::new();
        let mut step = 0;
        let mut kind = "set";
        for slot in slots {
            // Of excepted names nothing is sealed any more.
            let sealer = protection.sealer(slot.location.pattern);
            let sealer = sealer.filter(|_| !slot.location.pattern.is_excepted());
            let Some(sealer) = sealer else {
                return Ok(false);
            };
            let of_user: Sealer;
            let sealer = match keys.get(slot.argument) {
                Some(key) => {
                    of_user = sealer.clone().for_user(key.clone());
                    &of_user
                }
                None => sealer,
            };
            let (pattern, of_kind) = (slot.location.pattern, slot.location.kind);
            if !protection.has_other_forms(sealer, pattern, of_kind) {
                return Ok(false);
            }
            let value = self.arguments.get(slot.argument).copied();
            let value = value.unwrap_or_default();
            let binding = binding(slot.location.resolve(self.arguments));
            let others = sealer.other_forms(value, binding)?;
            if others.is_empty() {
                return Ok(false);
            }
            step = others.len().saturating_add(1);
            if slot.location.kind == ValueKind::ListElement {
                kind = "list";
            }
            forms.push(sealer.to_store(value, binding)?);
            forms.extend(others);
        }
        let mut names: SmallVec<[&[u8]; 2]> = names_of(self.arguments).collect();
        names.dedup();
        let step = step.to_string();
        let forms = forms.iter().map(|form| &**form);
        let arguments = [kind.as_bytes(), step.as_bytes()].into_iter();
        let arguments: Vec<&[u8]> = arguments.chain(forms).collect();
        waxseal_lua::write_eval(out, waxseal_lua::GIVE_FORM, &names, &arguments);
        Ok(true)
    }
}
