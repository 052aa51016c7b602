//! Entries for reading: those that are as they were written, and the lines that are not. Whether they
//! follow one another is not looked at here.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde_json::Value;

use super::entry::{Codes, LONGEST_ENTRY, Read};

/// Goes through the lines of a file: the entry, or none where the line is not as it was written.
pub(crate) fn each<E: From<io::Error>>(
    path: &Path,
    codes: &Codes,
    mut meet: impl FnMut(u64, Option<Value>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        let mut one = reader.by_ref().take(2 * LONGEST_ENTRY as u64);
        if one.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let entry = match codes.read(text) {
            Read::Whole(_) => serde_json::from_slice(text).ok(),
            Read::Forged | Read::Unreadable => None,
        };
        meet(number, entry)?;
    }
}
