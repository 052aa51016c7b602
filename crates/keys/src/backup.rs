//! Backups of a keyring: the document and its plaintext keys, sealed to age recipients or to an
//! identity that exists only as shares. Files are handled elsewhere, and no custodian is needed to
//! open one.

use std::collections::BTreeSet;
use std::sync::Arc;

use waxseal_core::SecretKey;

use crate::custodian::{Custodian, Custodians, sanitize_for_terminal};
use crate::error::{DocumentError, RingError};
use crate::keyring_document::KeyringDocument;
use crate::ring::{Ring, Secrets};

mod age_file;
mod error;
mod payload;
mod shares;
mod sheet;

pub use age_file::{Identities, MAX_BACKUP_BYTES, Recipients};
pub use error::BackupError;
pub use shares::{MAX_SHARES, Share, Split};
pub use sheet::About;

use age_file::Binary;

/// The name of a backup's document in errors.
const LOCATION: &str = "backup:";

/// A keyring with its plaintext keys. It has no `Debug`, and its keys are wiped when it is dropped.
pub struct Backup {
    ring: Ring,
    secrets: Secrets,
}

impl Backup {
    /// Unwraps the keys of a ring with its custodians.
    pub async fn of(ring: &Ring, custodians: &Custodians) -> Result<Self, BackupError> {
        let secrets = ring.secrets(custodians).await?;
        Self::checked(ring.document(), secrets).await
    }

    /// Seals it to recipients: each of them can open it alone.
    pub fn seal(&self, recipients: &Recipients) -> Result<String, BackupError> {
        let plain = payload::write(self.ring.document(), &self.secrets)?;
        age_file::seal(&plain, recipients)
    }

    /// Seals it to an identity that is generated for it and not stored: only its shares are.
    pub fn split(&self, split: Split) -> Result<(String, Vec<Share>), BackupError> {
        let secret = SecretKey::generate()?;
        let identity = Identities::of_bytes(&secret)?;
        let mut recipients = Recipients::default();
        recipients.add(&identity.to_public().to_string(), "the identity")?;
        let file = self.seal(&recipients)?;
        let id = Binary::of(file.as_bytes())?.id();
        let shares = shares::split(&secret, split, &id)?;
        Ok((file, shares))
    }

    /// Opens a backup with identities of its recipients.
    pub async fn open(file: &[u8], identities: &Identities) -> Result<Self, BackupError> {
        let file = Binary::of(file)?;
        Self::read(&file.open(&identities.0)?).await
    }

    /// Opens a backup with shares.
    pub async fn open_with_shares(file: &[u8], shares: &[Share]) -> Result<Self, BackupError> {
        let file = Binary::of(file)?;
        shares::check(shares, &file.id())?;
        let identity = Identities::of_bytes(&shares::combine(shares)?)?;
        let plain = file.open(&[identity]).map_err(|error| match error {
            BackupError::WrongIdentity => BackupError::SharesDoNotFit,
            other => other,
        })?;
        Self::read(&plain).await
    }

    async fn read(plain: &[u8]) -> Result<Self, BackupError> {
        let (document, secrets) = payload::read(plain)?;
        Self::checked(&document, secrets).await
    }

    /// A backup whose document was written by the holder of these keys: all of them, and no others.
    async fn checked(document: &KeyringDocument, secrets: Secrets) -> Result<Self, BackupError> {
        let wrapped = document.wrapped().into_iter();
        let expected: BTreeSet<String> = wrapped.map(|(key, _)| key).collect();
        if let Some(lacking) = expected.iter().find(|key| !secrets.0.contains_key(*key)) {
            return Err(BackupError::Lacks(lacking.clone()));
        }
        if secrets.0.len() != expected.len() {
            return Err(BackupError::Foreign);
        }
        let (bytes, environment) = (document.to_bytes(), &document.environment);
        let ring = Ring::open_from(&bytes, LOCATION, environment, &secrets, None).await;
        let ring = ring.map_err(|error| match error {
            RingError::Document { error, .. } => BackupError::Document(error),
            // Invalid keys were refused already.
            RingError::Custodian(_) => BackupError::Document(DocumentError::Mac),
            other => other.into(),
        })?;
        Ok(Self { ring, secrets })
    }

    /// The ring as it was backed up.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The id of this file, also printed on each of its shares: 12 hexadecimal characters.
    pub fn id(file: &[u8]) -> Result<String, BackupError> {
        Ok(Binary::of(file)?.id())
    }

    /// Refuses a backup of another environment than this.
    pub fn check_environment(&self, expected: &str) -> Result<(), BackupError> {
        let found = self.ring.environment();
        if found == expected {
            return Ok(());
        }
        Err(BackupError::Environment {
            found: sanitize_for_terminal(found),
            expected: expected.to_owned(),
        })
    }

    /// True if the backup contains this document or a newer version of it: of the same ring.
    pub async fn follows(&self, document: &[u8]) -> bool {
        let environment = self.ring.environment();
        let opened = Ring::open_from(document, LOCATION, environment, &self.secrets, None).await;
        opened.is_ok_and(|it| self.ring.may_follow(&it, LOCATION).is_ok())
    }

    /// The ring with its keys wrapped by these custodians and no others.
    pub async fn wrapped_by(&self, custodians: &[Arc<dyn Custodian>]) -> Result<Ring, BackupError> {
        Ok(self.ring.wrapped_by(&self.secrets, custodians).await?)
    }
}
