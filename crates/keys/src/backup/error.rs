//! Errors of backups: the file, who should open it, a share, the content. No text holds a key, an
//! identity or a share.

use waxseal_core::KeyError;

use crate::error::{DocumentError, RingError};

/// Why a backup was not created or not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It is not an age file.
    #[error("it is not an age file")]
    NotAge,
    /// It is an age file that was changed or truncated.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// It is larger than any keyring.
    #[error("the backup has more than {0} MiB")]
    TooLarge(usize),
    /// It was sealed to other recipients.
    #[error("the identity does not open this backup")]
    WrongIdentity,
    /// A file without identities.
    #[error("there is no age identity in it (a line that starts with AGE-SECRET-KEY-1)")]
    NoIdentity,
    /// A text that is not a recipient.
    #[error("{place} is not an age recipient (age1…)")]
    Recipient {
        /// Its position, for the message.
        place: String,
    },
    /// An identity, which is a secret, in place of its recipient.
    #[error("{place} is an age identity, which is a secret, and not a recipient")]
    SecretRecipient {
        /// Its position, for the message.
        place: String,
    },
    /// No recipient was named.
    #[error("no recipient is named: no one could open the backup")]
    NoRecipient,
    /// This number of shares is not supported.
    #[error(
        "a backup cannot be split so that {needed} of {of} shares open it: at least 2, and at most \
         {most} in all"
    )]
    Split {
        /// The number of shares to open it.
        needed: u8,
        /// The number of shares in all.
        of: u8,
        /// The maximum number of shares.
        most: u8,
    },
    /// A text that is not a share.
    #[error("it is not a share of a backup")]
    NoShare,
    /// A share of a newer program.
    #[error("the share has format {0}, which is unknown to this version of waxseal")]
    ShareFormat(u32),
    /// A field of a share that is missing, repeated, or not as it was printed.
    #[error("the line \"{0}:\" of the share is missing or mistyped")]
    ShareField(&'static str),
    /// A missing numbered line.
    #[error("line {0} of the share is missing")]
    ShareLineMissing(u8),
    /// A mistyped numbered line.
    #[error("line {0} of the share is mistyped or damaged")]
    ShareLine(u8),
    /// Valid lines that do not form a share.
    #[error(
        "each numbered line of the share is right, and the share as a whole is not: its line \
         \"Share:\", \"Backup:\" or \"Whole:\" is mistyped, or a numbered line is that of another share"
    )]
    ShareWhole,
    /// Too few shares.
    #[error(
        "{given} of the {needed} shares that are needed: {missing} more {}",
        if *.missing == 1 { "is missing" } else { "are missing" }
    )]
    TooFewShares {
        /// The number given.
        given: usize,
        /// The number that opens the backup.
        needed: u8,
        /// The number missing.
        missing: usize,
    },
    /// A share given twice, which counts once.
    #[error("share {0} was given twice")]
    SameShare(u8),
    /// A share of another backup.
    #[error("share {share} is of the backup {found}, and this file is the backup {expected}")]
    OtherBackup {
        /// Its number.
        share: u8,
        /// The share's backup.
        found: String,
        /// The backup to be opened.
        expected: String,
    },
    /// Shares that contradict each other, or do not open the backup.
    #[error("the shares do not fit together: they do not open this backup")]
    SharesDoNotFit,
    /// The content is not that of a backup.
    #[error("the content of the backup is damaged (line {line}, column {column})")]
    Payload {
        /// The line of the error, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A backup of a newer program.
    #[error("the backup has format {0}, which is unknown to this version of waxseal")]
    Format(u32),
    /// Its keyring has a key that the backup lacks.
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
    /// The keyring to be backed up, or the custodians.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
}
