-- A process says that it holds the lock, at once after it was given it: ARGV[1] is its name, ARGV[2] the time in
-- milliseconds until which nobody else may have the lock, whether the holder lives or was killed. That is the time
-- at which it asked, by its own clock, and the lock's lifetime; the server's lock can only last longer. The record
-- ends then, so a process that finds another's here has been given a lock that was taken.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= tonumber(ARGV[2]) then
  redis.call('HINCRBY', KEYS[3], 'late', 1)
  return 'late'
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  redis.call('RPUSH', KEYS[2], ARGV[1] .. ' was given the lock while ' .. holder .. ' had it')
  return 'overlap'
end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
redis.call('HINCRBY', KEYS[3], holder and 'extended' or 'entered', 1)
return 'entered'
