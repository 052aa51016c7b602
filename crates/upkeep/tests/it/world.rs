//! A server, a ring in it, and processes that share both. What can be done to them: their clocks are
//! set, their way to the ring is barred, and their tasks are aborted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxseal_core::{Binding, Format, KeyId, Mode, OpenError, Sealer, SecretKey, Shape};
use waxseal_keys::{
    CacheBounds, Custodian, Custodians, LiveOptions, LiveRing, LocalCustodian, Ring, RingError,
    Settings, UserKeys,
};
use waxseal_stores::{
    Expiry, RecordName, RecordPattern, RecordStore, RedisOptions, RedisStore, Slot, StoreUrl,
};
use waxseal_sweep::SweepOptions;
use waxseal_testing::RedisServer;
use waxseal_upkeep::{RecordDocumentStore, RecordUserKeys, ScopeHandle, Upkeep};

use crate::gate::Gate;

pub(crate) const RING: &str = "waxseal:keyring";

/// A rotation of 90 days in a few seconds.
pub(crate) fn compressed() -> Settings {
    Settings {
        every_ms: Some(2_000),
        seals: 1 << 32,
        propagation_ms: 600,
        refresh_ms: 200,
        retention_ms: 1_500,
    }
    .checked()
    .unwrap()
}

/// The same, begun by the test only.
pub(crate) fn compressed_once() -> Settings {
    Settings {
        every_ms: None,
        ..compressed()
    }
}

/// Nothing is due for hours, and every process looks at the document often.
pub(crate) fn calm() -> Settings {
    Settings {
        every_ms: None,
        refresh_ms: 200,
        ..Settings::default()
    }
}

pub(crate) struct World {
    pub(crate) server: RedisServer,
    /// The store of the ring, if not in `server`.
    pub(crate) ring_server: Option<RedisServer>,
    pub(crate) secret: String,
}

/// The start of one process.
pub(crate) struct Start {
    pub(crate) per_user: bool,
    pub(crate) bounds: CacheBounds,
    pub(crate) pattern: &'static str,
    pub(crate) format: Format,
    pub(crate) sweep: SweepOptions,
    pub(crate) options: LiveOptions,
    pub(crate) custodians: Custodians,
    /// True if its clock is compared with the server's.
    pub(crate) compares_clocks: bool,
}

/// The state of one process.
pub(crate) struct Process {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) gate: Arc<Gate<RecordDocumentStore>>,
    pub(crate) ring: LiveRing,
    pub(crate) users: Option<UserKeys>,
    pub(crate) upkeep: Upkeep,
    pub(crate) sealer: Sealer,
}

/// A clock that a test puts forward and back.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn off_by_minutes(minutes: i64) -> Self {
        let clock = Self::default();
        clock.turn(minutes * 60_000);
        clock
    }

    pub(crate) fn turn(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        now_ms().saturating_add_signed(self.0.load(Ordering::SeqCst))
    }
}

impl Start {
    pub(crate) fn clock(mut self, clock: &Clock) -> Self {
        let clock = clock.clone();
        self.options.now_ms = Arc::new(move || clock.now_ms());
        self
    }

    pub(crate) fn comparing_clocks(mut self) -> Self {
        self.compares_clocks = true;
        self
    }

    pub(crate) fn per_user(mut self) -> Self {
        self.per_user = true;
        self
    }

    pub(crate) fn copy(mut self, path: &std::path::Path) -> Self {
        self.options.copy = Some(path.to_owned());
        self
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(RedisServer::start())
    }

    pub(crate) fn on(server: RedisServer) -> Self {
        let secret = SecretKey::generate().unwrap().expose_hex().to_string();
        Self {
            server,
            ring_server: None,
            secret,
        }
    }

    /// With the ring in a server of its own.
    pub(crate) fn with_ring_apart(mut self) -> Self {
        self.ring_server = Some(RedisServer::start());
        self
    }

    pub(crate) fn custodian(&self) -> Arc<dyn Custodian> {
        let secret = SecretKey::from_hex(&self.secret).unwrap();
        Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap())
    }

    pub(crate) fn custodians(&self) -> Custodians {
        Custodians::default().with(self.custodian())
    }

    pub(crate) async fn store(&self) -> Arc<dyn RecordStore> {
        connect(&self.server).await
    }

    /// The server of the ring.
    pub(crate) fn home(&self) -> &RedisServer {
        self.ring_server.as_ref().unwrap_or(&self.server)
    }

    pub(crate) async fn place(&self) -> RecordDocumentStore {
        RecordDocumentStore::new(connect(self.home()).await)
    }

    /// A ring that is not stored yet.
    pub(crate) async fn create_ring(
        &self,
        settings: Settings,
        adopted: &[SecretKey],
        made_ms: u64,
    ) -> Ring {
        let custodians = [self.custodian()];
        Ring::create("test", settings, &custodians, adopted, made_ms)
            .await
            .unwrap()
    }

    /// A new ring in the server.
    pub(crate) async fn init(&self, settings: Settings) -> Ring {
        let ring = self.create_ring(settings, &[], now_ms()).await;
        self.put(&ring).await;
        ring
    }

    pub(crate) async fn put(&self, ring: &Ring) {
        let place = Arc::new(self.place().await);
        LiveRing::create(place, ring, self.custodians(), self.options())
            .await
            .unwrap();
    }

    pub(crate) fn options(&self) -> LiveOptions {
        LiveOptions {
            environment: "test".to_owned(),
            copy: None,
            opens_compromised: false,
            now_ms: Arc::new(now_ms),
        }
    }

    pub(crate) fn start(&self) -> Start {
        Start {
            per_user: false,
            bounds: CacheBounds::default(),
            pattern: "wa:{user}",
            format: Format::Sealed,
            sweep: SweepOptions::default(),
            options: self.options(),
            custodians: self.custodians(),
            compares_clocks: false,
        }
    }

    pub(crate) async fn process(&self, per_user: bool) -> Process {
        let start = self.start();
        let started = self.try_process(Start { per_user, ..start }).await;
        started.unwrap()
    }

    pub(crate) async fn process_with(&self, start: Start) -> Process {
        self.try_process(start).await.unwrap()
    }

    pub(crate) async fn try_process(&self, start: Start) -> Result<Process, RingError> {
        let store = self.store().await;
        let gate = Gate::before(self.place().await).telling_time(start.compares_clocks);
        let gate = Arc::new(gate);
        let ring = LiveRing::open(gate.clone(), start.custodians, start.options).await?;
        let keys = Arc::new(RecordUserKeys::new(store.clone()));
        let users = start
            .per_user
            .then(|| UserKeys::new(keys, ring.clone(), start.bounds));
        if let Some(users) = &users {
            users.accept_store();
        }
        let sealer = Sealer::new(ring.keyring(), Mode::Required, start.format);
        let scope = ScopeHandle {
            store: store.clone(),
            pattern: RecordPattern::parse(start.pattern).unwrap(),
            sealer: sealer.clone(),
            users: users.clone(),
            names: None,
        };
        let own = users.clone().map(|users| (users, store.clone()));
        let upkeep = Upkeep::new(ring.clone(), "library", vec![scope], own).unwrap();
        Ok(Process {
            store,
            gate,
            ring,
            users,
            upkeep: upkeep.options(start.sweep),
            sealer,
        })
    }
}

