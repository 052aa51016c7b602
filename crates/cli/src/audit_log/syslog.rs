//! Entries in the system's log: one RFC 5424 line each to its socket, facility `authpriv`. The last
//! entry is kept in a file, under whose lock they are sent.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::entry::{Codes, Draft, Last, Outcome, started};
use super::file::{keep, kept, locked, state_of, unwritable};
use crate::error::Failure;

/// Where the system's log listens.
pub(super) const SOCKET: &str = "/dev/log";
/// Facility authpriv (10), severity informational (6).
const PRIORITY: u8 = 10 * 8 + 6;

/// Sends an entry; gives its number.
pub(super) fn append(
    socket: &Path,
    state: &Path,
    codes: &Codes,
    draft: &Draft<'_>,
) -> Result<u64, Failure> {
    let unwritable = |error: io::Error| unwritable(socket, &error);
    if let Some(directory) = state.parent() {
        waxseal_files::create_directory(directory).map_err(unwritable)?;
    }
    let log = UnixDatagram::unbound().map_err(unwritable)?;
    log.connect(socket).map_err(unwritable)?;
    let base = state.with_extension("");
    let mut state = locked(&base)?;
    let last = match kept(&mut state, codes).map_err(unwritable)? {
        Some(whole) => Last::of(&whole),
        None if state.metadata().map_err(unwritable)?.len() > 0 => {
            return Err(Failure::failed(format!(
                "{} is not as this key would have it",
                state_of(&base).display()
            ))
            .hint("where audit_log_key was changed, move it away, and a new chain begins"));
        }
        None => {
            let act = started()?;
            let begin = Draft {
                actor: draft.actor,
                act: &act,
                outcome: Outcome::Done,
            };
            let (line, last) = codes.line(&begin, &Last::none())?;
            send(&log, draft, &line).map_err(unwritable)?;
            keep(&state, &line).map_err(unwritable)?;
            last
        }
    };
    let (line, last) = codes.line(draft, &last)?;
    send(&log, draft, &line).map_err(unwritable)?;
    keep(&state, &line).map_err(unwritable)?;
    Ok(last.seq)
}

fn send(log: &UnixDatagram, draft: &Draft<'_>, line: &str) -> io::Result<()> {
    // The time stands in the entry; RFC 5424 lets the header leave it to the system's log.
    let (host, pid) = (draft.actor.host(), draft.actor.pid());
    let text = format!("<{PRIORITY}>1 - {host} waxseal {pid} audit - {line}");
    log.send(text.as_bytes()).map(drop)
}
