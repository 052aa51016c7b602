//! Secret files that custodians need: a key, a PIN, a certificate's key.

use std::path::Path;

use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::CustodianScheme;
use crate::custodian::CustodianError;
use crate::secret_file;

/// A key in a file: 64 hexadecimal characters.
pub(super) fn read(path: &str) -> Result<SecretKey, CustodianError> {
    let text = read_text(path)?;
    SecretKey::from_hex(&text).map_err(|error| CustodianError::Secret {
        custodian: CustodianScheme::File.url(path),
        error,
    })
}

/// A secret text in a file, without one trailing line end.
pub(super) fn read_text(path: &str) -> Result<Zeroizing<String>, CustodianError> {
    secret_file::read(Path::new(path)).map_err(|error| CustodianError::File {
        path: secret_file::shown(path),
        error,
    })
}
