//! Entries in the system's log: one RFC 5424 message each, facility `authpriv`, to its socket. The last
//! entry is kept in a state file, under whose lock they are sent.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::entry::{ChainKey, Draft, Position};
use crate::error::Error;
use crate::file::{lock_state, read_state, state_path, write_state};
use crate::operation::{Operation, Outcome};

/// The socket of the system's log.
pub const DEFAULT_SOCKET: &str = "/dev/log";
/// Facility authpriv (10), severity informational (6).
const PRIORITY: u8 = 10 * 8 + 6;

/// Sends an entry, and returns its number.
pub(crate) fn append(
    socket: &Path,
    state: &Path,
    key: &ChainKey,
    draft: &Draft<'_>,
) -> Result<u64, Error> {
    let unwritable = |error: io::Error| Error::unwritable(socket, error);
    if let Some(directory) = state.parent() {
        waxseal_files::create_directory(directory).map_err(unwritable)?;
    }
    let log = UnixDatagram::unbound().map_err(unwritable)?;
    log.connect(socket).map_err(unwritable)?;
    let base = state.with_extension("");
    let mut state = lock_state(&base)?;
    let last = match read_state(&mut state, key).map_err(unwritable)? {
        Some(entry) => Position::from(&entry),
        None if state.metadata().map_err(unwritable)?.len() > 0 => {
            return Err(Error::UnverifiedState(state_path(&base)));
        }
        None => {
            let operation = Operation::started()?;
            let started = Draft {
                actor: draft.actor,
                operation: &operation,
                outcome: Outcome::Done,
            };
            let (line, position) = key.line(&started, &Position::genesis())?;
            send(&log, draft, &line).map_err(unwritable)?;
            write_state(&state, &line).map_err(unwritable)?;
            position
        }
    };
    let (line, position) = key.line(draft, &last)?;
    send(&log, draft, &line).map_err(unwritable)?;
    write_state(&state, &line).map_err(unwritable)?;
    Ok(position.seq)
}

fn send(log: &UnixDatagram, draft: &Draft<'_>, line: &str) -> io::Result<()> {
    // The entry holds the time; RFC 5424 allows leaving that of the header to the system's log.
    let (host, pid) = (draft.actor.host(), draft.actor.pid());
    let text = format!("<{PRIORITY}>1 - {host} waxseal {pid} audit - {line}");
    log.send(text.as_bytes()).map(drop)
}
