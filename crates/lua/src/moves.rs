//! The scripts by which the proxy moves values to a name that they are not bound to: they are read, opened, sealed for
//! the other name, and written there in the same step in which the server moves them, if each is one of those whose new
//! form is known.
//!
//! An error of a command is answered as it is, and not as one of a script.

/// Reads the whole record `KEYS[1]`, if it has no more values than `ARGV[1]` and no more bytes than `ARGV[2]`. The answer is
/// its type and an array of its parts:
///
/// | type | parts |
/// |---|---|
/// | `string` | the value |
/// | `hash` | field, value, field, value |
/// | `list` | the elements, from the head |
/// | `set` | the members |
/// | `zset` | the members, by score |
/// | any other | none |
///
/// If it is larger, the answer is [`LARGE`] and an empty array: it is read in parts, and no further than that.
pub const READ_RECORD: &str = "\
local key, most, bytes = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local failed
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then failed = failed or answer end
  return answer
end
local large = {'large', {}}
local kind = ask('TYPE', key)
if failed then return failed end
kind = kind.ok
local sizes = {string = 'STRLEN', hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD'}
if not sizes[kind] then return {kind, {}} end
local size = ask(sizes[kind], key)
if failed then return failed end
if size > (kind == 'string' and bytes or most) then return large end
if kind == 'string' then
  local value = ask('GET', key)
  return failed or {kind, {value}}
end
local page = 100
local parts, total = {}, 0
local function add(more)
  for _, part in ipairs(more) do
    parts[#parts + 1] = part
    total = total + #part + 16
  end
  return total > bytes
end
if kind == 'list' or kind == 'zset' then
  for start = 0, size - 1, page do
    local more = ask(kind == 'list' and 'LRANGE' or 'ZRANGE', key, start, start + page - 1)
    if failed then return failed end
    if add(more) then return large end
  end
else
  local cursor = '0'
  repeat
    local answer = ask(kind == 'hash' and 'HSCAN' or 'SSCAN', key, cursor, 'COUNT', page)
    if failed then return failed end
    cursor = answer[1]
    if add(answer[2]) then return large end
  until cursor == '0'
end
return {kind, parts}";

/// The word in place of the type of a record that is too large to be read.
pub const LARGE: &str = "large";

/// Moves or copies the record `KEYS[1]` to `KEYS[2]` with other values. The arguments are:
///
/// 1. `RENAME`, `RENAMENX`, `COPY`, or `REPLACE` for a `COPY` that replaces
/// 2. `1` if fields of this server may have lifetimes, which they keep
/// 3. for each kind of values that the record may have: `string`, `hash`, `list`, or `set` for sets and sorted sets; their
///    number; for each of them the stored value and the new one, before them the field in a hash
///
/// There may be values that the record does not have. Of a member in two forms, the one that is named first keeps its
/// score.
///
/// The answer is null if the record has any other value, and nothing was changed then; else an array of the command's
/// reply.
pub const MOVE_RECORD: &str = "\
local from, to, lifetimes = KEYS[1], KEYS[2], ARGV[2] == '1'
local failed
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then failed = failed or answer end
  return answer
end
local function move()
  if ARGV[1] == 'REPLACE' then return ask('COPY', from, to, 'REPLACE') end
  return ask(ARGV[1], from, to)
end
local kind = ask('TYPE', from)
if failed then return failed end
kind = kind.ok
if kind == 'none' then
  local done = move()
  return failed or {done}
end
local has_fields = kind == 'hash'
local group, step = kind == 'zset' and 'set' or kind, has_fields and 3 or 2
local first, count
local at = 3
while ARGV[at] do
  local number = tonumber(ARGV[at + 1])
  if ARGV[at] == group then first, count = at + 2, number end
  at = at + 2 + number * (ARGV[at] == 'hash' and 3 or 2)
end
if not first then return false end
-- The place of each value among the arguments, in a hash by field.
local places = {}
for i = count - 1, 0, -1 do
  local at = first + i * step
  local of = places
  if has_fields then
    of = places[ARGV[at]] or {}
    places[ARGV[at]] = of
    at = at + 1
  end
  of[ARGV[at]] = at
end
local values = {}
local function take(held)
  for i = 1, #held, has_fields and 2 or 1 do
    local field = has_fields and held[i]
    local of = places
    if field then of = places[field] or {} end
    local old = field and held[i + 1] or held[i]
    local at = of[old]
    if not at then return false end
    values[#values + 1] = {at = at, old = old, new = ARGV[at + 1], field = field}
  end
  return true
end
if kind == 'list' then
  -- A list that has become long is not read further than its first other element.
  local start, page = 0, 100
  repeat
    local held = ask('LRANGE', from, start, start + page - 1)
    if failed then return failed end
    if not take(held) then return false end
    start = start + page
  until #held < page
else
  local reads = {string = {'GET'}, hash = {'HGETALL'}, set = {'SMEMBERS'}, zset = {'ZRANGE', 0, -1}}
  local sizes = {hash = 'HLEN', set = 'SCARD', zset = 'ZCARD'}
  local size = sizes[kind] and ask(sizes[kind], from)
  if failed then return failed end
  if size and size > count then return false end
  local held = ask(reads[kind][1], from, unpack(reads[kind], 2))
  if failed then return failed end
  if kind == 'string' then held = {held} end
  if not take(held) then return false end
end
if kind == 'zset' then table.sort(values, function(a, b) return a.at < b.at end) end
local function put(value)
  local old, new, field = value.old, value.new, value.field
  if kind == 'string' then ask('SET', to, new, 'KEEPTTL')
  elseif kind == 'hash' then
    local ends = lifetimes and ask('HPEXPIRETIME', to, 'FIELDS', 1, field)
    if failed then return end
    ends = ends and ends[1]
    ask('HSET', to, field, new)
    if ends and ends > 0 then ask('HPEXPIREAT', to, ends, 'FIELDS', 1, field) end
  elseif kind == 'set' then
    ask('SADD', to, new)
    if old ~= new then ask('SREM', to, old) end
  else
    local score = ask('ZSCORE', to, old)
    if failed then return end
    if old == new then ask('ZADD', to, score, new)
    else
      ask('ZADD', to, 'NX', score, new)
      ask('ZREM', to, old)
    end
  end
end
if (ARGV[1] == 'RENAMENX' or ARGV[1] == 'COPY') and ask('EXISTS', to) == 1 then return failed or {0} end
-- What the user may not do, and what a full server refuses, fails here: before anything has changed, also for a client
-- that watches the source. Before Redis 7.0 rights are told by requests alone, which change nothing.
local tells_rights = redis.acl_check_cmd
local function may(command, ...)
  if not failed and not redis.acl_check_cmd(command, to, ...) then ask(command, to, ...) end
end
local function probe(command, ...)
  local answer = redis.pcall(command, from, ...)
  local text = type(answer) == 'table' and answer.err
  -- What is permitted fails so, if it fails.
  if not text or string.find(text, 'out of range', 1, true) or string.find(text, 'wrong number', 1, true) then return end
  failed = failed or answer
end
local held, absent = values[1].old, 'x'
if not tells_rights then
  while kind == 'set' and ask('SISMEMBER', from, absent) == 1 or kind == 'zset' and not failed and ask('ZSCORE', from, absent) do
    absent = absent .. 'x'
  end
  if failed then return failed end
end
-- Of each type, the first also fails on a full server, where RENAME does not.
local probes = {
  string = {{'SET', '', 'NX'}},
  list = {{'LSET', 2147483647, ''}, {'LTRIM', '', ''}},
  hash = {{'HSET', '', '', ''}},
  set = {{'SADD', held}, {'SREM', absent}},
  zset = {{'ZADD', 'NX', 0, held}, {'ZREM', absent}},
}
local needs = {
  string = {{'SET', ''}},
  list = {{'RPUSH', ''}, {'LTRIM', 0, -1}},
  hash = {{'HSET', '', ''}},
  set = {{'SADD', ''}, {'SREM', ''}},
  zset = {{'ZSCORE', ''}, {'ZADD', 0, ''}, {'ZREM', ''}},
}
if tells_rights then
  for _, request in ipairs(needs[kind]) do may(unpack(request)) end
  if ARGV[1] == 'RENAME' or ARGV[1] == 'RENAMENX' then probe(unpack(probes[kind][1])) end
else
  for _, request in ipairs(probes[kind]) do probe(unpack(request)) end
  -- For this one there is none that changes nothing.
  if kind == 'list' and not failed then ask('RPUSH', from, held) end
  if kind == 'list' and not failed then ask('LTRIM', from, 0, -2) end
end
if has_fields and lifetimes then
  if tells_rights then may('HPEXPIRETIME', 'FIELDS', 1, held) end
  if failed then return failed end
  for _, value in ipairs(values) do
    local ends = ask('HPEXPIRETIME', from, 'FIELDS', 1, value.field)
    ends = not failed and ends[1]
    if ends and ends > 0 then
      -- On a field that has an end, this changes nothing either.
      if tells_rights then may('HPEXPIREAT', ends, 'FIELDS', 1, value.field)
      else ask('HPEXPIREAT', from, ends, 'NX', 'FIELDS', 1, value.field) end
    end
    if failed then return failed end
    if ends and ends > 0 then break end
  end
end
if failed then return failed end
local done = move()
if failed then return failed end
if done == 0 then return {done} end
if kind == 'list' then
  -- By index, each would be looked for. The list is never empty, so that it keeps its lifetime.
  for start = 1, #values, 1000 do
    local more = {}
    for i = start, math.min(start + 999, #values) do more[#more + 1] = values[i].new end
    ask('RPUSH', to, unpack(more))
    if failed then return failed end
    ask('LTRIM', to, #more, -1)
    if failed then return failed end
  end
  return {done}
end
for _, value in ipairs(values) do put(value) end
return failed or {done}";

/// Moves an element from the list `KEYS[1]` to the list `KEYS[2]` with another value. The arguments are:
///
/// 1. `LEFT` or `RIGHT`: the end that it is taken from
/// 2. `LEFT` or `RIGHT`: the end that it is put to
/// 3. for each element that may be there: the element as it is stored, and the new one
///
/// The answer is null if another element is there, and nothing was changed then; else an array of the element as it was
/// stored, or of null if there is none.
pub const MOVE_ELEMENT: &str = "\
local held = redis.pcall('LINDEX', KEYS[1], ARGV[1] == 'LEFT' and 0 or -1)
if type(held) == 'table' then return held end
if not held then return {false} end
local new
for at = 3, #ARGV, 2 do
  if ARGV[at] == held then
    new = ARGV[at + 1]
    break
  end
end
if not new then return false end
-- What the user may not do fails here: before anything has changed, also for a client that watches the source. Before
-- Redis 7.0 that is told by a request that changes nothing.
local done
if not redis.acl_check_cmd then
  done = redis.pcall('LSET', KEYS[1], 2147483647, '')
  if not string.find(done.err, 'out of range', 1, true) then return done end
elseif not redis.acl_check_cmd('LSET', KEYS[2], 0, new) then
  return redis.pcall('LSET', KEYS[2], 0, new)
end
done = redis.pcall('LMOVE', KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if type(done) == 'table' then return done end
done = redis.pcall('LSET', KEYS[2], ARGV[2] == 'LEFT' and 0 or -1, new)
if done.err then return done end
return {held}";
