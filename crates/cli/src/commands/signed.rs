//! What the commands share that verify signed papers: reading one, and who should have signed it.

use std::io::{self, Read};
use std::path::Path;

use waxseal_keys::SignedError;
use waxseal_service::Failure;
use waxseal_service::resources::Resources;

use crate::args::Common;
use crate::output;

/// Who should have signed, where that is known.
pub(super) struct Expected(Option<String>);

impl Expected {
    /// The key that was given, else that of the keyring, where one is configured.
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

    /// The signer of what verified.
    pub(super) fn describe(&self, signer: &str) -> String {
        match self.0 {
            Some(_) => format!("{signer} (the expected one)"),
            None => signer.to_owned(),
        }
    }

    /// Says where nothing was expected.
    pub(super) fn warn(&self) {
        if self.0.is_none() {
            output::warn("nothing says that this signer is the right one");
            output::hint(
                "give the receipt key that waxseal keyring status told with --key, or the keyring \
                 with --keyring",
            );
        }
    }
}

/// What to do about a paper that does not verify.
pub(super) fn advice(error: &SignedError) -> &'static str {
    match error {
        SignedError::Signer => {
            "compare with the receipt key that waxseal keyring status tells for its keyring"
        }
        SignedError::Kind => "a newer waxseal may know it",
        _ => "do not rely on it: ask whoever issued it for the original",
    }
}

/// A paper from a file, or from stdin where it is `-`; and what it is called then.
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
