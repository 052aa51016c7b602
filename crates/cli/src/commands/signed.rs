//! Shared by the commands that verify signed documents: reading one, and the expected signer.

use std::io::{self, Read};
use std::path::Path;

use waxseal_keys::SignedError;
use waxseal_service::Failure;
use waxseal_service::resources::Resources;

use crate::args::Common;
use crate::output;

/// The expected signer, if it is known.
pub(super) struct Expected(Option<String>);

impl Expected {
    /// Returns the key of the flag, else the one of the keyring if one is configured.
    pub(super) async fn of(common: &Common, given: Option<&str>) -> Result<Self, Failure> {
        if let Some(key) = given {
            return Ok(Self(Some(key.to_owned())));
        }
        let mut resources = Resources::read(&common.flags())?;
        if !resources.configuration.has_keyring() {
            return Ok(Self(None));
        }
        resources.open_ring_alone(false).await?;
        let key = resources.opened_ring()?.ring.ring().receipt_key();
        Ok(Self(Some(key)))
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Describes the signer of a verified document.
    pub(super) fn describe(&self, signer: &str) -> String {
        match self.0 {
            Some(_) => format!("{signer} (the expected one)"),
            None => signer.to_owned(),
        }
    }

    /// Warns if no signer was expected.
    pub(super) fn warn(&self) {
        if self.0.is_none() {
            output::warn("it is not known whether this signer is the right one");
            output::hint(
                "give the receipt key that waxseal keyring status prints with --key, or the keyring \
                 with --keyring",
            );
        }
    }
}

/// Returns the hint for a document that does not verify.
pub(super) fn advice(error: &SignedError) -> &'static str {
    match error {
        SignedError::Signer => {
            "compare with the receipt key that waxseal keyring status prints for its keyring"
        }
        SignedError::Kind => "a newer waxseal may know it",
        _ => "do not rely on it: ask the issuer for the original",
    }
}

/// Reads a document from a file, or from stdin if the path is `-`. Returns it with its name for texts.
pub(super) fn read(file: &Path, limit: u64, called: &str) -> Result<(Vec<u8>, String), Failure> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
        return Ok((bytes, called.to_owned()));
    }
    let shown = file.display().to_string();
    let opened = std::fs::File::open(file);
    let read = opened.and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}")))?;
    Ok((bytes, shown))
}
