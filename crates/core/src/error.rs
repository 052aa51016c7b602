//! What can go wrong on the ground floor, by culprit: the caller's key material, the caller's
//! request, the stored bytes. No variant carries a key or a value.

use crate::envelope::Defect;
use crate::key::KeyId;

/// Key material that is refused. The culprit is whoever configured the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 characters.
    #[error("Invalid encryption key length (got {got} characters, a key has 64)")]
    Length {
        /// How many characters there were.
        got: usize,
    },
    /// Not 64 characters, because something stands there that is not the key's.
    #[error("Invalid encryption key length (got {got} characters, a key has 64): {flaw}")]
    Surrounded {
        /// How many characters there were.
        got: usize,
        /// What stands there.
        flaw: KeyFlaw,
    },
    /// 64 characters, and not all of them hexadecimal.
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
    /// A text of a guide or a template where a key should be.
    #[error("Invalid encryption key: it is a placeholder, not a key (got {got} characters)")]
    Placeholder {
        /// How many characters there were.
        got: usize,
    },
    /// The operating system's random source failed.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// The cryptographic library would not take the key.
    #[error("the cryptographic library does not work on this machine")]
    Library,
}

/// What stands in or around a key and is none of its characters.
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
    /// A character that is not shown.
    #[error("it has a character in it that is not shown: copy it again")]
    Invisible,
    /// A prefix that says that it is hexadecimal.
    #[error("it begins with 0x: leave that out")]
    Prefix,
    /// Base64 of 32 bytes.
    #[error("it looks like Base64: write it as hexadecimal (base64 -d | xxd -p -c 64)")]
    Base64,
}

/// A keyring that cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The sealing key is refused.
    #[error(transparent)]
    Sealing(KeyError),
    /// One of the previous keys is refused.
    #[error("previous key {index}: {error}")]
    Previous {
        /// Which one, counted from 1.
        index: usize,
        /// Why.
        error: KeyError,
    },
    /// The same key twice (or two keys with one id).
    #[error("key {id} is in the keyring twice")]
    Duplicate {
        /// Its id.
        id: KeyId,
    },
}

/// Why a value was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is no key to seal with.
    #[error("no encryption key is configured")]
    NoKey,
    /// The key has sealed as many values as its format allows (classic: 2^32).
    #[error("key {id} has sealed as many classic values as is safe: rotate it")]
    KeyExhausted {
        /// Its id.
        id: KeyId,
    },
    /// The value or a part of the binding is longer than the format can say.
    #[error("the value or its name is too long to seal")]
    TooLong,
    /// The value begins as an envelope does and is none: written plain, it could not be read again.
    #[error(
        "the value begins as a sealed envelope does and is none: written plain, it could not be read again"
    )]
    LooksSealed,
    /// The user was erased: nothing is sealed for them any more.
    #[error("the user's key was destroyed")]
    Erased,
}

/// Why stored bytes were not opened. The bytes themselves are never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Tampered with, moved from another place, sealed under another key, or damaged: one opaque
    /// answer for every such cause.
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
    /// A plain value where the mode is `required`.
    #[error("the value is plaintext, and the mode is \"required\"")]
    Plaintext,
    /// Starts like a sealed envelope and is none.
    #[error("Failed to decrypt Redis data: {0}")]
    Malformed(Defect),
    /// Sealed under a user's own key, which was destroyed.
    #[error("the user's key was destroyed")]
    Erased {
        /// When, in milliseconds since the Unix epoch.
        at: u64,
    },
}

/// A value that could be neither opened nor sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResealError {
    /// It did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It opened and could not be sealed again.
    #[error(transparent)]
    Seal(#[from] SealError),
}
