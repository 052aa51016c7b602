//! The scripts that replace a stream by a copy with other values.

/// Creates the copy of a stream (`KEYS[1]`) with its first entry, and a lifetime (`ARGV[1]`, milliseconds): the copy expires
/// if the process dies. `ARGV[2]` is the entry's id; its fields and values follow.
pub const BEGIN_STREAM_COPY: &str = "\
redis.call('XADD', KEYS[1], unpack(ARGV, 2))
return redis.call('PEXPIRE', KEYS[1], ARGV[1])";

/// Replaces a stream (`KEYS[1]`) by its copy (`KEYS[2]`), and returns 1. Nothing is changed, and `groups` returned, if the
/// stream has consumer groups: they are created without breaking a `WATCH`. The same with 0 if the copy lacks entries, as
/// one that was evicted meanwhile does, or if the stream is not as it was read.
///
/// `ARGV` is the number of entries, the last id, the expiry (milliseconds since the Unix epoch, or empty) and, from Redis 7
/// on, the number of entries ever added and the greatest id that was deleted.
pub const REPLACE_STREAM: &str = "\
local reply = redis.pcall('XINFO', 'STREAM', KEYS[1])
if reply['err'] then
  return 0
end
local info = {}
for at = 1, #reply, 2 do
  info[reply[at]] = reply[at + 1]
end
if info['groups'] ~= 0 then
  return 'groups'
end
if info['length'] ~= tonumber(ARGV[1]) or info['last-generated-id'] ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('PEXPIREAT', KEYS[2], ARGV[3])
end
if redis.call('XLEN', KEYS[2]) ~= info['length'] then
  return 0
end
if ARGV[4] then
  redis.call('XSETID', KEYS[2], ARGV[2], 'ENTRIESADDED', ARGV[4], 'MAXDELETEDID', ARGV[5])
else
  redis.call('XSETID', KEYS[2], ARGV[2])
end
redis.call('RENAME', KEYS[2], KEYS[1])
return 1";
