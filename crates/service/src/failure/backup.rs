//! Failures of backups of a keyring, with hints for the case that they are all that is left.

use waxseal_keys::BackupError;

use super::Failure;

/// The hint where the file may be damaged.
const OTHER_COPY: &str = "take another copy of the file, and compare them (sha256sum)";
const COMPARE_WITH_SHEET: &str = "compare it with the sheet, letter by letter; 0 and O are the same, and so are \
    1, I and L";

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match &error {
            BackupError::Ring(cause) => return cause.clone().into(),
            BackupError::Library(cause) => return Self::failed(cause),
            _ => {}
        }
        if let Some(hint) = of_usage(&error) {
            return Self::usage(&error).hint(hint);
        }
        match of_failure(&error) {
            Some(hint) => Self::failed(&error).hint(hint),
            None => Self::failed(&error),
        }
    }
}

/// The hint where an argument is wrong.
fn of_usage(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::NoIdentity => {
            "age-keygen writes such a file; one that is under a passphrase is opened with age -d first"
        }
        BackupError::Recipient { .. } => {
            "age-keygen -y tells the recipient of an identity; post-quantum, SSH and plugin recipients \
             are not taken"
        }
        BackupError::SecretRecipient { .. } => {
            "age-keygen -y tells its recipient; where others could read the command line, make a new \
             identity"
        }
        BackupError::NoRecipient => {
            "name one with --recipient age1… or --recipients-file, or split the backup with --shares \
             3-of-5 --out DIRECTORY"
        }
        BackupError::Split { .. } => "for example --shares 3-of-5",
        _ => return None,
    })
}

fn of_failure(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::NotAge => {
            "waxseal keyring export writes a file that starts with -----BEGIN AGE ENCRYPTED FILE-----: \
             name that"
        }
        BackupError::Damaged(_) | BackupError::Payload { .. } => OTHER_COPY,
        BackupError::TooLarge(_) => "it is not a backup of a keyring: name another file",
        BackupError::WrongIdentity => {
            "name the identity of one of the recipients that it was made for; a backup in shares is \
             opened with --share"
        }
        BackupError::NoShare => {
            "name the file of a share (--share share-1.txt), or of a sheet that was typed again"
        }
        BackupError::ShareField(_)
        | BackupError::ShareLine(_)
        | BackupError::ShareLineMissing(_)
        | BackupError::ShareWhole => COMPARE_WITH_SHEET,
        BackupError::ShareFormat(_) | BackupError::Format(_) => {
            "a newer waxseal wrote it: install that version here"
        }
        BackupError::TooFewShares { .. } => "name each share with a --share of its own",
        BackupError::SameShare(_) => "each share counts once: name another one",
        BackupError::OtherBackup { .. } => {
            "take the file backup.age that was made with this share, or the shares of this file; where \
             both are right, the file is damaged: take another copy"
        }
        BackupError::SharesDoNotFit => {
            "one of them is not what it says it is: try others, no more than are needed at a time"
        }
        BackupError::Lacks(_) | BackupError::Foreign | BackupError::Document(_) => {
            "it was changed before it was sealed: take another backup"
        }
        BackupError::Environment { .. } => {
            "nothing was changed; set environment in waxseal.toml, or take the backup of this \
             environment"
        }
        _ => return None,
    })
}
