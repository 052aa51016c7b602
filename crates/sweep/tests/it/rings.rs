//! A ring and the keys of users, in memory, and the processes that share them.

use std::sync::Arc;

use waxseal_core::{Binding, Format, KeyId, Mode, Sealer, SecretKey};
use waxseal_keys::{
    CacheBounds, Change, Custodian, Custodians, KeyState, LiveOptions, LiveRing, LocalCustodian,
    MemoryDocumentStore, MemoryUserKeys, Ring, Settings, UserKeys,
};
use waxseal_stores::{Clock, RecordPattern, RecordStore};
use waxseal_sweep::{Keys, Sweep, Task};

use super::{A, C, batches_of, sweep};

/// The state that processes share.
#[derive(Default)]
pub(super) struct Shared {
    place: Arc<MemoryDocumentStore>,
    pub(super) keys: Arc<MemoryUserKeys>,
}

/// One process with its view of the ring and the users.
pub(super) struct Process {
    pub(super) ring: LiveRing,
    pub(super) users: UserKeys,
}

fn custodian() -> Arc<LocalCustodian> {
    let secret = SecretKey::from_hex(C).expect("a key");
    Arc::new(LocalCustodian::new("env:CUSTODIAN", &secret).expect("a custodian"))
}

fn options() -> LiveOptions {
    LiveOptions {
        environment: "test".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(|| Clock::system().now_ms()),
    }
}

impl Shared {
    /// The first process, which creates the ring. Its sealing key is A, adopted from the environment.
    pub(super) async fn first(&self) -> Process {
        let adopted = [SecretKey::from_hex(A).expect("a key")];
        let (now, settings) = (Clock::system().now_ms(), Settings::default());
        let custodians: [Arc<dyn Custodian>; 1] = [custodian()];
        let ring = Ring::create("test", settings, &custodians, &adopted, now);
        let ring = ring.await.expect("a ring");
        let custodians = Custodians::default().with(custodian());
        let ring = LiveRing::create(self.place.clone(), &ring, custodians, options());
        self.process(ring.await.expect("it is created"))
    }

    /// Another process, which opens the ring.
    pub(super) async fn another(&self) -> Process {
        let custodians = Custodians::default().with(custodian());
        let ring = LiveRing::open(self.place.clone(), custodians, options());
        self.process(ring.await.expect("it opens"))
    }

    fn process(&self, ring: LiveRing) -> Process {
        let users = UserKeys::new(self.keys.clone(), ring.clone(), CacheBounds::default());
        users.accept_store();
        Process { ring, users }
    }
}

impl Process {
    pub(super) fn sealer(&self, format: Format) -> Sealer {
        Sealer::new(self.ring.keyring(), Mode::On, format)
    }

    pub(super) fn keys(&self) -> Keys {
        Keys {
            ring: Some(self.ring.clone()),
            users: Some(self.users.clone()),
        }
    }

    /// A sweep over `wa:{user}` in small batches.
    pub(super) fn sweep(&self, store: Arc<dyn RecordStore>, task: impl Task + 'static) -> Sweep {
        Sweep {
            pattern: RecordPattern::parse("wa:{user}").expect("a pattern"),
            keys: self.keys(),
            ..sweep(store, Arc::new(task), batches_of(10))
        }
    }

    /// An envelope under the key of a user, which is created if it does not exist.
    pub(super) async fn seal(&self, user: &[u8], value: &[u8], place: Binding<'_>) -> Vec<u8> {
        let keys = self.users.read_or_create(&[user]).await;
        let key = keys.expect("a key").remove(0);
        let sealer = self.sealer(Format::Sealed).for_user(key);
        sealer.seal(value, place).expect("it can be sealed")
    }

    pub(super) async fn erase(&self, user: &[u8]) {
        let hash = self.ring.ring().user(user);
        let erased = self.ring.change(&Change::Erase(hash)).await;
        erased.expect("it is in the ledger");
        self.users.destroy(user).await.expect("it is destroyed");
    }

    /// Replaces the sealing key by a new one.
    pub(super) async fn rotate(&self) -> KeyId {
        let instead_of = self.ring.ring().sealing().id;
        let ring = self.ring.change(&Change::Add { instead_of }).await;
        let ring = ring.expect("it is added");
        let id = ring
            .in_state(KeyState::Pending)
            .next()
            .expect("it waits")
            .id;
        let at_once = true;
        let ring = self.ring.change(&Change::Promote { id, at_once }).await;
        assert_eq!(ring.expect("it is promoted").sealing().id, id);
        id
    }
}
