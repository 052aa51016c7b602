-- A process says that it no longer holds the lock, before it releases it. If its time was over another may be the
-- holder by now; if it was not, nobody else may be.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HINCRBY', KEYS[3], 'left', 1)
  return 'left'
end
if now >= tonumber(ARGV[2]) then
  redis.call('HINCRBY', KEYS[3], 'outlived', 1)
  return 'outlived'
end
redis.call('RPUSH', KEYS[2], ARGV[1] .. ' held the lock and found ' .. (holder or 'nobody') .. ' as its holder')
return 'overlap'
