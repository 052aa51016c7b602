//! The script of the proxy's that keeps each member of a record in one form.

/// Gives members, or elements of a list, the form that is written. `ARGV[1]` is `list` for elements, which records of
/// other types do not have: a value that is bound to another kind would not open. `ARGV[2]` is the number of forms of each
/// value; its forms follow one another, the written one first. That form is added before the other one is removed, so that
/// the record keeps its lifetime; and before it is added it is removed, which it is not in the record, so that nothing is
/// changed where the user may not remove members.
pub const GIVE_FORM: &str = "\
local is_list = ARGV[1] == 'list'
local step = tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if (kind == 'list') ~= is_list then
    kind = nil
  end
  for first = 3, #ARGV, step do
    local mine = ARGV[first]
    for at = first + 1, first + step - 1 do
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
return 0";
