//! The prelude of a request that names members: a record never holds one member twice, so before the server looks one up
//! in the form that is written here, it gives the member that form, if it holds it in another one.

use std::borrow::Cow;

use smallvec::SmallVec;
use waxseal_core::Sealer;
use waxseal_policy::ValueSlot;
use waxseal_resp::{write_bulk, write_request_head};

use super::{Request, SealingKeys, SendError};
use crate::location::{ValueKind, binding};
use crate::pending::names_of;
use crate::protection::Protection;

/// Gives members the form that is written. `ARGV[1]` is the number of forms of each member; the forms of one member
/// follow one another, the written one first. That form is added before the other one is removed, so that the record
/// keeps its lifetime.
const SCRIPT: &str = "\
local step = tonumber(ARGV[1])
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  for first = 2, #ARGV, step do
    local mine = ARGV[first]
    for at = first + 1, first + step - 1 do
      local other = ARGV[at]
      if kind == 'set' and redis.call('SISMEMBER', key, other) == 1 then
        redis.call('SADD', key, mine)
        redis.call('SREM', key, other)
      elseif kind == 'zset' then
        local score = redis.call('ZSCORE', key, other)
        if score then
          redis.call('ZADD', key, 'NX', score, mine)
          redis.call('ZREM', key, other)
        end
      elseif kind == 'list' then
        local place = redis.call('LPOS', key, other)
        while place do
          redis.call('LSET', key, place, mine)
          place = redis.call('LPOS', key, other)
        end
      end
    end
  end
end
return 0";

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
            if !sealer.has_other_forms() {
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
            forms.push(sealer.to_store(value, binding)?);
            forms.extend(others);
        }
        let mut names: SmallVec<[&[u8]; 2]> = names_of(self.arguments).collect();
        names.dedup();
        let total = names.len().saturating_add(forms.len()).saturating_add(4);
        write_request_head(out, total);
        write_bulk(out, b"EVAL");
        write_bulk(out, SCRIPT.as_bytes());
        write_bulk(out, names.len().to_string().as_bytes());
        names.iter().for_each(|name| write_bulk(out, name));
        write_bulk(out, step.to_string().as_bytes());
        forms.iter().for_each(|form| write_bulk(out, form));
        Ok(true)
    }
}
