//! Receipts of erased users in a directory, one file each, so that a run over many users can be repeated: users with
//! a receipt there and nothing left are done. File names hold what the receipt itself holds, and never a user.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use waxseal_files::{OutputFile, OutputFileError};
use waxseal_keys::{Receipt, Ring, Signed};

use super::{Traces, rfc3339};

/// The largest file that is read as a receipt.
const MAX_BYTES: u64 = 1024 * 1024;

/// An error of reading or writing a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The directory cannot be created.
    #[error("{} cannot be created: {error}", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// A file or the directory cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// A file with the name of a receipt holds something else.
    #[error("{} is not the receipt that it should be", .0.display())]
    NotThatReceipt(PathBuf),
    /// A receipt cannot be written as JSON.
    #[error("{0}")]
    Unserializable(#[from] serde_json::Error),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] OutputFileError),
}

/// A directory of receipts.
#[derive(Clone, Debug)]
pub struct ReceiptDirectory(PathBuf);

impl ReceiptDirectory {
    /// The directory at this path, which is not opened yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Creates the directory where it is missing, and checks that receipts can be written there: before anyone is
    /// erased.
    pub fn prepare(&self) -> Result<(), ReceiptError> {
        let mut builder = DirBuilder::new();
        let created = builder.recursive(true).mode(0o700).create(&self.0);
        created.map_err(|error| ReceiptError::NoDirectory {
            path: self.0.clone(),
            error,
        })?;
        Ok(OutputFile::check(&self.0.join("receipt.json"), true)?)
    }

    /// Returns the receipt of an earlier run for a user of whom nothing has been left since.
    pub fn find(
        &self,
        ring: &Ring,
        user: &[u8],
        traces: &Traces,
    ) -> Result<Option<PathBuf>, ReceiptError> {
        if !traces.is_gone() || traces.erasures == 0 {
            return Ok(None);
        }
        let hash = ring.user(user);
        let erased = rfc3339(traces.erased_ms);
        let is_that_erasure =
            |receipt: &Receipt| receipt.erasure == traces.erasures && receipt.erased == erased;
        let first = self.path(&hash, traces.erasures);
        match read(ring, &first, &hash)? {
            None => return Ok(None),
            Some(receipt) if is_that_erasure(&receipt) => return Ok(Some(first)),
            // Of an erasure with the same number, before the ring was restored.
            Some(_) => {}
        }
        let start = format!("{hash}-{}-", traces.erasures);
        let entries = self
            .0
            .read_dir()
            .map_err(|error| unreadable(&self.0, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&self.0, error))?;
            if !entry.file_name().to_string_lossy().starts_with(&start) {
                continue;
            }
            let receipt = read(ring, &entry.path(), &hash)?;
            if receipt.as_ref().is_some_and(is_that_erasure) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    /// Writes a new receipt, and returns its path.
    pub fn write(&self, ring: &Ring, receipt: &Receipt) -> Result<PathBuf, ReceiptError> {
        let path = self.free_path(ring, receipt);
        let json = serde_json::to_string_pretty(receipt)?;
        OutputFile::write(&path, &format!("{json}\n"), false)?.keep()?;
        Ok(path)
    }

    /// The path of a new receipt. One of an erasure with the same number stays: the ring has been restored since.
    fn free_path(&self, ring: &Ring, receipt: &Receipt) -> PathBuf {
        let first = self.path(&receipt.user, receipt.erasure);
        match read(ring, &first, &receipt.user) {
            Ok(Some(_)) => self.0.join(format!(
                "{}-{}-{}.json",
                receipt.user, receipt.erasure, receipt.ring_version
            )),
            Ok(None) | Err(_) => first,
        }
    }

    fn path(&self, user_hash: &str, erasure: u32) -> PathBuf {
        self.0.join(format!("{user_hash}-{erasure}.json"))
    }
}

/// Reads the receipt of a user; `None` if there is no such file. A file that holds anything else is refused.
fn read(ring: &Ring, path: &Path, hash: &str) -> Result<Option<Receipt>, ReceiptError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    }
    match Receipt::verify(&bytes, Some(&ring.receipt_key())) {
        Ok(receipt) if receipt.user == hash => Ok(Some(receipt)),
        _ => Err(ReceiptError::NotThatReceipt(path.to_owned())),
    }
}

fn unreadable(path: &Path, error: io::Error) -> ReceiptError {
    ReceiptError::Unreadable {
        path: path.to_owned(),
        error,
    }
}
