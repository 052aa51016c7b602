//! Every store and custodian of this crate passes the suite of its kind.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::secret_file::{Exposure, SecretFileError};
use waxseal_keys::{
    CustodianError, Custodians, FileDocumentStore, MemoryDocumentStore, MemoryUserKeys, Variables,
    conformance,
};
use zeroize::Zeroizing;

use crate::rings::SECRET;

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_keeps_the_contract() {
    let store = Arc::new(MemoryDocumentStore::default());
    conformance::document_store(store.clone(), store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_a_file_keeps_the_contract_and_is_readable_by_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.json");
    let store = || Arc::new(FileDocumentStore::new(&path));
    conformance::document_store(store(), store()).await;
    let mut files = 0;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
        let name = file.file_name().into_string().unwrap();
        assert!(
            name.starts_with("keyring.json"),
            "nothing is left behind: {name}"
        );
        files += 1;
    }
    assert!(files >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_users_keys_in_memory_keeps_the_contract() {
    conformance::user_keys(Arc::new(MemoryUserKeys::default())).await;
}

#[tokio::test]
async fn the_custodian_of_the_environment_keeps_the_contract() {
    let custodian = Custodians::open("env:", &one("REDIS_ENCRYPTION_KEY", SECRET)).unwrap();
    assert_eq!(custodian.url(), "env:REDIS_ENCRYPTION_KEY");
    conformance::custodian(&*custodian, &[SECRET]).await;
}

#[tokio::test]
async fn the_custodian_in_a_file_keeps_the_contract_and_refuses_a_file_that_others_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let secret = SecretKey::generate().unwrap();
    std::fs::write(&path, format!("{}\n", secret.expose_hex().as_str())).unwrap();
    let url = format!("file:{}", path.display());
    let allow = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).unwrap();
    };
    for (mode, to) in [
        (0o640, Exposure::Group),
        (0o604, Exposure::Everyone),
        (0o620, Exposure::WritingGroup),
    ] {
        allow(mode);
        let error = Custodians::open(&url, &none()).err().unwrap();
        let exposed = SecretFileError::Exposed {
            to,
            mode,
            own: true,
        };
        assert!(matches!(error, CustodianError::File { error, .. } if error == exposed));
    }
    allow(0o600);
    let custodian = Custodians::open(&url, &none()).unwrap();
    conformance::custodian(&*custodian, &[&secret.expose_hex()]).await;
}

#[test]
fn a_custodian_without_a_usable_secret_is_not_opened_and_shows_nothing_of_it() {
    let short = one("KEK", &SECRET[..60]);
    let error = Custodians::open("env:KEK", &short).err().unwrap();
    assert!(matches!(error, CustodianError::Secret { .. }));
    assert!(!format!("{error} {error:?}").contains(&SECRET[..8]));
    let error = Custodians::open("env:KEK", &one("KEK", " ")).err().unwrap();
    let variable = "KEK".to_owned();
    assert_eq!(error, CustodianError::NotSet { variable });
    let error = Custodians::open("ftp://host/key", &none()).err();
    assert_eq!(error, Some(CustodianError::Scheme));
    let locked: Variables = Arc::new(|_| Err("its file can be read by others".to_owned()));
    let error = Custodians::open("env:KEK", &locked).err().unwrap();
    assert!(matches!(error, CustodianError::Variable { .. }), "{error}");
}

#[test]
fn a_secret_in_the_position_of_a_path_is_not_shown() {
    for path in [
        SECRET,
        "-----BEGIN PRIVATE KEY-----\nMIIE",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    ] {
        let error = Custodians::open(&format!("file:{path}"), &none())
            .err()
            .unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&path[..12]), "{shown}");
        assert!(matches!(error, CustodianError::File { .. }), "{shown}");
    }
    let error = Custodians::open("file:/nowhere/key", &none())
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/key"), "{error}");
}

/// No variable is set.
fn none() -> Variables {
    Arc::new(|_| Ok(None))
}

/// One variable is set.
fn one(name: &str, value: &str) -> Variables {
    let (name, value) = (name.to_owned(), value.to_owned());
    Arc::new(move |asked| Ok((asked == name).then(|| Zeroizing::new(value.clone()))))
}
