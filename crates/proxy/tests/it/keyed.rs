//! Conversations under keys of a keyring and of single users, in memory: the proxy under test
//! is one process, and `World` is another one that shares the ring with it. `wa:{user}` is under users'
//! keys, `rg:*` under the ring.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use waxseal_core::{Binding, Format, KeyId, Mode, NameMask, Sealer, SecretKey, Shape};
use waxseal_keys::{
    CacheBounds, Change, Custodian, Custodians, KeyState, LiveOptions, LiveRing, LocalCustodian,
    MemoryDocumentStore, MemoryUserKeys, Ring, Settings, UserKeyStore, UserKeys,
};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Connection, KeyRequest, Limits, Link, Next, Protection, UnexpectedReply};
use waxseal_resp::write_bulk;

use crate::pair::{KEY, arguments, text, to_client};

/// The runtime of everything asynchronous.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

/// The state that processes share.
pub(crate) struct World {
    pub(crate) ring_store: Arc<MemoryDocumentStore>,
    pub(crate) user_store: Arc<MemoryUserKeys>,
    /// Milliseconds since the Unix epoch.
    pub(crate) clock: Arc<AtomicU64>,
    custodians: Custodians,
    /// The other process.
    pub(crate) ring: LiveRing,
    pub(crate) users: UserKeys,
}

/// The view of one process.
pub(crate) struct Process {
    pub(crate) ring: LiveRing,
    pub(crate) users: UserKeys,
}

impl World {
    pub(crate) fn new() -> Self {
        let secret = SecretKey::from_bytes(&KEY).unwrap();
        let custodian: Arc<dyn Custodian> =
            Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap());
        let custodians = Custodians::default().with(custodian.clone());
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let ring_store = Arc::new(MemoryDocumentStore::default());
        let user_store = Arc::new(MemoryUserKeys::default());
        let ring = RUNTIME.block_on(async {
            let settings = Settings::default();
            let ring = Ring::create("test", settings, &[custodian], &[], 1_000_000).await;
            let options = options(&clock);
            let location = ring_store.clone();
            LiveRing::create(location, &ring.unwrap(), custodians.clone(), options)
                .await
                .unwrap()
        });
        let users = UserKeys::new(user_store.clone(), ring.clone(), CacheBounds::default());
        users.accept_store();
        Self {
            ring_store,
            user_store,
            clock,
            custodians,
            ring,
            users,
        }
    }

    /// Starts a process.
    pub(crate) fn process(&self) -> Process {
        self.process_with(self.user_store.clone(), CacheBounds::default())
    }

    pub(crate) fn process_with(
        &self,
        location: Arc<dyn UserKeyStore>,
        bounds: CacheBounds,
    ) -> Process {
        let options = options(&self.clock);
        let opened = LiveRing::open(self.ring_store.clone(), self.custodians.clone(), options);
        let ring = RUNTIME.block_on(opened).unwrap();
        let users = UserKeys::new(location, ring.clone(), bounds);
        users.accept_store();
        Process { ring, users }
    }

    pub(crate) fn change(&self, change: &Change) {
        RUNTIME.block_on(self.ring.change(change)).unwrap();
    }

    /// Adds a key that seals at once.
    pub(crate) fn rotate(&self) -> KeyId {
        let instead_of = self.ring.ring().sealing().id;
        self.change(&Change::Add { instead_of });
        let id = self
            .ring
            .ring()
            .in_state(KeyState::Pending)
            .next()
            .unwrap()
            .id;
        self.change(&Change::Promote { id, at_once: true });
        id
    }

    /// Erases a user as `waxseal forget` does.
    pub(crate) fn erase(&self, user: &str) {
        let hash = self.ring.ring().user(user.as_bytes());
        self.change(&Change::Erase(hash));
        let destroyed = RUNTIME.block_on(self.users.destroy(user.as_bytes()));
        assert!(destroyed.unwrap());
    }

    fn under_ring(&self) -> Sealer {
        Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed)
    }

    /// The other process' sealer of a record.
    fn sealer(&self, name: &str) -> Sealer {
        let Some(user) = name.strip_prefix("wa:") else {
            return self.under_ring();
        };
        let users = [user.as_bytes()];
        let created = RUNTIME.block_on(self.users.read_or_create(&users));
        let key = created.unwrap().remove(0);
        self.under_ring().for_user(key)
    }

    /// Seals `name=value` or `name/field=value` by the other process.
    pub(crate) fn envelope(&self, location: &str) -> Vec<u8> {
        let (location, value) = location.split_once('=').unwrap();
        let (name, binding) = binding(location);
        self.sealer(name).seal(value.as_bytes(), binding).unwrap()
    }

    /// Encodes a reply in words, as in `pair`; `^` is a value of a per-user record under the ring.
    pub(crate) fn reply(&self, words: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for word in words.split(' ') {
            if let Some(location) = word.strip_prefix('@') {
                write_bulk(&mut out, &self.envelope(location));
            } else if let Some(location) = word.strip_prefix('^') {
                let (location, value) = location.split_once('=').unwrap();
                let sealed = self
                    .under_ring()
                    .seal(value.as_bytes(), binding(location).1);
                write_bulk(&mut out, &sealed.unwrap());
            } else {
                out.extend(crate::pair::from_server(word));
            }
        }
        out
    }

    /// Asserts that these bytes are the requests of these lines, every `@` sealed for its record and
    /// under the right key.
    #[track_caller]
    pub(crate) fn assert_sent(&self, sent: &[u8], lines: &[&str]) {
        let sent = arguments(sent);
        assert_eq!(sent.len(), lines.len(), "requests to the server");
        for (actual, line) in sent.iter().zip(lines) {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(actual.len(), words.len(), "{line}");
            for (actual, word) in actual.iter().zip(words) {
                let Some(location) = word.strip_prefix('@') else {
                    assert_eq!(text(actual), word, "{line}");
                    continue;
                };
                let (location, value) = location.split_once('=').unwrap();
                let (name, binding) = binding(location);
                let header = Shape::of_header(actual).unwrap();
                assert_eq!(header.flags.per_user_key(), name.starts_with("wa:"));
                let opened = self.sealer(name).open(actual, binding).unwrap().unwrap();
                assert_eq!(text(&opened.value), value, "{line}");
            }
        }
    }
}

