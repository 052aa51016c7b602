//! The errors of this crate, by cause: the key material, the request, the stored bytes. No variant contains a key or a
//! value.

use waxseal_kinds::Kind;

use crate::envelope::Defect;
use crate::key::KeyId;
use crate::version::OldFormat;

/// Key material is refused: an error of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 characters.
    #[error("Invalid encryption key length (got {got} characters, a key has 64)")]
    Length {
        /// The number of characters found.
        got: usize,
    },
    /// Not 64 characters, because of characters that do not belong to the key.
    #[error("Invalid encryption key length (got {got} characters, a key has 64): {flaw}")]
    Surrounded {
        /// The number of characters found.
        got: usize,
        /// The characters.
        flaw: KeyFlaw,
    },
    /// 64 characters, not all of them hexadecimal.
    #[error("Invalid encryption key: character {position} of 64 is not hexadecimal")]
    NotHex {
        /// The first such character, counted from 1.
        position: usize,
    },
    /// All zero.
    #[error("Invalid encryption key: it is all zero")]
    Zero,
    /// One byte repeated.
    #[error("Invalid encryption key: it is one byte repeated")]
    Repeated,
    /// A placeholder of a guide or a template.
    #[error("Invalid encryption key: it is a placeholder, not a key (got {got} characters)")]
    Placeholder {
        /// The number of characters found.
        got: usize,
    },
    /// The operating system's random source failed.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// The cryptographic library rejected the key.
    #[error("the cryptographic library does not work on this machine")]
    Library,
}

/// Characters in or around a key that do not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFlaw {
    /// Quotes around it.
    #[error("it is in quotes, which belong to the file or the shell: leave them out")]
    Quotes,
    /// A byte order mark before it.
    #[error("it begins with a byte order mark: save the file as UTF-8 without one")]
    ByteOrderMark,
    /// A line break in it.
    #[error("it has a line break in it: write it on one line")]
    LineBreak,
    /// White space in it.
    #[error("it has a space in it: write it without")]
    Space,
    /// An invisible character.
    #[error("it has a character in it that is not shown: copy it again")]
    Invisible,
    /// A prefix of hexadecimal numbers.
    #[error("it begins with 0x: leave that out")]
    Prefix,
    /// Base64 of 32 bytes.
    #[error("it looks like Base64: write it as hexadecimal (base64 -d | xxd -p -c 64)")]
    Base64,
}

/// A keyring could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The sealing key is refused.
    #[error(transparent)]
    Sealing(KeyError),
    /// One of the previous keys is refused.
    #[error("previous key {index}: {error}")]
    Previous {
        /// The number of the key in the list, from 1.
        index: usize,
        /// The error.
        error: KeyError,
    },
    /// The same key twice (or two keys with one id).
    #[error("key {id} is in the keyring twice")]
    Duplicate {
        /// The id.
        id: KeyId,
    },
}

