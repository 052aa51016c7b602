//! Shares of the identity that opens a backup: Shamir's scheme over GF(256), implemented by
//! `vsss-rs`. Their text form is in `sheet`.

use std::collections::HashSet;

use vsss_rs::Gf256;
use waxseal_core::SecretKey;
use zeroize::{Zeroize, Zeroizing};

use super::BackupError;

/// The maximum number of shares. The scheme allows 255; but each sheet must be found, read and
/// rehearsed by a person, and no one keeps track of more than these.
pub const MAX_SHARES: u8 = 32;
const LEN: usize = 32;

/// The number of shares, and how many of them open a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    needed: u8,
    of: u8,
}

/// A share of a backup. It has no `Debug`, and is wiped when dropped.
#[derive(Clone)]
pub struct Share {
    pub(super) number: u8,
    pub(super) split: Split,
    pub(super) backup: String,
    pub(super) value: Zeroizing<[u8; LEN]>,
}

impl Split {
    /// Refuses a threshold of one: each share would be the key itself.
    pub fn new(needed: u8, of: u8) -> Result<Self, BackupError> {
        if needed < 2 || needed > of || of > MAX_SHARES {
            let most = MAX_SHARES;
            return Err(BackupError::Split { needed, of, most });
        }
        Ok(Self { needed, of })
    }

    /// The number of shares that open the backup.
    #[must_use]
    pub fn needed(self) -> u8 {
        self.needed
    }

    /// The number of shares.
    #[must_use]
    pub fn of(self) -> u8 {
        self.of
    }
}

impl Share {
    /// The number of the share, counted from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The total and the threshold.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// The id of its backup.
    #[must_use]
    pub fn backup(&self) -> &str {
        &self.backup
    }
}

pub(super) fn split(
    secret: &SecretKey,
    split: Split,
    backup: &str,
) -> Result<Vec<Share>, BackupError> {
    let (needed, of) = (usize::from(split.needed), usize::from(split.of));
    let made = Gf256::split_bytes(needed, of, secret.expose_bytes(), rand::rng());
    let mut made = Zeroizing::new(made.map_err(|_| BackupError::Sealing)?);
    let shares = made.iter().map(|bytes| {
        let (number, value) = bytes.split_first()?;
        Some(Share {
            number: *number,
            split,
            backup: backup.to_owned(),
            value: Zeroizing::new(value.try_into().ok()?),
        })
    });
    let shares: Option<Vec<_>> = shares.collect();
    made.zeroize();
    let shares = shares.ok_or(BackupError::Sealing)?;
    // An unusable share must be noticed now, not when it is needed.
    let numbers = shares.iter().map(Share::number);
    if !numbers.eq(1..=split.of) || !gives(&shares, secret) {
        return Err(BackupError::Sealing);
    }
    Ok(shares)
}

/// True if the first and the last sufficient sets of shares yield the secret.
fn gives(shares: &[Share], secret: &SecretKey) -> bool {
    let needed = shares.first().map_or(0, |it| usize::from(it.split.needed));
    let last = shares.len().saturating_sub(needed);
    [shares.get(..needed), shares.get(last..)]
        .into_iter()
        .all(|some| {
            let combined = some.and_then(|some| combine(some).ok());
            combined.is_some_and(|it| it.expose_bytes() == secret.expose_bytes())
        })
}

/// Recovers the secret. All shares are used, so that one that does not fit is noticed even if more
/// than needed were given.
pub(super) fn combine(shares: &[Share]) -> Result<SecretKey, BackupError> {
    let bytes = shares.iter().map(|share| {
        let mut bytes = Vec::with_capacity(LEN + 1);
        bytes.push(share.number);
        bytes.extend_from_slice(&*share.value);
        bytes
    });
    let bytes: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(bytes.collect());
    let combined = Gf256::combine_bytes(&*bytes).map_err(|_| BackupError::SharesDoNotFit)?;
    let combined = Zeroizing::new(combined);
    let secret = <&[u8; LEN]>::try_from(&combined[..]);
    let secret = secret.map_err(|_| BackupError::SharesDoNotFit)?;
    SecretKey::from_bytes(secret).map_err(|_| BackupError::SharesDoNotFit)
}

/// Checks that these can open this backup, as far as they show.
pub(super) fn check(shares: &[Share], backup: &str) -> Result<(), BackupError> {
    if let Some(other) = shares.iter().find(|share| share.backup != backup) {
        return Err(BackupError::OtherBackup {
            share: other.number,
            found: other.backup.clone(),
            expected: backup.to_owned(),
        });
    }
    let mut numbers = HashSet::new();
    if let Some(twice) = shares.iter().find(|share| !numbers.insert(share.number)) {
        return Err(BackupError::SameShare(twice.number));
    }
    let Some(first) = shares.first() else {
        let (given, needed, missing) = (0, 2, 2);
        return Err(BackupError::TooFewShares {
            given,
            needed,
            missing,
        });
    };
    if shares.iter().any(|share| share.split != first.split) {
        return Err(BackupError::SharesDoNotFit);
    }
    let (given, needed) = (shares.len(), first.split.needed);
    match usize::from(needed).saturating_sub(given) {
        0 => Ok(()),
        missing => Err(BackupError::TooFewShares {
            given,
            needed,
            missing,
        }),
    }
}
