//! The Lua scripts: changes that a server has no single command for. No other client sees a script
//! half done. Each takes its record names as `KEYS`, so that it runs in a cluster as well.

use redis::Cmd;

/// How the end of a record's life is written: `mode` and `time` of the scripts below.
const SET: &str = "
local function set(name, value, mode, time)
  if mode == 'keep' then redis.call('SET', name, value, 'KEEPTTL')
  elseif mode == 'never' then redis.call('SET', name, value)
  else redis.call('SET', name, value, mode, time) end
end
";

/// For each record in turn: replaces it if it still holds the expected bytes, and keeps its expiry.
/// Reading a record of another type gives an error, which is not equal to any bytes.
const SWAP_MANY: &str = "
local done = {}
for i, name in ipairs(KEYS) do
  if redis.pcall('GET', name) == ARGV[2 * i - 1] then
    redis.call('SET', name, ARGV[2 * i], 'KEEPTTL')
    done[i] = 1
  else done[i] = 0 end
end
return done
";

const SWAP: &str = "
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
set(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
return 1
";

const CREATE: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
set(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
";

/// Writing a field takes away an expiry of its own (servers since 7.4 have these): it is put back.
const SWAP_FIELD: &str = "
if redis.pcall('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local ends = redis.pcall('HPEXPIRETIME', KEYS[1], 'FIELDS', 1, ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ends[1] and ends[1] > 0 then
  redis.call('HPEXPIREAT', KEYS[1], ends[1], 'FIELDS', 1, ARGV[1])
end
return 1
";

const SWAP_ELEMENT: &str = "
if redis.pcall('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
return 1
";

const DELETE: &str = "
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

const MOVE: &str = "
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then return 2 end
local mode, time = ARGV[3], ARGV[4]
if mode == 'keep' then
  mode, time = 'PX', redis.call('PTTL', KEYS[1])
  if time < 0 then mode = 'never' end
end
set(KEYS[2], ARGV[2], mode, time)
redis.call('DEL', KEYS[1])
return 1
";

/// A script, and the name under which servers cache it.
pub(crate) struct Script {
    source: String,
    sha: String,
}

impl Script {
    fn new(source: String) -> Self {
        let sha = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha }
    }

    /// Runs the cached script. Names and arguments are appended by the caller.
    pub(crate) fn cached(&self, names: usize) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.sha).arg(names);
        command
    }

    /// Runs the script from its source, which also caches it.
    pub(crate) fn from_source(&self, names: usize) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.source).arg(names);
        command
    }
}

/// All of them, with their hashes computed once.
pub(crate) struct Scripts {
    pub(crate) swap_many: Script,
    pub(crate) swap: Script,
    pub(crate) create: Script,
    pub(crate) swap_field: Script,
    pub(crate) swap_element: Script,
    pub(crate) delete: Script,
    pub(crate) transfer: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let with_set = |body: &str| Script::new(format!("{SET}{body}"));
        Self {
            swap_many: Script::new(SWAP_MANY.to_owned()),
            swap: with_set(SWAP),
            create: with_set(CREATE),
            swap_field: Script::new(SWAP_FIELD.to_owned()),
            swap_element: Script::new(SWAP_ELEMENT.to_owned()),
            delete: Script::new(DELETE.to_owned()),
            transfer: with_set(MOVE),
        }
    }
}
