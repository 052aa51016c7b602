//! The content of a backup: complete, consistent, and nothing else; and vectors that must always open.

use std::path::PathBuf;

use age::x25519::Identity;
use serde_json::{Value, json};
use waxseal_keys::{Backup, BackupError, DocumentError, Identities, RingError, Share};

use super::{assert_is_whole, backup, identities, recipients, refused, ring};
use crate::rings::{custodian, with};

/// A backup whose content was changed by a holder of an identity.
async fn changed(change: impl FnOnce(&mut Value)) -> Result<Backup, BackupError> {
    let identity = Identity::generate();
    let file = backup().await.seal(&recipients(&[&identity])).unwrap();
    let plain = age::decrypt(&identity, file.as_bytes()).unwrap();
    let mut content = serde_json::from_slice(&plain).unwrap();
    change(&mut content);
    opened(&identity, &serde_json::to_vec(&content).unwrap()).await
}

async fn opened(identity: &Identity, content: &[u8]) -> Result<Backup, BackupError> {
    let file = age::encrypt_and_armor(&identity.to_public(), content).unwrap();
    Backup::open(file.as_bytes(), &identities(identity)).await
}

#[tokio::test]
async fn it_holds_the_document_and_its_keys_and_nothing_else() {
    let identity = Identity::generate();
    let file = backup().await.seal(&recipients(&[&identity])).unwrap();
    let plain = age::decrypt(&identity, file.as_bytes()).unwrap();
    let content: Value = serde_json::from_slice(&plain).unwrap();
    let members: Vec<_> = content.as_object().unwrap().keys().collect();
    assert_eq!(members, ["document", "format", "keys"]);
    let document: Value = serde_json::from_slice(&ring().await.to_bytes()).unwrap();
    assert_eq!(content["document"], document);
    // The ring's own secret and each key that was not destroyed.
    let keys = content["keys"].as_object().unwrap();
    assert_eq!(keys.len(), 4);
    assert!(keys.contains_key("names"));
    assert!(keys.values().all(|key| key.as_str().unwrap().len() == 43));
}

#[tokio::test]
async fn an_inconsistent_backup_is_refused() {
    assert!(changed(|_| ()).await.is_ok());
    let lacks =
        refused(changed(|it| drop(it["keys"].as_object_mut().unwrap().remove("names"))).await);
    assert_eq!(lacks, BackupError::Lacks("names".to_owned()));
    let foreign = refused(changed(|it| it["keys"]["00000000"] = it["keys"]["names"].clone()).await);
    assert_eq!(foreign, BackupError::Foreign);
    let mac = BackupError::Document(DocumentError::Mac);
    let version = refused(changed(|it| it["document"]["version"] = json!(99)).await);
    assert_eq!(version, mac);
    let environment = changed(|it| it["document"]["environment"] = json!("other")).await;
    assert_eq!(refused(environment), mac);
    // Each key in the position of each other one.
    let names: Vec<String> = {
        let entries = ring().await.keys().to_vec();
        let present = entries.iter().filter(|it| !it.wraps.is_empty());
        let ids = present.map(|it| it.id.to_string());
        ids.chain(["names".to_owned()]).collect()
    };
    for (index, name) in names.iter().enumerate() {
        let other = &names[(index + 1) % names.len()];
        let error = refused(changed(|it| it["keys"][name] = it["keys"][other].clone()).await);
        assert_eq!(error, mac);
    }
}

#[tokio::test]
async fn a_malformed_content_is_refused_and_not_shown() {
    let is_form = |error: &BackupError| matches!(error, BackupError::Payload { .. });
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2V";
    let changes: [fn(&mut Value); 6] = [
        |it| it["more"] = json!(1),
        |it| it["document"]["more"] = json!(1),
        |it| it["keys"]["names"] = json!("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2V"),
        |it| it["keys"]["names"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        |it| it["keys"]["names"] = json!(7),
        |it| drop(it.as_object_mut().unwrap().remove("document")),
    ];
    for change in changes {
        let error = refused(changed(change).await);
        assert!(is_form(&error), "{error}");
        assert!(!format!("{error} {error:?}").contains(&secret[..8]));
    }
    let newer = refused(changed(|it| it["format"] = json!(2)).await);
    assert_eq!(newer, BackupError::Format(2));
    let identity = Identity::generate();
    for content in [&b""[..], b"{", b"[]", b"{}", &[0xff; 10]] {
        let error = refused(opened(&identity, content).await);
        assert!(is_form(&error), "{error}");
    }
    let twice = br#"{"format":1,"format":1,"document":{},"keys":{}}"#;
    assert!(is_form(&refused(opened(&identity, twice).await)));
}

#[tokio::test]
async fn a_backup_of_another_environment_is_refused() {
    let backup = backup().await;
    assert_eq!(backup.check_environment("test"), Ok(()));
    let expected = "prod".to_owned();
    let found = "test".to_owned();
    let error = BackupError::Environment { found, expected };
    assert_eq!(backup.check_environment("prod"), Err(error));
}

#[tokio::test]
async fn a_backup_is_created_with_the_custodians_of_the_ring_alone() {
    let error = refused(Backup::of(&ring().await, &with(&custodian())).await);
    assert!(
        matches!(error, BackupError::Ring(RingError::Custodian(_))),
        "{error}"
    );
}

#[tokio::test]
async fn it_distinguishes_a_known_document_from_others() {
    let (backup, ring) = (backup().await, ring().await);
    assert!(backup.follows(&ring.to_bytes()).await);
    let custodians = [another()];
    let newer = backup.wrapped_by(&custodians).await.unwrap();
    assert!(!backup.follows(&newer.to_bytes()).await);
    let other = crate::rings::new_ring(&custodians[0]).await;
    assert!(!backup.follows(&other.to_bytes()).await);
    assert!(!backup.follows(b"{").await);
}

fn another() -> std::sync::Arc<dyn waxseal_keys::Custodian> {
    super::another_custodian()
}

fn vector(name: &str) -> String {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/backup");
    std::fs::read_to_string(directory.join(name)).unwrap()
}

#[tokio::test]
async fn backups_and_sheets_of_this_format_always_open() {
    let ring = ring().await;
    let identities = Identities::parse(&vector("identity.txt")).unwrap();
    let opened = Backup::open(vector("to-identity.age").as_bytes(), &identities).await;
    assert_is_whole(&opened.unwrap(), &ring);
    let shares = ["share-1.txt", "share-3.txt"].map(|name| Share::parse(&vector(name)).unwrap());
    let opened = Backup::open_with_shares(vector("backup.age").as_bytes(), &shares).await;
    assert_is_whole(&opened.unwrap(), &ring);
}
