//! The scripts by which the proxy moves values to a name that they are not bound to: they are read, opened, sealed for
//! the other name, and written there in the same step in which the server moves them, if they are still the ones that
//! were read.
//!
//! An error of a command is answered as it is, and not as one of a script.

/// Reads the whole record `KEYS[1]`. The answer is its type and an array of its parts:
///
/// | type | parts |
/// |---|---|
/// | `string` | the value |
/// | `hash` | field, value, field, value |
/// | `list` | the elements, from the head |
/// | `set` | the members |
/// | `zset` | the members, by score |
/// | any other | none |
pub const READ_RECORD: &str = "\
local kind = redis.pcall('TYPE', KEYS[1])
if kind.err then return kind end
local reads = {string = {'GET'}, hash = {'HGETALL'}, list = {'LRANGE', 0, -1}, set = {'SMEMBERS'}, zset = {'ZRANGE', 0, -1}}
local read = reads[kind.ok]
if not read then return {kind.ok, {}} end
local parts = redis.pcall(read[1], KEYS[1], unpack(read, 2))
if type(parts) == 'table' and parts.err then return parts end
if type(parts) ~= 'table' then parts = {parts} end
return {kind.ok, parts}";

/// Moves or copies the record `KEYS[1]` to `KEYS[2]` with other values. The arguments are:
///
/// 1. `RENAME`, `RENAMENX`, `COPY`, or `REPLACE` for a `COPY` that replaces
/// 2. the type that was read; `none` if there was no such record
/// 3. `1` if fields of this server may have lifetimes, which they keep
/// 4. the number of values that were read
/// 5. for each value the one that was read and the new one; before them the field, in a hash
///
/// The answer is null if the record is not the one that was read, and nothing was changed then; else an array of the
/// command's reply.
pub const MOVE_RECORD: &str = "\
local from, to, kind, count = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[4])
local has_fields = kind == 'hash'
local step = has_fields and 3 or 2
local failed
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then failed = failed or answer end
  return answer
end
local function each(visit)
  for i = 0, count - 1 do
    local at = 5 + i * step
    local field = has_fields and ARGV[at] or nil
    if has_fields then at = at + 1 end
    if not visit(ARGV[at], ARGV[at + 1], field, i) then return false end
  end
  return true
end
local found = ask('TYPE', from)
if failed then return failed end
if found.ok ~= kind then return false end
local function move()
  if ARGV[1] == 'REPLACE' then return ask('COPY', from, to, 'REPLACE') end
  return ask(ARGV[1], from, to)
end
if kind == 'none' then
  local done = move()
  return failed or {done}
end
local lengths = {string = 'EXISTS', hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD'}
if ask(lengths[kind], from) ~= count then return failed or false end
local elements = kind == 'list' and ask('LRANGE', from, 0, -1)
local same = each(function(old, _, field, i)
  if kind == 'string' then return ask('GET', from) == old end
  if kind == 'hash' then return ask('HGET', from, field) == old end
  if kind == 'list' then return elements[i + 1] == old end
  if kind == 'set' then return ask('SISMEMBER', from, old) == 1 end
  return ask('ZSCORE', from, old) ~= false
end)
if failed then return failed end
if not same then return false end
local function put(name, old, new, field, i)
  if kind == 'string' then ask('SET', name, new, 'KEEPTTL')
  elseif kind == 'list' then ask('LSET', name, i, new)
  elseif kind == 'hash' then
    local ends = ARGV[3] == '1' and ask('HPEXPIRETIME', name, 'FIELDS', 1, field)
    if failed then return end
    ends = ends and ends[1]
    -- On a field that has an end this changes nothing, and fails where it would fail below.
    if ends and ends > 0 then ask('HPEXPIREAT', name, ends, 'NX', 'FIELDS', 1, field) end
    if failed then return end
    ask('HSET', name, field, new)
    if ends and ends > 0 then ask('HPEXPIREAT', name, ends, 'FIELDS', 1, field) end
  elseif kind == 'set' then
    ask('SADD', name, new)
    if old ~= new then ask('SREM', name, old) end
  else
    local score = ask('ZSCORE', name, old)
    if failed then return end
    -- Of a member in two forms, the one that is visited first keeps its score.
    if old == new then ask('ZADD', name, score, new)
    else
      ask('ZADD', name, 'NX', score, new)
      ask('ZREM', name, old)
    end
  end
end
if (ARGV[1] == 'RENAMENX' or ARGV[1] == 'COPY') and ask('EXISTS', to) == 1 then return failed or {0} end
-- What the user may not do fails here, before anything has changed.
if kind == 'hash' and ARGV[3] == '1' then
  each(function(_, _, field)
    local ends = ask('HPEXPIRETIME', from, 'FIELDS', 1, field)
    ends = not failed and ends[1]
    if ends and ends > 0 then ask('HPEXPIREAT', from, ends, 'NX', 'FIELDS', 1, field) end
    return not failed and not (ends and ends > 0)
  end)
  if failed then return failed end
end
each(function(old, _, field, i)
  put(from, old, old, field, i)
  local absent = 'x'
  if kind == 'set' then
    while ask('SISMEMBER', from, absent) == 1 do absent = absent .. 'x' end
    ask('SREM', from, absent)
  elseif kind == 'zset' then
    while not failed and ask('ZSCORE', from, absent) do absent = absent .. 'x' end
    ask('ZREM', from, absent)
  end
  return false
end)
if failed then return failed end
local done = move()
if failed then return failed end
if done == 0 then return {done} end
each(function(old, new, field, i)
  put(to, old, new, field, i)
  return true
end)
return failed or {done}";

/// Moves an element from the list `KEYS[1]` to the list `KEYS[2]` with another value. The arguments are:
///
/// 1. `LEFT` or `RIGHT`: the end that it is taken from
/// 2. `LEFT` or `RIGHT`: the end that it is put to
/// 3. the element that was read
/// 4. the new one
///
/// The answer is 1, or null if another element is there, and nothing was changed then.
pub const MOVE_ELEMENT: &str = "\
local held = redis.pcall('LINDEX', KEYS[1], ARGV[1] == 'LEFT' and 0 or -1)
if type(held) == 'table' then return held end
if held ~= ARGV[3] then return false end
-- What the user may not do fails here, before anything has changed.
local done = redis.pcall('LSET', KEYS[1], ARGV[1] == 'LEFT' and 0 or -1, held)
if done.err then return done end
done = redis.pcall('LMOVE', KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if type(done) == 'table' then return done end
done = redis.pcall('LSET', KEYS[2], ARGV[2] == 'LEFT' and 0 or -1, ARGV[4])
if done.err then return done end
return 1";
