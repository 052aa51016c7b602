//! The scripts by which the proxy sorts a record: it is read with what other records hold for it, and a result is stored
//! only if everything that it depends on is still as it was read.
//!
//! What was read is told by a digest, so that it does not have to be sent back. The server's own `SORT` reads the elements
//! and deletes the destination: anyone who may sort may do both.
//!
//! An error of a command is answered as it is, and not as one of a script.

/// Reads the record `KEYS[1]`, and then so many lookups as are known, which are compared. The arguments of both scripts
/// begin with:
///
/// 1. `SORT` or `SORT_RO`
/// 2. the digest of what was read; empty if nothing was
/// 3. the number of lookups in it
/// 4. for each lookup, whose record is the next of `KEYS`: empty for a string, else `f` and the field of a hash
///
/// Null is answered if the digest is another one.
const READ: &str = "\
local kind = redis.pcall('TYPE', KEYS[1])
if kind.err then return kind end
local parts = redis.pcall(ARGV[1], KEYS[1], 'BY', 'nosort')
if parts.err then return parts end
local known = tonumber(ARGV[3])
local all, failed = {kind.ok}, nil
local function add(part)
  all[#all + 1] = part and #part .. ':' .. part or '-'
end
local function is_of_other_type(answer)
  return string.find(answer.err, 'WRONGTYPE', 1, true)
end
local function look(i)
  local what, value = ARGV[3 + i], nil
  if what == '' then value = redis.pcall('GET', KEYS[1 + i])
  else value = redis.pcall('HGET', KEYS[1 + i], string.sub(what, 2)) end
  if type(value) == 'table' then
    if not is_of_other_type(value) then failed = value end
    value = false
  end
  add(value)
  return value
end
local function digest()
  return redis.sha1hex(table.concat(all, ','))
end
for _, part in ipairs(parts) do add(part) end
for i = 1, known do
  look(i)
  if failed then return failed end
end
local is_first = ARGV[2] == ''
if not is_first and digest() ~= ARGV[2] then return false end
";

/// Reads the lookups behind those that are known. The answer is the record's type, its elements if no digest was given,
/// the digest of everything, and what the lookups found.
const LOOK_UP: &str = "\
local values = {}
for i = known + 1, #KEYS - 1 do
  values[i - known] = look(i)
  if failed then return failed end
end
return {kind.ok, is_first and parts or {}, digest(), values}";

/// Stores a list in the record that is the last of `KEYS`, in the place of whatever is there. Its elements are the last
/// arguments; without any the record is deleted. The answer is 1.
const STORE: &str = "\
local to, first = KEYS[#KEYS], 4 + known
local there = redis.pcall('TYPE', to)
if there.err then return there end
if there.ok ~= 'none' then
  if ARGV[first] then
    -- What the user may not do fails here, before anything has changed.
    local tried = redis.pcall('RPUSH', to, ARGV[first])
    if type(tried) == 'table' and not is_of_other_type(tried) then return tried end
  end
  local deleted = redis.pcall('SORT', KEYS[1], 'BY', 'nosort', 'LIMIT', 0, 0, 'STORE', to)
  if type(deleted) == 'table' then return deleted end
end
for at = first, #ARGV, 1000 do
  local added = redis.pcall('RPUSH', to, unpack(ARGV, at, math.min(at + 999, #ARGV)))
  if type(added) == 'table' then return added end
end
return 1";

/// Reads the record `KEYS[1]` and what others hold for it.
#[must_use]
pub fn read_sorted() -> String {
    [READ, LOOK_UP].concat()
}

/// Stores what was sorted if everything that was read is still the same.
#[must_use]
pub fn store_sorted() -> String {
    [READ, STORE].concat()
}