fn options(clock: &Arc<AtomicU64>) -> LiveOptions {
    let clock = clock.clone();
    LiveOptions {
        environment: "test".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(move || clock.load(Ordering::SeqCst)),
    }
}

fn binding(location: &str) -> (&str, Binding<'_>) {
    match location.split_once('/') {
        Some((name, field)) => (name, Binding::field(name.as_bytes(), field.as_bytes())),
        None => (location, Binding::record(location.as_bytes())),
    }
}

impl Process {
    pub(crate) fn protection(&self) -> Protection {
        let sealer = Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed);
        let patterns = ["wa:{user}", "rg:*"];
        let patterns = patterns.map(|it| (RecordPattern::parse(it).unwrap(), sealer.clone()));
        let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
        Protection::new(patterns.into(), mask)
            .ring(self.ring.clone())
            .user_keys(self.users.clone(), |pattern| pattern == 0)
            .unwrap()
    }
}

/// Both queues of one conversation, and the fetches of its keys.
pub(crate) struct Conversation {
    pub(crate) connection: Connection,
    protection: Arc<Protection>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    upstream: Vec<u8>,
    client: Vec<u8>,
    /// The number of fetches of keys.
    pub(crate) fetches: usize,
    /// Keys are fetched as soon as they are requested.
    pub(crate) fetching: bool,
    /// Values that did not open.
    broken: Arc<AtomicUsize>,
}

impl Conversation {
    pub(crate) fn of(process: &Process) -> Self {
        Self::under(Arc::new(process.protection()))
    }

    pub(crate) fn under(protection: Arc<Protection>) -> Self {
        let broken = Arc::new(AtomicUsize::new(0));
        let counted = broken.clone();
        let report = Arc::new(move |_: &waxseal_proxy::BrokenValue<'_>| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        Self {
            connection: Connection::new(protection.clone(), Limits::default(), report),
            protection,
            from_client: Vec::new(),
            from_server: Vec::new(),
            upstream: Vec::new(),
            client: Vec::new(),
            fetches: 0,
            fetching: true,
            broken,
        }
    }

    /// Does everything that can be done.
    pub(crate) fn run(&mut self) -> Result<(), UnexpectedReply> {
        loop {
            let (bytes, client) = (&self.from_server, &mut self.client);
            let answered = self.connection.replies(bytes, usize::MAX, client)?;
            assert_eq!(answered.stalled, self.connection.is_stalled());
            self.from_server.drain(..answered.used);
            let (upstream, client) = (&mut self.upstream, &mut self.client);
            let bytes = &self.from_client;
            let taken = self
                .connection
                .requests(bytes, Link::Dedicated, upstream, client);
            self.from_client.drain(..taken.used);
            if !self.fetching {
                return Ok(());
            }
            let Some(request) = self.connection.take_key_request() else {
                let waits = answered.stalled || taken.next == Next::Keys;
                assert!(!waits, "waits for nothing");
                return Ok(());
            };
            self.fetch(request)?;
        }
    }

    fn fetch(&mut self, request: KeyRequest) -> Result<usize, UnexpectedReply> {
        self.fetches += 1;
        let limit = Duration::from_secs(5);
        let fetched = RUNTIME.block_on(request.fetch(&self.protection, limit));
        self.connection.provide(fetched, &mut self.client)
    }

    /// Fetches the requested keys, and continues.
    pub(crate) fn provide(&mut self, request: KeyRequest) {
        self.fetch(request).unwrap();
        self.run().unwrap();
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.from_client.extend_from_slice(bytes);
        self.run().unwrap();
    }

    pub(crate) fn send(&mut self, lines: &[&str]) {
        self.send_bytes(&crate::pair::requests(lines));
    }

    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        self.from_server.extend_from_slice(bytes);
        self.run().unwrap();
    }

    /// Returns the bytes sent to the server since the last call.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.upstream)
    }

    /// Returns the bytes sent to the client since the last call.
    pub(crate) fn got(&mut self) -> String {
        text(&std::mem::take(&mut self.client))
    }

    /// The number of values reported as not opened.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn exchange(&mut self, world: &World, line: &str, reply: &str) {
        self.send(&[line]);
        world.assert_sent(&self.sent(), &[line]);
        self.answer(&world.reply(reply));
        assert_eq!(self.got(), to_client(&reply.replace('^', "@")), "{line}");
    }
}
