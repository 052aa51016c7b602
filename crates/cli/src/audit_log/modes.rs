//! The mode that a service last started in, as the audit log tells it.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use waxseal_files::{Access, Location};

use super::entry::{Codes, LONGEST_ENTRY, Read};
use super::file::unwritable;
use crate::error::Failure;

/// A service that starts.
pub(crate) struct Service<'a> {
    /// `proxy` or `keeper`.
    pub(crate) what: &'static str,
    /// Where its records are.
    pub(crate) store: &'a str,
    pub(crate) mode: &'a str,
}

impl Service<'_> {
    pub(super) fn shown(&self) -> String {
        super::entry::short(&format!("{} at {}", self.what, self.store))
    }
}

/// The last mode of this service, where the file tells of one.
pub(super) fn last(
    path: &Path,
    service: &Service<'_>,
    codes: &Codes,
) -> Result<Option<String>, Failure> {
    let file = Location::resolve(path).and_then(|it| it.open(Access::Read));
    let Some(file) = file.map_err(|error| unwritable(path, &error))? else {
        return Ok(None);
    };
    let mut reader = BufReader::new(file);
    let (mut found, shown) = (None, service.shown());
    loop {
        let mut line = Vec::new();
        let mut one = reader.by_ref().take(LONGEST_ENTRY as u64);
        let read = one.read_until(b'\n', &mut line);
        if read.map_err(|error| unwritable(path, &error))? == 0 {
            return Ok(found);
        }
        if !line.windows(MARK.len()).any(|part| part == MARK) {
            continue;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Read::Whole(whole) = codes.read(text)
            && whole.action == "mode"
            && whole.target == shown
        {
            let to = whole.details.get("to").and_then(|to| to.as_str());
            found = to.map(str::to_owned);
        }
    }
}

const MARK: &[u8] = b"\"action\":\"mode\"";
