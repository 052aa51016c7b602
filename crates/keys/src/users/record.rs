//! The bytes of a user's record, before they are sealed: version (1) ‖ kind (1) ‖ epoch (4) ‖ time (8),
//! and for a live key id (4) ‖ key (32). Numbers are big-endian.

use waxseal_core::{KeyId, SecretKey};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const LIVE: u8 = 1;
const ERASED: u8 = 2;
/// Like `ERASED`, of a user who never had a key.
const KEYLESS: u8 = 3;
const HEAD: usize = 14;
const KEY: usize = 32;

/// The content of one user's record.
pub(super) enum UserRecord {
    /// The user's key.
    Live {
        /// When it was created (milliseconds since the Unix epoch).
        created: u64,
        /// The number of erasures of the user by then.
        epoch: u32,
        /// The id that values name it by.
        id: KeyId,
        /// The key.
        key: SecretKey,
    },
    /// The mark of a key that was destroyed.
    Erased {
        /// The time of the erasure (milliseconds since the Unix epoch).
        at: u64,
        /// The number of erasures so far.
        epoch: u32,
        /// True if there was a key.
        had_key: bool,
    },
}

impl UserRecord {
    /// The number of erasures of the user when it was written.
    pub(super) fn epoch(&self) -> u32 {
        match self {
            Self::Live { epoch, .. } | Self::Erased { epoch, .. } => *epoch,
        }
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // With room for all of it: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + 4 + KEY));
        let (kind, time) = match self {
            Self::Live { created, .. } => (LIVE, created),
            Self::Erased {
                at, had_key: true, ..
            } => (ERASED, at),
            Self::Erased { at, .. } => (KEYLESS, at),
        };
        bytes.extend_from_slice(&[VERSION, kind]);
        bytes.extend_from_slice(&self.epoch().to_be_bytes());
        bytes.extend_from_slice(&time.to_be_bytes());
        if let Self::Live { id, key, .. } = self {
            bytes.extend_from_slice(&id.to_u32().to_be_bytes());
            bytes.extend_from_slice(key.expose_bytes());
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let ([version, kind], tail) = bytes.split_first_chunk()?;
        let (epoch, tail) = tail.split_first_chunk()?;
        let (time, tail) = tail.split_first_chunk()?;
        let (epoch, time) = (u32::from_be_bytes(*epoch), u64::from_be_bytes(*time));
        match (*version, *kind) {
            (VERSION, LIVE) => {
                let (id, key) = tail.split_first_chunk()?;
                let key: &[u8; KEY] = key.try_into().ok()?;
                Some(Self::Live {
                    created: time,
                    epoch,
                    id: KeyId::from_u32(u32::from_be_bytes(*id)),
                    key: SecretKey::from_bytes(key).ok()?,
                })
            }
            (VERSION, ERASED | KEYLESS) if tail.is_empty() => Some(Self::Erased {
                at: time,
                epoch,
                had_key: *kind == ERASED,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_round_trips_and_no_part_of_it_parses() {
        let key = SecretKey::generate().ok().unwrap();
        let live = UserRecord::Live {
            created: 17,
            epoch: 3,
            id: KeyId::from_u32(0xAABB_CCDD),
            key,
        };
        let mark = |had_key| UserRecord::Erased {
            at: 18,
            epoch: 4,
            had_key,
        };
        for record in [live, mark(true), mark(false)] {
            let bytes = record.to_bytes();
            let parsed = UserRecord::parse(&bytes).unwrap();
            assert_eq!(*parsed.to_bytes(), *bytes);
            assert_eq!(parsed.epoch(), record.epoch());
            for len in 0..bytes.len() {
                assert!(UserRecord::parse(&bytes[..len]).is_none(), "{len}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(UserRecord::parse(&longer).is_none());
        }
    }
}
