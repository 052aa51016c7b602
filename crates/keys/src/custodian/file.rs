//! A secret in a file of its own, which nobody but its owner may read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use crate::error::CustodianError;

/// A key has 64 characters; whoever names another file by mistake shall not have it read whole.
const MOST: u64 = 4096;
/// Rights of the group and of others.
const OTHERS: u32 = 0o077;

/// A key in a file: 64 hexadecimal characters.
pub(super) fn read(path: &str) -> Result<SecretKey, CustodianError> {
    let text = read_text(path)?;
    SecretKey::from_hex(&text).map_err(|error| CustodianError::Secret {
        custodian: format!("file:{path}"),
        error,
    })
}

/// A secret text in a file, as it is.
pub(super) fn read_text(path: &str) -> Result<Zeroizing<String>, CustodianError> {
    let unreadable = |error: std::io::Error| CustodianError::File {
        path: path.to_owned(),
        error: error.kind(),
    };
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that was opened, not of whatever has the name a moment later.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(CustodianError::Readable {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize));
    file.take(MOST)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}
