//! The scripts of the crate `lua` as commands of this client, with the hashes under which servers cache them.

use redis::Cmd;

/// A script, and the hash under which servers cache it.
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
    pub(crate) fn source_command(&self, names: usize) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.source).arg(names);
        command
    }
}

/// All scripts, with their hashes computed once.
pub(crate) struct Scripts {
    pub(crate) probe: Script,
    pub(crate) swap_many: Script,
    pub(crate) swap: Script,
    pub(crate) create: Script,
    pub(crate) swap_field: Script,
    pub(crate) swap_element: Script,
    pub(crate) swap_members: Script,
    pub(crate) delete: Script,
    pub(crate) transfer: Script,
    pub(crate) begin_stream_copy: Script,
    pub(crate) replace_stream: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            probe: Script::new(waxseal_lua::PROBE.to_owned()),
            swap_many: Script::new(waxseal_lua::swap_many()),
            swap: Script::new(waxseal_lua::swap()),
            create: Script::new(waxseal_lua::create()),
            swap_field: Script::new(waxseal_lua::swap_field()),
            swap_element: Script::new(waxseal_lua::swap_element()),
            swap_members: Script::new(waxseal_lua::SWAP_MEMBERS.to_owned()),
            delete: Script::new(waxseal_lua::delete()),
            transfer: Script::new(waxseal_lua::transfer()),
            begin_stream_copy: Script::new(waxseal_lua::BEGIN_STREAM_COPY.to_owned()),
            replace_stream: Script::new(waxseal_lua::REPLACE_STREAM.to_owned()),
        }
    }
}