/// A value was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No key is configured.
    #[error("no encryption key is configured")]
    NoKey,
    /// The key has sealed as many values as its format allows (classic: 2^32, deterministic: 2^48).
    #[error("key {id} has sealed as many values as is safe in this format: rotate it")]
    KeyExhausted {
        /// The id.
        id: KeyId,
    },
    /// The value or a part of the binding is too long for the format.
    #[error("the value or its name is too long to seal")]
    TooLong,
    /// The value starts like an envelope and is not one: written plain, it could not be read again.
    #[error(
        "the value begins as a sealed envelope does and is none: written plain, it could not be read again"
    )]
    LooksSealed,
    /// The user was erased: values are no longer sealed for them.
    #[error("the user's key was destroyed")]
    Erased,
    /// Version 2 of the sealed format, which is written, cannot express this.
    #[error(
        "version 2 of the sealed format is written, and this needs version 3: {what} \
         (waxseal keyring configure --write-version 3; without a keyring, write_version = 3)"
    )]
    NeedsVersion3 {
        /// The kind of value, or what was asked for.
        what: &'static str,
    },
    /// The keyring may be shared with processes that do not know values of this kind.
    #[error(
        "a value of the kind \"{kind}\" needs format 2 of the keyring's document, which only present versions of Waxseal \
         read (waxseal keyring configure --document-format 2)"
    )]
    NeedsFormat2 {
        /// The kind.
        kind: Kind,
    },
    /// A value of version 3 without a place.
    #[error("version 3 of the sealed format binds every value: name its record or its group")]
    Unbound,
    /// Values of this kind are not sealed deterministically under the keys of a ring.
    #[error(
        "a value of the kind \"{kind}\" is not sealed deterministically: \
         only members, list elements and record names are"
    )]
    NotDeterministic {
        /// The kind.
        kind: Kind,
    },
    /// The name of a record is not one of these records.
    #[error("the record's name does not begin as the names of these records do")]
    OtherPrefix,
    /// No index key of the ring writes.
    #[error("the keyring has index keys, and none of them writes")]
    NoIndexKey,
    /// The sealer writes an older form of envelopes than it accepts: it could not read the value.
    #[error("the value would be {written}, and only version 3 of the sealed format is accepted")]
    NotAccepted {
        /// The form that is written.
        written: OldFormat,
    },
}

/// Stored bytes were not opened. The error does not contain them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// They were tampered with, moved from another record, sealed under another key, or damaged: one opaque answer for
    /// all of these.
    #[error("Failed to decrypt Redis data")]
    Refused,
    /// Sealed under a key that the keyring does not hold.
    #[error("the value is sealed under key {id}, which is not in the keyring")]
    UnknownKey {
        /// The key's id.
        id: KeyId,
    },
    /// Sealed under a key that is marked as compromised.
    #[error("the value is sealed under key {id}, which is marked as compromised")]
    Compromised {
        /// The key's id.
        id: KeyId,
    },
    /// A plain value in mode `required`.
    #[error("the value is plaintext, and the mode is \"required\"")]
    Plaintext,
    /// Bytes that start like a sealed envelope and are not one.
    #[error("Failed to decrypt Redis data: {0}")]
    Malformed(Defect),
    /// In an older form of envelopes than the oldest that is accepted.
    #[error(
        "the value is {found}, and only version 3 is accepted: where it is yours, accept version 2 for the time of a \
         waxseal rotate"
    )]
    Version {
        /// The form.
        found: OldFormat,
        /// The key that it is under.
        key: KeyId,
    },
    /// Sealed under a user's own key, which was destroyed.
    #[error("the user's key was destroyed")]
    Erased {
        /// The time, in milliseconds since the Unix epoch.
        at: u64,
    },
}

/// The stored name of a record was not opened. The error does not contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It does not have the form of a sealed name of these records.
    #[error("the name is not sealed")]
    NotSealed,
    /// It has the form of a sealed name, and is none.
    #[error("the name begins as a sealed one does and is not one")]
    Malformed,
    /// Sealed under a key that names of this keyring are not under.
    #[error("the name is sealed under key {id}, under which this keyring has no names")]
    UnknownKey {
        /// The key's id.
        id: KeyId,
    },
    /// Sealed under a key that is marked as compromised.
    #[error("the name is sealed under key {id}, which is marked as compromised")]
    Compromised {
        /// The key's id.
        id: KeyId,
    },
    /// It was made up, damaged, or sealed for other records or in another environment: one answer for all of these.
    #[error("the name does not open")]
    Refused,
    /// It was padded to another length than names of these records are.
    #[error("the name was sealed with another pad_names")]
    OtherPadding,
    /// Its tag is not the one of its slot; or it has one where the store is no cluster, or none where it is.
    #[error("the name was sealed for another slot, or for another kind of store")]
    WrongTag,
}

/// A value was not resealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResealError {
    /// It was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was opened and could not be sealed again.
    #[error(transparent)]
    Seal(#[from] SealError),
}
