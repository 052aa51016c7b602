//! The mode that a service last started in, according to the audit log.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use waxseal_files::{Access, Location};

use crate::entry::{ChainKey, MAX_ENTRY, ParsedLine};
use crate::error::Error;
use crate::operation::bounded;

/// The action of entries about modes.
pub(crate) const MODE: &str = "mode";
/// The detail that holds the mode.
pub(crate) const MODE_DETAIL: &str = "to";
/// A text in every entry about a mode: other lines need not be verified.
const MARKER: &[u8] = b"\"action\":\"mode\"";

/// The start of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceStart<'a> {
    /// `proxy` or `keeper`.
    pub service: &'static str,
    /// The location of its records.
    pub store: &'a str,
    /// The mode that it starts in.
    pub mode: &'a str,
}

impl ServiceStart<'_> {
    pub(crate) fn target(&self) -> String {
        bounded(&format!("{} at {}", self.service, self.store))
    }
}

/// The mode that this service last started in, if the file has one.
pub(crate) fn last_mode(
    path: &Path,
    start: &ServiceStart<'_>,
    key: &ChainKey,
) -> Result<Option<String>, Error> {
    let unwritable = |error| Error::unwritable(path, error);
    let file = Location::resolve(path).and_then(|it| it.open(Access::Read));
    let Some(file) = file.map_err(unwritable)? else {
        return Ok(None);
    };
    let mut reader = BufReader::new(file);
    let target = start.target();
    let mut mode = None;
    loop {
        let mut line = Vec::new();
        let mut bounded = reader.by_ref().take(MAX_ENTRY as u64);
        let read = bounded.read_until(b'\n', &mut line);
        if read.map_err(unwritable)? == 0 {
            return Ok(mode);
        }
        if !line.windows(MARKER.len()).any(|part| part == MARKER) {
            continue;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if let ParsedLine::Verified(entry) = key.parse(line)
            && entry.action == MODE
            && entry.target == target
        {
            let to = entry.details.get(MODE_DETAIL).and_then(|to| to.as_str());
            mode = to.map(str::to_owned);
        }
    }
}
