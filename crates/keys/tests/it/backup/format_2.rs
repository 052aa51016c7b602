//! Backups of a ring in format 2: with its index keys.

use std::sync::Arc;

use age::x25519::Identity;
use serde_json::{Value, json};
use waxseal_core::{Binding, Format, Mode, Sealer};
use waxseal_keys::{Backup, BackupError, DocumentFormat, Ring, Settings, Split};

use super::{another_custodian, assert_is_whole, identities, recipients, refused};
use crate::rings::{NOW, custodian, with};

const MEMBER: &[u8] = b"5215512345678";

/// A ring with an index key that writes and one that reads, a backup of it, and a member under each.
async fn backed_up() -> (Ring, Backup, [Vec<u8>; 2]) {
    let custodian = custodian();
    let custodians = [custodian.clone()];
    let (format, settings) = (DocumentFormat::V2, Settings::default());
    let ring = Ring::create_in(format, "test", settings, &custodians, &[], NOW).await;
    let ring = ring.unwrap();
    let older = seal(&ring);
    let ring = ring.with_new_index_key(&custodians, NOW).await.unwrap();
    let id = ring.index_keys()[1].id;
    let ring = ring.with_writing(id, NOW, true).unwrap();
    let newer = seal(&ring);
    assert_ne!(older, newer);
    let backup = Backup::of(&ring, &with(&custodian)).await.unwrap();
    (ring, backup, [older, newer])
}

fn sealer(ring: &Ring) -> Sealer {
    let keyring = Arc::new(ring.keyring().unwrap());
    Sealer::new(keyring, Mode::Required, Format::Sealed)
}

fn seal(ring: &Ring) -> Vec<u8> {
    let binding = Binding::member(b"wa:index");
    sealer(ring).seal_deterministic(MEMBER, binding).unwrap()
}

/// Asserts that a ring was imported: wrapped by another custodian, it opens both members.
async fn assert_opens(backup: &Backup, members: &[Vec<u8>; 2]) {
    let other = another_custodian();
    let imported = backup
        .wrapped_by(std::slice::from_ref(&other))
        .await
        .unwrap();
    let bytes = imported.to_bytes();
    let opened = Ring::open(&bytes, "here", "test", &with(&other), None).await;
    let sealer = sealer(&opened.unwrap());
    for member in members {
        let opened = sealer.open(member, Binding::member(b"wa:index")).unwrap();
        assert_eq!(&*opened.unwrap().value, MEMBER);
    }
    assert_eq!(imported.unevenly_wrapped(), []);
}

#[tokio::test]
async fn an_imported_ring_opens_what_is_under_its_index_keys() {
    let (ring, backup, members) = backed_up().await;
    let identity = Identity::generate();
    let file = backup.seal(&recipients(&[&identity])).unwrap();
    let opened = Backup::open(file.as_bytes(), &identities(&identity)).await;
    let opened = opened.unwrap();
    assert_is_whole(&opened, &ring);
    assert_opens(&opened, &members).await;
}

#[tokio::test]
async fn shares_restore_the_index_keys_as_well() {
    let (ring, backup, members) = backed_up().await;
    let (file, shares) = backup.split(Split::new(2, 3).unwrap()).unwrap();
    let opened = Backup::open_with_shares(file.as_bytes(), &shares[1..]).await;
    let opened = opened.unwrap();
    assert_is_whole(&opened, &ring);
    assert_opens(&opened, &members).await;
}

#[tokio::test]
async fn a_backup_without_an_index_key_or_in_the_format_of_another_document_is_refused() {
    let (ring, backup, _) = backed_up().await;
    let identity = Identity::generate();
    let file = backup.seal(&recipients(&[&identity])).unwrap();
    let plain = age::decrypt(&identity, file.as_bytes()).unwrap();
    let content: Value = serde_json::from_slice(&plain).unwrap();
    // A former version does not know the backup's format, and says so.
    assert_eq!(content["format"], json!(2));
    assert_eq!(content["keys"].as_object().unwrap().len(), 4);
    let opened = async |content: &Value| {
        let content = serde_json::to_vec(content).unwrap();
        let file = age::encrypt_and_armor(&identity.to_public(), &content).unwrap();
        Backup::open(file.as_bytes(), &identities(&identity)).await
    };
    assert!(opened(&content).await.is_ok());
    let id = ring.writing().unwrap().id.to_string();
    let mut lacking = content.clone();
    lacking["keys"].as_object_mut().unwrap().remove(&id);
    let error = refused(opened(&lacking).await);
    assert_eq!(error, BackupError::Lacks(id));
    for format in [1, 3] {
        let mut other = content.clone();
        other["format"] = json!(format);
        let error = refused(opened(&other).await);
        assert_eq!(error, BackupError::Format(format));
    }
}
