//! Backups as age files: sealed to recipients, opened with identities. Independent of their
//! content.

use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use bech32::{Bech32Writer, ToBase32, Variant};
use waxseal_core::{SecretKey, fingerprint};
use zeroize::Zeroizing;

use super::BackupError;

/// A keyring with thousands of keys has less than 2 MiB.
pub const MAX_BACKUP_BYTES: usize = 16 * 1024 * 1024;

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const VERSION: &[u8] = b"age-encryption.org/v1\n";
const IDENTITY: &str = "AGE-SECRET-KEY-";
const ID: &str = "waxseal backup id v1";
/// The length of a backup's id: long enough to be unique for one owner.
pub(super) const ID_LEN: usize = 12;

/// The recipients that can open a backup.
#[derive(Clone, Default)]
pub struct Recipients(Vec<Recipient>);

/// The identities that open a backup.
#[derive(Clone, Default)]
pub struct Identities(pub(super) Vec<Identity>);

impl Recipients {
    /// Adds one, `age1…`. A text that is not a recipient is never shown: it may be a secret.
    pub fn add(&mut self, text: &str, place: impl Into<String>) -> Result<(), BackupError> {
        let text = text.trim();
        let place = place.into();
        let is_secret = text.get(..IDENTITY.len());
        if is_secret.is_some_and(|start| start.eq_ignore_ascii_case(IDENTITY)) {
            return Err(BackupError::SecretRecipient { place });
        }
        match text.parse() {
            Ok(recipient) => self.0.push(recipient),
            Err(_) => return Err(BackupError::Recipient { place }),
        }
        Ok(())
    }

    /// Adds those of a file: one per line, `#` before comments.
    pub fn add_lines(&mut self, text: &str) -> Result<(), BackupError> {
        let before = self.0.len();
        for (index, line) in meaning(text) {
            self.add(line, format!("line {}", index.saturating_add(1)))?;
        }
        match self.0.len() == before {
            true => Err(BackupError::NoRecipient),
            false => Ok(()),
        }
    }
}

impl Identities {
    /// Parses a file as age-keygen writes it: one per line, `#` before comments.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let identities = meaning(text).map(|(_, line)| line.parse::<Identity>());
        match identities.collect::<Result<Vec<_>, _>>() {
            Ok(identities) if !identities.is_empty() => Ok(Self(identities)),
            _ => Err(BackupError::NoIdentity),
        }
    }

    /// Adds these.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The identity with these secret bytes.
    pub(super) fn of_bytes(bytes: &SecretKey) -> Result<Identity, BackupError> {
        // Never grown: that would leave an unwiped copy behind.
        let mut text = Zeroizing::new(String::with_capacity(128));
        let hrp = IDENTITY.to_ascii_lowercase();
        let mut writer = Bech32Writer::new(&hrp, Variant::Bech32, &mut *text)
            .map_err(|_| BackupError::Sealing)?;
        let written = bytes.expose_bytes().write_base32(&mut writer);
        let written = written.and_then(|()| writer.finalize());
        written.map_err(|_| BackupError::Sealing)?;
        text.make_ascii_uppercase();
        text.parse().map_err(|_| BackupError::Sealing)
    }
}

/// The lines with content, with their numbers from 0.
fn meaning(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Seals to all of these recipients.
pub(super) fn seal(plain: &[u8], recipients: &Recipients) -> Result<String, BackupError> {
    if recipients.0.is_empty() {
        return Err(BackupError::NoRecipient);
    }
    let recipients = recipients.0.iter().map(|it| it as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(|_| BackupError::Sealing)?;
    let write = || {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    let file = write().map_err(|_: std::io::Error| BackupError::Sealing)?;
    String::from_utf8(file).map_err(|_| BackupError::Sealing)
}

/// An age file without its armor.
pub(super) struct Binary(Vec<u8>);

impl Binary {
    /// Removes the armor, if there is one. Line ends changed by mail programs are not damage.
    pub(super) fn of(file: &[u8]) -> Result<Self, BackupError> {
        // Base64 with its line ends is a third longer.
        if file.len() > MAX_BACKUP_BYTES * 2 {
            return Err(BackupError::TooLarge(MAX_BACKUP_BYTES >> 20));
        }
        let file = file.trim_ascii_start();
        if file.starts_with(VERSION) {
            return Ok(Self(file.to_vec()));
        }
        if !file.starts_with(BEGIN) {
            return Err(BackupError::NotAge);
        }
        let damaged = |_| BackupError::Damaged("its lines are not as age writes them");
        let mut binary = Vec::with_capacity(file.len());
        let unix: Vec<u8> = without_carriage_returns(file);
        let mut reader = ArmoredReader::new(&unix[..]);
        reader.read_to_end(&mut binary).map_err(damaged)?;
        match binary.starts_with(VERSION) {
            true => Ok(Self(binary)),
            false => Err(BackupError::NotAge),
        }
    }

    /// The id of this file, which its shares refer to.
    pub(super) fn id(&self) -> String {
        let mut id = fingerprint(ID, &self.0);
        id.truncate(ID_LEN);
        id
    }

    pub(super) fn open(&self, identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let decryptor = Decryptor::new_buffered(&self.0[..]).map_err(of_age)?;
        let identities = identities.iter().map(|it| it as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(of_age)?;
        // The plaintext is shorter than the file: the buffer never grows, which would leave an
        // unwiped copy.
        let mut plain = Zeroizing::new(Vec::with_capacity(self.0.len()));
        let read = reader
            .take(MAX_BACKUP_BYTES as u64 + 1)
            .read_to_end(&mut plain);
        read.map_err(|_| BackupError::Damaged("its content was changed or cut off"))?;
        match plain.len() > MAX_BACKUP_BYTES {
            true => Err(BackupError::TooLarge(MAX_BACKUP_BYTES >> 20)),
            false => Ok(plain),
        }
    }
}

fn without_carriage_returns(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.iter().copied().peekable();
    let mut unix = Vec::with_capacity(file.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            unix.push(byte);
        }
    }
    unix
}

/// Texts of the library are not passed on: they may contain anything.
fn of_age(error: DecryptError) -> BackupError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => {
            BackupError::WrongIdentity
        }
        DecryptError::UnknownFormat => BackupError::NotAge,
        DecryptError::Io(_) => BackupError::Damaged("it was cut off"),
        _ => BackupError::Damaged("its header was changed"),
    }
}
