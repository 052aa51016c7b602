//! The scripts of the proxy's that keep each member of a record in one form.

/// Gives members, or elements of a list, the form that is written. `ARGV[1]` is `list` for elements, which records of
/// other types do not have: a value that is bound to another kind would not open. `ARGV[2]` is the number of arguments that
/// follow: for each value the number of its forms, and these, the written one first. That form is added before another one is
/// removed, so that the record keeps its lifetime; and before it is added it is removed, which it is not in the record, so
/// that nothing is changed where the user may not remove members.
macro_rules! give_form {
    () => {
        "\
local is_list = ARGV[1] == 'list'
local last = 2 + tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if (kind == 'list') ~= is_list then
    kind = nil
  end
  local next = 3
  while next <= last do
    local first = next + 1
    next = first + tonumber(ARGV[next])
    local mine = ARGV[first]
    for at = first + 1, next - 1 do
      local other = ARGV[at]
      if kind == 'set' and redis.call('SISMEMBER', key, other) == 1 then
        if redis.call('SISMEMBER', key, mine) == 0 then
          redis.call('SREM', key, mine)
          redis.call('SADD', key, mine)
        end
        redis.call('SREM', key, other)
      elseif kind == 'zset' then
        local score = redis.call('ZSCORE', key, other)
        if score then
          if not redis.call('ZSCORE', key, mine) then
            redis.call('ZREM', key, mine)
            redis.call('ZADD', key, score, mine)
          end
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
"
    };
}

/// Gives the members, or elements of a list, that the next request names the form that is written.
pub const GIVE_FORM: &str = concat!(give_form!(), "return 0");

/// Gives the members that a command names the form that is written, and runs it, unless that failed. Behind the forms the
/// arguments are:
///
/// 1. `3` if the reply is that of the third version of the protocol
/// 2. the number of words of the command before those that repeat
/// 3. the number of words that repeat: 1, 2 for a score and a member, 3 for a position and a member
/// 4. the words of the command
///
/// The answer is that of the command. One of more words than a script can pass on is run in parts, whose numbers are added.
/// A part with a number that the server may refuse is the first one, so that nothing has changed then.
pub const RUN_WITH_FORM: &str = concat!(
    give_form!(),
    "\
if ARGV[last + 1] == '3' then redis.setresp(3) end
local head, unit, first = tonumber(ARGV[last + 2]), tonumber(ARGV[last + 3]), last + 4
local most = 6000
if #ARGV - first < most then return redis.pcall(unpack(ARGV, first)) end
local function is_within(word, bound)
  local number = tonumber(word)
  return number and number >= -bound and number <= bound
end
local parts = {}
for start = first + head, #ARGV, most do
  local stop = math.min(start + most - 1, #ARGV)
  local is_doubtful = false
  for at = start, stop, unit do
    if unit == 2 and not is_within(ARGV[at], math.huge) then is_doubtful = true end
    if unit == 3 and not (is_within(ARGV[at], 180) and is_within(ARGV[at + 1], 85)) then is_doubtful = true end
  end
  table.insert(parts, is_doubtful and 1 or #parts + 1, {start, stop})
end
local total = 0
for _, part in ipairs(parts) do
  local words = {unpack(ARGV, first, first + head - 1)}
  for at = part[1], part[2] do words[#words + 1] = ARGV[at] end
  local reply = redis.pcall(unpack(words))
  if type(reply) ~= 'number' then return reply end
  total = total + reply
end
return total"
);
