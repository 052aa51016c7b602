//! The prelude of a request that names members: a record never holds one member twice, so before the server looks one up
//! in the form that is written here, it gives the member that form, if it holds it in another one.

use std::borrow::Cow;

use smallvec::SmallVec;
use waxseal_core::Sealer;
use waxseal_lua::{GIVE_FORM, RUN_WITH_FORM, write_eval};
use waxseal_policy::ValueSlot;

use super::{Request, SealingKeys, SendError};
use crate::location::{ValueKind, binding};
use crate::pending::places_of_names;
use crate::protection::Protection;

/// The number of members of one request that are given the written form at most: for so long a script holds up the server.
const MAX_MEMBERS: usize = 100_000;

/// The number of forms of the members of one request at most, with which it stays below the number of arguments that servers
/// before Redis 7.0 accept.
const MAX_FORMS: usize = 800_000;

/// True if the server compares these values with those that it holds.
pub(crate) fn are_compared(command: &str, slots: &[ValueSlot]) -> bool {
    slots.first().is_some_and(|slot| {
        slot.location.kind == ValueKind::Member || matches!(command, "lrem" | "lpos" | "linsert")
    })
}

/// Members in every form that they may be stored in.
pub(crate) struct MemberForms<'a> {
    /// The records that the request names.
    names: SmallVec<[&'a [u8]; 2]>,
    /// `list` for elements, else `set`.
    kind: &'static str,
    /// The forms of each. While keys are replaced, not all have as many.
    members: Vec<FormsOfOne<'a>>,
}

/// The forms of one member.
struct FormsOfOne<'a> {
    written: Cow<'a, [u8]>,
    others: Vec<Cow<'a, [u8]>>,
}

impl MemberForms<'_> {
    /// Appends the request that gives these members the form that is written.
    pub(crate) fn write_prelude(&self, out: &mut Vec<u8>) {
        self.write(GIVE_FORM, &[], out);
    }

    /// Appends the request that does so, and then runs this command. `head` words of it are followed by words that repeat, in
    /// groups of `unit`.
    pub(crate) fn write_command(
        &self,
        words: &[&[u8]],
        (head, unit): (usize, usize),
        is_resp3: bool,
        out: &mut Vec<u8>,
    ) {
        let (head, unit) = (head.to_string(), unit.to_string());
        let protocol: &[u8] = if is_resp3 { b"3" } else { b"2" };
        let before = [protocol, head.as_bytes(), unit.as_bytes()];
        let behind: Vec<&[u8]> = before.iter().chain(words).copied().collect();
        self.write(RUN_WITH_FORM, &behind, out);
    }

    /// True if these arguments of a request are the forms that are written. While keys are replaced, they can be others.
    pub(crate) fn are_in(&self, words: &[&[u8]], slots: &[ValueSlot]) -> bool {
        let written = self.members.iter().map(|member| &*member.written);
        slots
            .iter()
            .zip(written)
            .all(|(slot, written)| words.get(slot.argument).copied() == Some(written))
    }

    fn write(&self, script: &str, behind: &[&[u8]], out: &mut Vec<u8>) {
        let numbers = self.members.iter();
        let numbers = numbers.map(|member| member.others.len().saturating_add(1).to_string());
        let numbers: Vec<String> = numbers.collect();
        let mut forms: Vec<&[u8]> = Vec::new();
        for (member, number) in self.members.iter().zip(&numbers) {
            forms.extend([number.as_bytes(), &member.written]);
            forms.extend(member.others.iter().map(|form| &**form));
        }
        let count = forms.len().to_string();
        let before = [self.kind.as_bytes(), count.as_bytes()];
        let arguments = before
            .into_iter()
            .chain(forms)
            .chain(behind.iter().copied());
        let arguments: Vec<&[u8]> = arguments.collect();
        write_eval(out, script, &self.names, &arguments);
    }
}

impl<'a> Request<'a> {
    /// The forms of the members that these values are. `None` if there is no other form.
    pub(crate) fn member_forms(
        &self,
        slots: &[ValueSlot],
        protection: &Protection,
        keys: &SealingKeys,
    ) -> Result<Option<MemberForms<'a>>, SendError> {
        let mut members = Vec::with_capacity(slots.len());
        let mut kind = "set";
        for slot in slots {
            // Of excepted names nothing is sealed any more.
            let sealer = protection.sealer(slot.location.pattern);
            let sealer = sealer.filter(|_| !slot.location.pattern.is_excepted());
            let Some(sealer) = sealer else {
                return Ok(None);
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
                return Ok(None);
            }
            let value = self.arguments.get(slot.argument).copied();
            let value = value.unwrap_or_default();
            let binding = binding(slot.location.resolve(self.arguments));
            let others = sealer.other_forms(value, binding)?;
            // Each takes its forms, and their number.
            let max = MAX_FORMS.checked_div(others.len().saturating_add(2));
            let max = max.map_or(MAX_MEMBERS, |max| max.min(MAX_MEMBERS));
            if slots.len() > max && !others.is_empty() {
                return Err(SendError::TooManyMembers { max });
            }
            if slot.location.kind == ValueKind::ListElement {
                kind = "list";
            }
            let written = sealer.to_store(value, binding)?;
            members.push(FormsOfOne { written, others });
        }
        if members.iter().all(|member| member.others.is_empty()) {
            return Ok(None);
        }
        let mut names: SmallVec<[&[u8]; 2]> = places_of_names(self.arguments)
            .map(|at| self.wire(at))
            .collect();
        names.dedup();
        Ok(Some(MemberForms {
            names,
            kind,
            members,
        }))
    }
}

#[cfg(test)]
mod tests {
    use waxseal_resp::{RequestLimits, RequestScanner};

    use super::*;

    #[test]
    fn each_member_has_its_own_number_of_forms() {
        let one = |written: &'static str, others: &[&'static str]| FormsOfOne {
            written: written.as_bytes().into(),
            others: others.iter().map(|form| form.as_bytes().into()).collect(),
        };
        let forms = MemberForms {
            names: [&b"name"[..]].into_iter().collect(),
            kind: "set",
            members: vec![one("A", &["a"]), one("B", &["b", "b2"]), one("C", &[])],
        };
        let mut out = Vec::new();
        forms.write_prelude(&mut out);
        let mut scanner = RequestScanner::new(RequestLimits::default());
        scanner.scan(&out).unwrap();
        let words = scanner.arguments(&out);
        let words: Vec<_> = words.iter().map(|it| String::from_utf8_lossy(it)).collect();
        let expected = [
            "1", "name", "set", "9", "2", "A", "a", "3", "B", "b", "b2", "1", "C",
        ];
        assert_eq!(words[2..], expected);
    }
}
