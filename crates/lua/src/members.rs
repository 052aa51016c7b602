//! The scripts of the proxy's that keep each member of a record in one form.

/// The number of elements of a list that one request gives another form at most.
macro_rules! max_elements {
    () => {
        10_000
    };
}

/// Gives members, or elements of a list, the form that is written. `ARGV[1]` is `list` for elements, which records of
/// other types do not have: a value that is bound to another kind would not open. `ARGV[2]` is the number of arguments that
/// follow: for each value the number of its forms, and these, the written one first. That form is added before another one is
/// removed, so that the record keeps its lifetime; and before it is added it is removed, which it is not in the record, so
/// that nothing is changed where the user may not remove members.
///
/// `give_forms` returns the server's error if it failed. If a table is passed, members that could not be given the form are
/// put into it instead, with the form that they have.
macro_rules! give_form {
    () => {
        concat!(
            "\
local is_list = ARGV[1] == 'list'
local last = 2 + tonumber(ARGV[2])
local most_elements = ",
            max_elements!(),
            "
local failed
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then failed = failed or answer end
  return answer
end
-- Both return nil if the record does not hold the other form, else whether it lacked the one that is written.
local function give_member(key, mine, other)
  if ask('SISMEMBER', key, other) ~= 1 then return end
  local is_mine = ask('SISMEMBER', key, mine) == 1
  if not is_mine then
    ask('SREM', key, mine)
    if not failed then ask('SADD', key, mine) end
  end
  if not failed then ask('SREM', key, other) end
  return not is_mine
end
local function give_scored(key, mine, other)
  local score = ask('ZSCORE', key, other)
  if failed or not score then return end
  local is_mine = ask('ZSCORE', key, mine)
  if not is_mine then
    ask('ZREM', key, mine)
    if not failed then ask('ZADD', key, score, mine) end
  end
  if not failed then ask('ZREM', key, other) end
  return not is_mine
end
-- All places are found before one is written, which moves none.
local function give_elements(key)
  local writes = {}
  local next = 3
  while next <= last do
    local first = next + 1
    next = first + tonumber(ARGV[next])
    for at = first + 1, next - 1 do
      local places = ask('LPOS', key, ARGV[at], 'COUNT', most_elements + 1)
      if failed then return end
      for _, place in ipairs(places) do writes[#writes + 1] = {place, ARGV[first]} end
      if #writes > most_elements then
        failed = {err = 'TOOMANYELEMENTS in another form'}
        return
      end
    end
  end
  for _, write in ipairs(writes) do
    ask('LSET', key, write[1], write[2])
    if failed then return end
  end
end
local function give_forms(stand_ins)
  for _, key in ipairs(KEYS) do
    local kind = ask('TYPE', key)['ok']
    local give = kind == 'set' and give_member or kind == 'zset' and give_scored
    if failed then return failed end
    if is_list and kind == 'list' then
      give_elements(key)
    elseif give and not is_list then
      local next = 3
      while next <= last do
        local first = next + 1
        next = first + tonumber(ARGV[next])
        local mine = ARGV[first]
        for at = first + 1, next - 1 do
          local is_lacking = give(key, mine, ARGV[at])
          if failed then
            if not stand_ins or is_lacking == nil then return failed end
            if is_lacking then stand_ins[mine] = stand_ins[mine] or ARGV[at] end
            failed = nil
          end
        end
      end
    end
    if failed then return failed end
  end
end
"
        )
    };
}

/// Gives the members, or elements of a list, that the next request names the form that is written.
pub const GIVE_FORM: &str = concat!(give_form!(), "return give_forms() or 0");

/// The beginning of the script's own error about a list with so many elements in other forms that rewriting them would hold
/// up the server.
pub const TOO_MANY_ELEMENTS: &str = "-TOOMANYELEMENTS";

/// The number of elements of a list that one request gives another form at most.
pub const MAX_ELEMENTS: usize = max_elements!();

/// Gives the members that a command names the form that is written, and runs it, unless that failed. Behind the forms the
/// arguments are:
///
/// 1. `3` if the reply is that of the third version of the protocol
/// 2. the number of words of the command before those that repeat
/// 3. the number of words that repeat: 1, 2 for a score and a member, 3 for a position and a member; 0 for a command that only
///    reads sets and sorted sets
/// 4. the words of the command
///
/// The answer is that of the command. One that only reads looks up members in the form that they have, if the server would
/// not give them another one: it is full, a read-only replica, or the user may not write. A command of more words than a
/// script can pass on is run in parts, whose numbers are added; it is none that reads. A part with a number that the server
/// may refuse is the first one, so that nothing has changed then.
pub const RUN_WITH_FORM: &str = concat!(
    give_form!(),
    "\
local head, unit, first = tonumber(ARGV[last + 2]), tonumber(ARGV[last + 3]), last + 4
local stand_ins = unit == 0 and {} or nil
local refused = give_forms(stand_ins)
if refused then return refused end
if ARGV[last + 1] == '3' then redis.setresp(3) end
local most = 6000
if #ARGV - first < most then
  local words = {unpack(ARGV, first)}
  if stand_ins then
    for at = head + 1, #words do words[at] = stand_ins[words[at]] or words[at] end
  end
  return redis.pcall(unpack(words))
end
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
