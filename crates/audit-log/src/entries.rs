//! The entries of a file for display. Their order is not checked: that is for `verify`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::entry::{ChainKey, MAX_ENTRY, ParsedLine};

/// The most bytes of a line that are read: longer ones are not entries.
const MAX_LINE: u64 = 2 * MAX_ENTRY as u64;

/// Calls `visit` for each line of a file with its number and its entry; `None` if the line does not verify.
pub fn for_each_entry<E: From<io::Error>>(
    path: &Path,
    key: &ChainKey,
    mut visit: impl FnMut(u64, Option<Value>) -> Result<(), E>,
) -> Result<(), E> {
    for_each_line(File::open(path)?, |number, line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let entry = match key.parse(line) {
            ParsedLine::Verified(_) => serde_json::from_slice(line).ok(),
            ParsedLine::Unverified | ParsedLine::Malformed => None,
        };
        visit(number, entry)
    })
}

/// Calls `visit` for each line of a file, with its line end. A line that is longer than any entry comes in
/// pieces, none of which is an entry.
pub(crate) fn for_each_line<E: From<io::Error>>(
    file: File,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        let mut bounded = reader.by_ref().take(MAX_LINE);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number = number.saturating_add(1);
        visit(number, &line)?;
    }
}