impl Process {
    /// Writes the value of a user, under the ring, as a proxy or a library does.
    pub(crate) async fn write(&self, user: &str, value: &str) {
        if !self.ring.is_confirmed() {
            self.ring.confirm().await.unwrap();
        }
        let sealed = self
            .sealer
            .seal(value.as_bytes(), name_binding(&name(user)));
        self.put(user, &sealed.unwrap()).await;
    }

    /// Writes the value of a user, under the user's own key.
    pub(crate) async fn write_as_user(&self, user: &str, value: &str) {
        let keys = self
            .keys()
            .read_or_create(&[user.as_bytes()])
            .await
            .unwrap();
        let sealer = self.sealer.clone().for_user(keys[0].clone());
        let sealed = sealer.seal(value.as_bytes(), name_binding(&name(user)));
        self.put(user, &sealed.unwrap()).await;
    }

    pub(crate) async fn put(&self, user: &str, stored: &[u8]) {
        self.store
            .put(&name(user), &Slot::Whole, stored, Expiry::Persistent)
            .await
            .unwrap();
    }

    /// The stored value of a user.
    pub(crate) async fn stored(&self, user: &str) -> Vec<u8> {
        let stored = self.store.get(&name(user), &Slot::Whole).await.unwrap();
        stored.expect("a record of the user")
    }

    /// The key that the value of a user names.
    pub(crate) async fn key_of(&self, user: &str) -> KeyId {
        key_of(&self.stored(user).await)
    }

    /// Opens the value of a user. An unknown key is looked up.
    pub(crate) async fn read(&self, user: &str) -> String {
        let stored = self.stored(user).await;
        self.open(user, &stored).await.unwrap()
    }

    pub(crate) async fn open(&self, user: &str, stored: &[u8]) -> Result<String, OpenError> {
        let name = name(user);
        let mut opened = self.sealer.open(stored, name_binding(&name));
        if let Err(OpenError::UnknownKey { id }) = opened
            && self.ring.learn(id).await
        {
            opened = self.sealer.open(stored, name_binding(&name));
        }
        Ok(text(opened?.unwrap().value.into_owned()))
    }

    /// Opens the value of a user under the user's own key, without the cache.
    pub(crate) async fn read_as_user(&self, user: &str) -> Result<String, OpenError> {
        let stored = self.stored(user).await;
        self.open_as_user(user, &stored).await
    }

    pub(crate) async fn open_as_user(
        &self,
        user: &str,
        stored: &[u8],
    ) -> Result<String, OpenError> {
        let keys = self.keys().reread(&[user.as_bytes()]).await.unwrap();
        let sealer = match keys.into_iter().next().flatten() {
            Some(key) => self.sealer.clone().for_user(key),
            None => self.sealer.clone(),
        };
        let opened = sealer.open(stored, name_binding(&name(user)))?;
        Ok(text(opened.unwrap().value.into_owned()))
    }

    pub(crate) fn keys(&self) -> &UserKeys {
        self.users.as_ref().expect("users with keys of their own")
    }

    pub(crate) fn scope(&self) -> ScopeHandle {
        ScopeHandle {
            store: self.store.clone(),
            pattern: RecordPattern::parse("wa:{user}").unwrap(),
            sealer: self.sealer.clone(),
            users: self.users.clone(),
            names: None,
        }
    }
}

pub(crate) async fn connect(server: &RedisServer) -> Arc<dyn RecordStore> {
    let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).unwrap() else {
        panic!("a Redis URL");
    };
    let store = RedisStore::connect(&url, RedisOptions::default()).await;
    Arc::new(store.unwrap())
}

pub(crate) fn name(user: &str) -> RecordName {
    RecordName::from(format!("wa:{user}"))
}

/// The key that a value names.
pub(crate) fn key_of(stored: &[u8]) -> KeyId {
    Shape::of_header(stored).expect("a sealed value").key
}

pub(crate) fn name_binding(name: &RecordName) -> Binding<'_> {
    Binding::record(name.as_bytes())
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// Waits until something is so. The limit is for a test that fails.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within a minute: {what}");
}
