//! A start without any custodian: only if a key of the machine is configured for it, only on request, and
//! never instead of a custodian that refuses.

use std::path::Path;
use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, CustodianError, Custodians, Document, DocumentStore, KeyState, LiveOptions, LiveRing,
    MemoryDocumentStore, Offline, RingError, variables,
};

use super::{Fickle, all, store_with_ring};
use crate::rings::{Clock, NOW, options};

struct Machine {
    directory: tempfile::TempDir,
    key: String,
}

impl Machine {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            key: SecretKey::generate().unwrap().expose_hex().to_string(),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("copy.offline.json")
    }

    fn custodians(&self, custodian: &Arc<Fickle>, allow_start: bool) -> Custodians {
        with_offline(custodian, &self.file(), &self.key, allow_start)
    }

    async fn start(
        &self,
        store: &Arc<MemoryDocumentStore>,
        custodian: &Arc<Fickle>,
        allow_start: bool,
    ) -> Result<LiveRing, RingError> {
        let options = LiveOptions {
            copy: Some(self.directory.path().join("copy.json")),
            ..options(&Clock::at(NOW))
        };
        LiveRing::open(
            store.clone(),
            self.custodians(custodian, allow_start),
            options,
        )
        .await
    }
}

fn with_offline(custodian: &Arc<Fickle>, file: &Path, key: &str, allow_start: bool) -> Custodians {
    let key = key.to_owned();
    let variables = variables(move |name| (name == "LOCAL").then(|| key.clone()));
    let offline = Offline::open(file, "env:LOCAL", &variables, allow_start).unwrap();
    all(&[custodian]).with_offline(Arc::new(offline))
}

#[tokio::test]
async fn starts_without_its_custodian_only_on_request() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&custodian]).await;
    // No key is stored yet.
    custodian.go_down();
    let error = machine.start(&store, &custodian, true).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    custodian.come_back();
    let online = machine.start(&store, &custodian, false).await.unwrap();
    let seen = online.ring();
    custodian.go_down();
    let error = machine.start(&store, &custodian, false).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    let offline = machine.start(&store, &custodian, true).await.unwrap();
    assert_eq!(offline.ring().user(b"u"), seen.user(b"u"));
    assert_eq!(offline.ring().keys().len(), 4);
    // The store may be unreachable as well.
    let empty = Arc::new(MemoryDocumentStore::default());
    let both = machine.start(&empty, &custodian, true).await.unwrap();
    assert_eq!(both.ring().version(), seen.version());
}

#[tokio::test]
async fn a_custodian_that_refuses_or_denies_is_not_bypassed() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&custodian]).await;
    machine.start(&store, &custodian, true).await.unwrap();
    let url = "env:ONE".to_owned();
    for error in [
        CustodianError::Refused {
            custodian: url.clone(),
        },
        CustodianError::Denied {
            custodian: url.clone(),
            operation: "unwrap",
            cause: "revoked".to_owned(),
        },
        CustodianError::Pin {
            custodian: url,
            cause: "it is wrong",
        },
    ] {
        custodian.fail(Some(error.clone()));
        let answer = machine.start(&store, &custodian, true).await.err();
        assert_eq!(answer, Some(RingError::Custodian(error)));
    }
}

#[tokio::test]
async fn keys_that_the_process_created_are_stored_and_destroyed_ones_are_not() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&custodian]).await;
    let live = machine.start(&store, &custodian, false).await.unwrap();
    let kept = |machine: &Machine| std::fs::read_to_string(machine.file()).unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 5);
    let instead_of = live.ring().sealing().id;
    live.change(&Change::Add { instead_of }).await.unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 6);
    let decrypt_only = live
        .ring()
        .in_state(KeyState::DecryptOnly)
        .next()
        .unwrap()
        .id;
    live.change(&Change::Archive(decrypt_only)).await.unwrap();
    live.change(&Change::Destroy(decrypt_only)).await.unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 5);
    custodian.go_down();
    let offline = machine.start(&store, &custodian, true).await.unwrap();
    assert_eq!(offline.ring().version(), live.ring().version());
}

#[tokio::test]
async fn the_file_is_readable_by_its_owner_alone_and_unusable_under_another_key() {
    use std::os::unix::fs::PermissionsExt;
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&custodian]).await;
    machine.start(&store, &custodian, false).await.unwrap();
    let mode = std::fs::metadata(machine.file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(machine.file()).unwrap();
    assert!(!text.contains(&machine.key[..16]));
    custodian.go_down();
    let other = Machine {
        key: Machine::new().key,
        ..machine
    };
    let error = other.start(&store, &custodian, true).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    // With a custodian the keys are stored under the new key.
    custodian.come_back();
    other.start(&store, &custodian, false).await.unwrap();
    custodian.go_down();
    other.start(&store, &custodian, true).await.unwrap();
    // A damaged file is written again.
    std::fs::write(other.file(), "{").unwrap();
    assert!(other.start(&store, &custodian, true).await.is_err());
    custodian.come_back();
    other.start(&store, &custodian, false).await.unwrap();
    custodian.go_down();
    other.start(&store, &custodian, true).await.unwrap();
    // It contains nothing of the ring of another environment.
    let document = store.read(&Document::Ring).await.unwrap().unwrap();
    let staging = String::from_utf8(document)
        .unwrap()
        .replace("\"test\"", "\"staging\"");
    let elsewhere = Arc::new(MemoryDocumentStore::default());
    elsewhere.set(Document::Ring, Some(staging.into_bytes()));
    let mut options = options(&Clock::at(NOW));
    options.environment = "staging".to_owned();
    let custodians = other.custodians(&custodian, true);
    assert!(
        LiveRing::open(elsewhere, custodians, options)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_offline_start_has_the_index_keys() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&custodian]).await;
    let online = machine.start(&store, &custodian, false).await.unwrap();
    let member = super::convert_and_seal(&online).await;
    custodian.go_down();
    let offline = machine.start(&store, &custodian, true).await.unwrap();
    assert_eq!(super::open_member(&offline, &member), super::MEMBER);
    let kept = std::fs::read_to_string(machine.file()).unwrap();
    assert_eq!(kept.matches("\": \"").count(), 6);
    custodian.come_back();
    // Destroyed, it is erased here as well.
    let format = Change::Format {
        to: waxseal_keys::DocumentFormat::V1,
        force: true,
    };
    super::write_version_2(&online).await;
    online.change(&format).await.unwrap();
    let kept = std::fs::read_to_string(machine.file()).unwrap();
    assert_eq!(kept.matches("\": \"").count(), 5);
}
