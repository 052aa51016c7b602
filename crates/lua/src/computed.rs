//! The scripts by which the proxy writes a computed value: only where the stored bytes are the ones that it was computed
//! from. Otherwise nothing is written, and they answer with the bytes that are there, so that nothing needs to be read.
//!
//! An error of a command is answered as it is, and not as one of a script.

/// Replaces or deletes a string. `KEYS[1]` is its name; the arguments are:
///
/// 1. `1` if it is expected to exist, else `0`
/// 2. the expected bytes
/// 3. the new bytes
/// 4. `KEEPTTL`, `NONE`, or an option of `SET` with a time; `DELETE` deletes
/// 5. the time
///
/// Without the third and later ones it only compares.
///
/// The answer is 1, or an array of the bytes that are there or of null.
pub const REPLACE_STRING: &str = "\
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if held ~= (ARGV[1] == '1' and ARGV[2]) then return {held} end
if not ARGV[3] then return 1 end
local mode, done = ARGV[4], nil
if mode == 'KEEPTTL' then done = redis.pcall('SET', KEYS[1], ARGV[3], 'KEEPTTL')
elseif mode == 'NONE' then done = redis.pcall('SET', KEYS[1], ARGV[3])
elseif mode == 'DELETE' then done = redis.pcall('DEL', KEYS[1])
else done = redis.pcall('SET', KEYS[1], ARGV[3], mode, ARGV[5]) end
if type(done) == 'table' and done.err then return done end
return 1";

/// Reads the strings `KEYS[1]` and `KEYS[2]`. The answer is an array of both, or the error of one.
pub const READ_TWO: &str = "\
local first, second = redis.pcall('GET', KEYS[1]), redis.pcall('GET', KEYS[2])
if type(first) == 'table' then return first end
if type(second) == 'table' then return second end
return {first, second}";

/// Replaces the value of a field of the hash `KEYS[1]`. The arguments are:
///
/// 1. the field
/// 2. `1` if it is expected to exist, else `0`; `*` replaces it whatever it holds
/// 3. the expected bytes
/// 4. the new bytes
/// 5. `1` if fields of this server may have lifetimes, which they keep
///
/// Without the fourth and fifth it only compares.
///
/// `HSET` removes a lifetime. Servers that can keep it are asked to; on the others it is restored.
///
/// The answer is 1, or an array of the bytes that are there or of null.
pub const REPLACE_FIELD: &str = "\
local held = redis.pcall('HGET', KEYS[1], ARGV[1])
if type(held) == 'table' then return held end
if ARGV[2] ~= '*' and held ~= (ARGV[2] == '1' and ARGV[3]) then return {held} end
if not ARGV[4] then return 1 end
local function unknown(answer)
  return type(answer) == 'table' and answer.err and string.find(answer.err, 'command called from', 1, true)
end
local ends, done
if held and ARGV[5] == '1' then
  done = redis.pcall('HSETEX', KEYS[1], 'KEEPTTL', 'FIELDS', 1, ARGV[1], ARGV[4])
  if unknown(done) then
    done = nil
    ends = redis.pcall('HPEXPIRETIME', KEYS[1], 'FIELDS', 1, ARGV[1])
    if ends.err and not unknown(ends) then return ends end
    ends = ends[1]
    if ends and ends > 0 then
      -- On a field that has an end this changes nothing, and fails where it would fail below.
      local tried = redis.pcall('HPEXPIREAT', KEYS[1], ends, 'NX', 'FIELDS', 1, ARGV[1])
      if tried.err then return tried end
    end
  end
end
done = done or redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[4])
if type(done) == 'table' and done.err then return done end
if ends and ends > 0 then redis.call('HPEXPIREAT', KEYS[1], ends, 'FIELDS', 1, ARGV[1]) end
return 1";
