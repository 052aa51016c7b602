//! Scripts over records of every kind of store: changes for which a server has no single command. No other client sees
//! a script half done.

/// Writes a record with an expiry: `mode` and `time` of the scripts below.
const SET: &str = "
local function set(name, value, mode, time)
  if mode == 'keep' then redis.call('SET', name, value, 'KEEPTTL')
  elseif mode == 'never' then redis.call('SET', name, value)
  else redis.call('SET', name, value, mode, time) end
end
";

/// Compares the result of a read command with the expected bytes. A record of another type does not
/// match; any other error (a missing right) fails the whole script.
const HOLDS: &str = "
local function holds(expected, ...)
  local held = redis.pcall(...)
  if type(held) ~= 'table' then return held == expected end
  if string.find(held.err, 'WRONGTYPE', 1, true) then return false end
  return redis.call(...) == expected
end
";

/// Replaces each record that still holds the expected bytes, keeping its expiry.
const SWAP_MANY: &str = "
local done = {}
for i, name in ipairs(KEYS) do
  if holds(ARGV[2 * i - 1], 'GET', name) then
    redis.call('SET', name, ARGV[2 * i], 'KEEPTTL')
    done[i] = 1
  else done[i] = 0 end
end
return done
";

/// Replaces a record that still holds the expected bytes, with this expiry.
const SWAP: &str = "
if not holds(ARGV[1], 'GET', KEYS[1]) then return 0 end
set(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
return 1
";

/// Writes a record that does not exist, with this expiry.
const CREATE: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
set(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
";

/// `HSET` removes a field's own expiry, where fields have one (Redis 7.4, Valkey 9). Servers that
/// can keep it (Redis 8, Valkey 9) are asked to; on the others it is restored. A missing right for
/// either fails before anything is written.
const SWAP_FIELD: &str = "
if not holds(ARGV[2], 'HGET', KEYS[1], ARGV[1]) then return 0 end
local function unknown(answer)
  return type(answer) == 'table' and answer.err and
    string.find(answer.err, 'command called from', 1, true)
end
local set = redis.pcall('HSETEX', KEYS[1], 'KEEPTTL', 'FIELDS', 1, ARGV[1], ARGV[3])
if not unknown(set) then return set end
local ends = redis.pcall('HPEXPIRETIME', KEYS[1], 'FIELDS', 1, ARGV[1])
if ends.err and not unknown(ends) then return ends end
local expires = ends[1] and ends[1] > 0
if expires then
  -- On a field that has an end this changes nothing, and fails where it would fail below.
  redis.call('HPEXPIREAT', KEYS[1], ends[1], 'NX', 'FIELDS', 1, ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if expires then
  redis.call('HPEXPIREAT', KEYS[1], ends[1], 'FIELDS', 1, ARGV[1])
end
return 1
";

/// Replaces an element of a list that still holds the expected bytes.
const SWAP_ELEMENT: &str = "
if not holds(ARGV[2], 'LINDEX', KEYS[1], ARGV[1]) then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
return 1
";

/// Deletes a record that still holds the expected bytes.
const DELETE: &str = "
if not holds(ARGV[1], 'GET', KEYS[1]) then return 0 end
return redis.call('DEL', KEYS[1])
";

/// Writes a record under a name that does not exist, and deletes the one that still holds the expected bytes.
const MOVE: &str = "
if not holds(ARGV[1], 'GET', KEYS[1]) then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then return 2 end
local mode, time = ARGV[3], ARGV[4]
if mode == 'keep' then
  mode, time = 'PXAT', redis.pcall('PEXPIRETIME', KEYS[1])
  if type(time) ~= 'number' then mode, time = 'PX', redis.call('PTTL', KEYS[1]) end
  if time < 0 then mode = 'never' end
end
set(KEYS[2], ARGV[2], mode, time)
redis.call('DEL', KEYS[1])
return 1
";

/// Replaces members, each by the one behind it in the arguments. The new one gets the score of the
/// old one; if the record has it already, it keeps its own. The first of the pairs that are replaced
/// shows that everything is permitted before anything is changed: the old member is added, which it
/// is already, and the new one is removed, which it is not.
pub const SWAP_MEMBERS: &str = "
local name, kind, done, checked = KEYS[1], redis.call('TYPE', KEYS[1]).ok, {}, false
for i = 1, #ARGV / 2 do
  local old, new, score = ARGV[2 * i - 1], ARGV[2 * i], nil
  done[i] = 0
  if kind == 'set' and redis.call('SISMEMBER', name, old) == 1 then
    if redis.call('SISMEMBER', name, new) == 0 then
      if not checked then
        redis.call('SADD', name, old)
        redis.call('SREM', name, new)
        checked = true
      end
      redis.call('SADD', name, new)
    end
    if old ~= new then redis.call('SREM', name, old) end
    done[i] = 1
  elseif kind == 'zset' then score = redis.call('ZSCORE', name, old) end
  if score then
    if not redis.call('ZSCORE', name, new) then
      if not checked then
        redis.call('ZADD', name, 'XX', score, old)
        redis.call('ZREM', name, new)
        checked = true
      end
      redis.call('ZADD', name, score, new)
    end
    if old ~= new then redis.call('ZREM', name, old) end
    done[i] = 1
  end
end
return done
";

/// Needs only the right to run scripts, and no record.
pub const PROBE: &str = "return 'waxseal'";

/// Replaces each record that still holds the expected bytes, keeping its expiry.
#[must_use]
pub fn swap_many() -> String {
    [HOLDS, SWAP_MANY].concat()
}

/// Replaces a record that still holds the expected bytes.
#[must_use]
pub fn swap() -> String {
    [HOLDS, SET, SWAP].concat()
}

/// Writes a record that does not exist.
#[must_use]
pub fn create() -> String {
    [SET, CREATE].concat()
}

/// Replaces a field that still holds the expected bytes, keeping its expiry.
#[must_use]
pub fn swap_field() -> String {
    [HOLDS, SWAP_FIELD].concat()
}

/// Replaces an element of a list that still holds the expected bytes.
#[must_use]
pub fn swap_element() -> String {
    [HOLDS, SWAP_ELEMENT].concat()
}

/// Deletes a record that still holds the expected bytes.
#[must_use]
pub fn delete() -> String {
    [HOLDS, DELETE].concat()
}

/// Moves a record that still holds the expected bytes to a name that does not exist.
#[must_use]
pub fn transfer() -> String {
    [HOLDS, SET, MOVE].concat()
}
