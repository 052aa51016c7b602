//! Backups: created and opened with identities and with shares; refused ones; and no secret in any text.

mod content;
mod files;
mod format_2;
mod sheets;
mod splits;

use std::sync::Arc;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use waxseal_keys::{
    About, Backup, BackupError, Custodian, Identities, Recipients, Ring, Share, Split,
};

use crate::rings::{fixed_custodian, with};

/// The ring of the vectors: keys in several states, one of them destroyed.
async fn ring() -> Ring {
    let bytes = include_bytes!("../vectors/good.json");
    let custodians = with(&fixed_custodian());
    let ring = Ring::open(bytes, "here", "test", &custodians, None).await;
    ring.unwrap()
}

async fn backup() -> Backup {
    let custodians = with(&fixed_custodian());
    Backup::of(&ring().await, &custodians).await.unwrap()
}

fn recipients(of: &[&Identity]) -> Recipients {
    let mut recipients = Recipients::default();
    for identity in of {
        let text = identity.to_public().to_string();
        recipients.add(&text, "the first").unwrap();
    }
    recipients
}

fn identities(of: &Identity) -> Identities {
    Identities::parse(of.to_string().expose_secret()).unwrap()
}

fn about() -> About {
    About {
        ring: "0123456789abcdef".to_owned(),
        environment: "tést\u{1b}[31m".to_owned(),
        date: "2027-01-15".to_owned(),
        check_value: "0123456789abcdef".to_owned(),
    }
}

/// Shares of a backup that was split for this test.
async fn split(needed: u8, of: u8) -> (String, Vec<Share>) {
    let split = Split::new(needed, of).unwrap();
    backup().await.split(split).unwrap()
}

fn refused<T>(result: Result<T, BackupError>) -> BackupError {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

/// Asserts that a backup contains all keys of a ring.
#[track_caller]
fn assert_is_whole(opened: &Backup, ring: &Ring) {
    assert_eq!(opened.ring().to_bytes(), ring.to_bytes());
    assert_eq!(opened.ring().check_value(), ring.check_value());
    let ids = |ring: &Ring| {
        let keyring = ring.keyring().unwrap();
        let mut ids: Vec<_> = keyring.usage().map(|usage| usage.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(opened.ring()), ids(ring));
}

/// Another custodian than that of the ring.
fn another_custodian() -> Arc<dyn Custodian> {
    crate::rings::custodian()
}
