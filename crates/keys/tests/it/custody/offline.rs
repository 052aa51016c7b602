//! A start without any custodian: only where a key of the machine was named for it, only where it was
//! asked for, and never instead of a custodian that says no.

use std::path::Path;
use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, CustodianError, Custodians, Document, DocumentStore, KeyState, LiveOptions, LiveRing,
    MemoryDocumentStore, Offline, RingError, variables,
};

use super::{Fickle, all, place_with_ring};
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

    fn custodians(&self, custodian: &Arc<Fickle>, starts: bool) -> Custodians {
        with_offline(custodian, &self.file(), &self.key, starts)
    }

    async fn start(
        &self,
        place: &Arc<MemoryDocumentStore>,
        custodian: &Arc<Fickle>,
        starts: bool,
    ) -> Result<LiveRing, RingError> {
        let options = LiveOptions {
            copy: Some(self.directory.path().join("copy.json")),
            ..options(&Clock::at(NOW))
        };
        LiveRing::open(place.clone(), self.custodians(custodian, starts), options).await
    }
}

fn with_offline(custodian: &Arc<Fickle>, file: &Path, key: &str, starts: bool) -> Custodians {
    let key = key.to_owned();
    let variables = variables(move |name| (name == "LOCAL").then(|| key.clone()));
    let offline = Offline::open(file, "env:LOCAL", &variables, starts).unwrap();
    all(&[custodian]).with_offline(Arc::new(offline))
}

#[tokio::test]
async fn starts_without_its_custodian_only_where_that_was_asked_for() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let place = place_with_ring(&[&custodian]).await;
    // Nothing is kept yet.
    custodian.go_down();
    let error = machine.start(&place, &custodian, true).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    custodian.come_back();
    let online = machine.start(&place, &custodian, false).await.unwrap();
    let seen = online.ring();
    custodian.go_down();
    let error = machine.start(&place, &custodian, false).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    let offline = machine.start(&place, &custodian, true).await.unwrap();
    assert_eq!(offline.ring().user(b"u"), seen.user(b"u"));
    assert_eq!(offline.ring().keys().len(), 4);
    // The place may be away as well.
    let empty = Arc::new(MemoryDocumentStore::default());
    let both = machine.start(&empty, &custodian, true).await.unwrap();
    assert_eq!(both.ring().version(), seen.version());
}

#[tokio::test]
async fn a_custodian_that_refuses_or_denies_is_not_gone_round() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let place = place_with_ring(&[&custodian]).await;
    machine.start(&place, &custodian, true).await.unwrap();
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
        let answer = machine.start(&place, &custodian, true).await.err();
        assert_eq!(answer, Some(RingError::Custodian(error)));
    }
}

#[tokio::test]
async fn keys_that_the_process_made_are_kept_and_destroyed_ones_are_not() {
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let place = place_with_ring(&[&custodian]).await;
    let live = machine.start(&place, &custodian, false).await.unwrap();
    let kept = |machine: &Machine| std::fs::read_to_string(machine.file()).unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 5);
    let instead_of = live.ring().sealing().id;
    live.change(&Change::Add { instead_of }).await.unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 6);
    let opening = live
        .ring()
        .in_state(KeyState::DecryptOnly)
        .next()
        .unwrap()
        .id;
    live.change(&Change::Archive(opening)).await.unwrap();
    live.change(&Change::Destroy(opening)).await.unwrap();
    assert_eq!(kept(&machine).matches("\": \"").count(), 5);
    custodian.go_down();
    let offline = machine.start(&place, &custodian, true).await.unwrap();
    assert_eq!(offline.ring().version(), live.ring().version());
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone_and_of_no_use_under_another_key() {
    use std::os::unix::fs::PermissionsExt;
    let (machine, custodian) = (Machine::new(), Fickle::new("env:ONE"));
    let place = place_with_ring(&[&custodian]).await;
    machine.start(&place, &custodian, false).await.unwrap();
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
    let error = other.start(&place, &custodian, true).await.err();
    assert!(matches!(error, Some(RingError::Custodian(_))), "{error:?}");
    // With a custodian again the keys are kept under the new key.
    custodian.come_back();
    other.start(&place, &custodian, false).await.unwrap();
    custodian.go_down();
    other.start(&place, &custodian, true).await.unwrap();
    // A damaged file is made anew.
    std::fs::write(other.file(), "{").unwrap();
    assert!(other.start(&place, &custodian, true).await.is_err());
    custodian.come_back();
    other.start(&place, &custodian, false).await.unwrap();
    custodian.go_down();
    other.start(&place, &custodian, true).await.unwrap();
    // It shows nothing of the ring of another environment.
    let document = place.read(&Document::Ring).await.unwrap().unwrap();
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
