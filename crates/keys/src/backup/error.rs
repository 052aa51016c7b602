//! What can go wrong with a backup: the file, who should open it, a share, what is in it. No text holds
//! a key, an identity or a share.

use waxseal_core::KeyError;

use crate::error::{DocumentError, RingError};

/// Why a backup was not made or not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It is something else than an age file.
    #[error("it is no age file")]
    NotAge,
    /// It is an age file that was changed or cut off.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// It is larger than any keyring is.
    #[error("the backup has more than {0} MiB")]
    TooLarge(usize),
    /// It was made for somebody else.
    #[error("the identity does not open this backup")]
    WrongIdentity,
    /// A file of identities that holds none.
    #[error("there is no age identity in it (a line that starts with AGE-SECRET-KEY-1)")]
    NoIdentity,
    /// A text that is no recipient.
    #[error("{place} is no age recipient (age1…)")]
    Recipient {
        /// Which one, in words.
        place: String,
    },
    /// An identity, which is a secret, where its recipient should stand.
    #[error("{place} is an age identity, which is a secret, and no recipient")]
    SecretRecipient {
        /// Which one, in words.
        place: String,
    },
    /// Nobody was named who could open it.
    #[error("no recipient is named: nobody could open the backup")]
    NoRecipient,
    /// So many shares are not made.
    #[error(
        "a backup cannot be split so that {needed} of {of} shares open it: at least 2, and at most \
         {most} in all"
    )]
    Split {
        /// How many would open it.
        needed: u8,
        /// How many there would be.
        of: u8,
        /// How many there can be.
        most: u8,
    },
    /// A text that is no share.
    #[error("it is no share of a backup")]
    NoShare,
    /// A share of a newer program.
    #[error("the share has format {0}, which is unknown to this version of waxseal")]
    ShareFormat(u32),
    /// A field of a share that is not there, there twice, or not as it is printed.
    #[error("the line \"{0}:\" of the share is missing or mistyped")]
    ShareField(&'static str),
    /// A numbered line that is not there.
    #[error("line {0} of the share is missing")]
    ShareLineMissing(u8),
    /// A numbered line that was mistyped.
    #[error("line {0} of the share is mistyped or damaged")]
    ShareLine(u8),
    /// Right lines that do not make a share.
    #[error(
        "each numbered line of the share is right, and the share as a whole is not: its line \
         \"Share:\", \"Backup:\" or \"Whole:\" is mistyped, or a numbered line is that of another share"
    )]
    ShareWhole,
    /// Not enough of them.
    #[error(
        "{given} of the {needed} shares that are needed: {missing} more {}",
        if *.missing == 1 { "is missing" } else { "are missing" }
    )]
    TooFewShares {
        /// How many were given.
        given: usize,
        /// How many open the backup.
        needed: u8,
        /// How many more it takes.
        missing: usize,
    },
    /// One that was given twice counts once.
    #[error("share {0} was given twice")]
    SameShare(u8),
    /// A share of another backup.
    #[error("share {share} is of the backup {found}, and this file is the backup {expected}")]
    OtherBackup {
        /// Its number.
        share: u8,
        /// The backup that it is of.
        found: String,
        /// The backup that should be opened.
        expected: String,
    },
    /// Shares that tell different things of their backup, or do not open it.
    #[error("the shares do not fit together: they do not open this backup")]
    SharesDoNotFit,
    /// What was sealed is not what a backup holds.
    #[error("the content of the backup is damaged (line {line}, column {column})")]
    Payload {
        /// Where it goes wrong, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// A backup of a newer program.
    #[error("the backup has format {0}, which is unknown to this version of waxseal")]
    Format(u32),
    /// Its keyring has a key that it does not hold.
    #[error("the backup lacks the key {0} of its keyring")]
    Lacks(String),
    /// It holds a key that its keyring does not have.
    #[error("the backup holds a key that its keyring does not have")]
    Foreign,
    /// The keyring in it is refused.
    #[error("the keyring in the backup is refused: {0}")]
    Document(DocumentError),
    /// It is of another environment.
    #[error("the backup is of the environment \"{found}\", and this process for \"{expected}\"")]
    Environment {
        /// The backup's.
        found: String,
        /// The one that is configured.
        expected: String,
    },
    /// It could not be sealed.
    #[error("the backup could not be sealed")]
    Sealing,
    /// The keyring of which it should be made, or the custodians.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
}
