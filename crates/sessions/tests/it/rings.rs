//! A ring and the keys of users, in memory, and the processes that share them. Their clock can be set
//! forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waxseal_core::{Format, KeyId, Mode, Sealer, SecretKey};
use waxseal_keys::{
    CacheBounds, Change, Custodian, Custodians, KeyState, LiveOptions, LiveRing, LocalCustodian,
    MemoryDocumentStore, MemoryUserKeys, Ring, Settings, UserKeys,
};
use waxseal_sessions::{GuardError, Options, StateManager};
use waxseal_stores::{Clock, RecordStore};

use crate::{KEY, OTHER_KEY};

/// The state that processes share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) place: Arc<MemoryDocumentStore>,
    pub(crate) keys: Arc<MemoryUserKeys>,
    /// The offset of their clock.
    ahead_ms: Arc<AtomicU64>,
}

/// One process with its view of the ring and the users.
pub(crate) struct Process {
    pub(crate) ring: LiveRing,
    pub(crate) users: UserKeys,
}

fn custodian() -> Arc<LocalCustodian> {
    let secret = SecretKey::from_bytes(&OTHER_KEY).unwrap();
    Arc::new(LocalCustodian::new("env:CUSTODIAN", &secret).unwrap())
}

impl Shared {
    /// The first process, which creates the ring. Its sealing key is `KEY`, adopted from the environment.
    pub(crate) async fn first(&self) -> Process {
        self.first_with(&KEY).await
    }

    /// The same, with this sealing key.
    pub(crate) async fn first_with(&self, key: &[u8; 32]) -> Process {
        let adopted = [SecretKey::from_bytes(key).unwrap()];
        let custodians: [Arc<dyn Custodian>; 1] = [custodian()];
        let now = Clock::system().now_ms();
        let ring = Ring::create("test", Settings::default(), &custodians, &adopted, now);
        let (ring, custodians) = (ring.await.unwrap(), Custodians::default().with(custodian()));
        let ring = LiveRing::create(self.place.clone(), &ring, custodians, self.options());
        self.process(ring.await.unwrap())
    }

    /// Another process, which opens the ring.
    pub(crate) async fn another(&self) -> Process {
        let custodians = Custodians::default().with(custodian());
        let ring = LiveRing::open(self.place.clone(), custodians, self.options());
        self.process(ring.await.unwrap())
    }

    pub(crate) fn put_clock_forward(&self, ms: u64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn options(&self) -> LiveOptions {
        let ahead = self.ahead_ms.clone();
        LiveOptions {
            environment: "test".to_owned(),
            copy: None,
            opens_compromised: false,
            now_ms: Arc::new(move || Clock::system().now_ms() + ahead.load(Ordering::SeqCst)),
        }
    }

    fn process(&self, ring: LiveRing) -> Process {
        let users = UserKeys::new(self.keys.clone(), ring.clone(), CacheBounds::default());
        Process { ring, users }
    }
}

impl Process {
    pub(crate) fn sealer(&self, format: Format) -> Sealer {
        Sealer::new(self.ring.keyring(), Mode::On, format)
    }

    /// Options for states that follow the ring.
    pub(crate) fn follows(&self) -> Options {
        Options::default().ring(self.ring.clone())
    }

    /// Options for states of users with keys of their own.
    pub(crate) fn of_users(&self) -> Options {
        self.follows().user_keys(self.users.clone())
    }

    pub(crate) async fn start(
        &self,
        store: Arc<dyn RecordStore>,
        options: Options,
    ) -> Result<StateManager, GuardError> {
        StateManager::start(store, self.sealer(Format::Classic), options).await
    }

    pub(crate) async fn erase(&self, user: &str) {
        let hash = self.ring.ring().user(user.as_bytes());
        self.ring.change(&Change::Erase(hash)).await.unwrap();
        self.users.destroy(user.as_bytes()).await.unwrap();
    }

    /// Replaces the sealing key by a new one.
    pub(crate) async fn rotate(&self) -> KeyId {
        let instead_of = self.ring.ring().sealing().id;
        let ring = self.ring.change(&Change::Add { instead_of }).await.unwrap();
        let id = ring.in_state(KeyState::Pending).next().unwrap().id;
        let at_once = true;
        let ring = self.ring.change(&Change::Promote { id, at_once }).await;
        assert_eq!(ring.unwrap().sealing().id, id);
        id
    }
}
