//! How backups of a keyring fail, with what to do about it when they are all that is left.

use waxseal_keys::BackupError;

use super::Failure;

/// What is said where the file may be at fault.
const OTHER_COPY: &str = "take another copy of the file, and compare them (sha256sum)";
const TYPE_AGAIN: &str = "compare it with the sheet, letter by letter; 0 and O are the same, and so are \
    1, I and L";

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let hint = match &error {
            BackupError::Ring(cause) => return cause.clone().into(),
            BackupError::Library(cause) => return Self::failed(cause),
            BackupError::NotAge => {
                "waxseal keyring export writes a file that starts with -----BEGIN AGE ENCRYPTED \
                 FILE-----: name that"
            }
            BackupError::Damaged(_) | BackupError::Payload { .. } => OTHER_COPY,
            BackupError::TooLarge(_) => "it is no backup of a keyring: name another file",
            BackupError::WrongIdentity => {
                "name the identity of one of the recipients that it was made for; a backup in shares is \
                 opened with --share"
            }
            BackupError::NoIdentity => {
                return usage(
                    &error,
                    "age-keygen writes such a file; one that is under a passphrase is \
                    opened with age -d first",
                );
            }
            BackupError::Recipient { .. } => {
                return usage(
                    &error,
                    "age-keygen -y tells the recipient of an identity; post-quantum, \
                    SSH and plugin recipients are not taken",
                );
            }
            BackupError::SecretRecipient { .. } => {
                return usage(
                    &error,
                    "age-keygen -y tells its recipient; where others could read the \
                    command line, make a new identity",
                );
            }
            BackupError::NoRecipient => {
                return usage(
                    &error,
                    "name one with --recipient age1… or --recipients-file, or split \
                    the backup with --shares 3-of-5 --out FOLDER",
                );
            }
            BackupError::Split { .. } => return usage(&error, "for example --shares 3-of-5"),
            BackupError::NoShare => {
                "name the file of a share (--share share-1.txt), or of a sheet that was typed again"
            }
            BackupError::ShareField(_)
            | BackupError::ShareLine(_)
            | BackupError::ShareLineMissing(_)
            | BackupError::ShareWhole => TYPE_AGAIN,
            BackupError::ShareFormat(_) | BackupError::Format(_) => {
                "a newer waxseal wrote it: install that version here"
            }
            BackupError::TooFewShares { .. } => "name each share with a --share of its own",
            BackupError::SameShare(_) => "each share counts once: name another one",
            BackupError::OtherBackup { .. } => {
                "take the file backup.age that was made with this share, or the shares of this file; \
                 where both are right, the file is damaged: take another copy"
            }
            BackupError::SharesDoNotFit => {
                "one of them is not what it says it is: try others, no more than are needed at a time"
            }
            BackupError::Lacks(_) | BackupError::Foreign | BackupError::Document(_) => {
                "somebody changed it before it was sealed: take another backup"
            }
            BackupError::Environment { .. } => {
                "nothing was changed; set environment in waxseal.toml, or take the backup of this \
                 environment"
            }
            _ => return Self::failed(&error),
        };
        Self::failed(&error).hint(hint)
    }
}

fn usage(error: &BackupError, hint: &str) -> Failure {
    Failure::usage(error).hint(hint)
}
