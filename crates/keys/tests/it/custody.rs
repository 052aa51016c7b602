//! Rings with several custodians, some of which fail; rings that change their custodians; starts without any.

mod offline;
mod rewrapping;
mod several;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use waxseal_core::{Binding, EnvelopeVersion, Format, Mode, Sealer, SecretKey};
use waxseal_keys::{
    Change, Context, Custodian, CustodianError, Custodians, DocumentFormat, LiveRing,
    LocalCustodian, MemoryDocumentStore, Ring, Settings, Wrapped,
};

use crate::rings::NOW;

/// A custodian that counts its calls and fails on request.
struct Fickle {
    inner: LocalCustodian,
    failure: Mutex<Option<CustodianError>>,
    calls: AtomicU64,
    /// It damages what it wraps.
    spoils: AtomicBool,
    /// It does not answer.
    hangs: AtomicBool,
}

impl Fickle {
    fn new(url: &str) -> Arc<Self> {
        let secret = SecretKey::generate().unwrap();
        Arc::new(Self {
            inner: LocalCustodian::new(url, &secret).unwrap(),
            failure: Mutex::default(),
            calls: AtomicU64::new(0),
            spoils: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        })
    }

    fn fail(&self, error: Option<CustodianError>) {
        *self.failure.lock().unwrap() = error;
    }

    /// Makes it unreachable.
    fn go_down(&self) {
        let custodian = self.url().to_owned();
        self.fail(Some(CustodianError::Unavailable {
            custodian,
            cause: "it is down".to_owned(),
        }));
    }

    fn come_back(&self) {
        self.fail(None);
    }

    /// Makes it damage what it wraps from now on.
    fn spoil(&self, spoils: bool) {
        self.spoils.store(spoils, Ordering::SeqCst);
    }

    /// Makes it not answer.
    fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn answer(&self) -> Result<(), CustodianError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.failure.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Custodian for Fickle {
    fn url(&self) -> &str {
        self.inner.url()
    }

    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        self.answer()?;
        let mut wrapped = self.inner.wrap(key, context).await?;
        if self.spoils.load(Ordering::SeqCst) {
            wrapped.bytes.reverse();
        }
        Ok(wrapped)
    }

    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        self.answer()?;
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.unwrap(wrapped, context).await
    }
}

fn all(custodians: &[&Arc<Fickle>]) -> Custodians {
    let custodians = custodians.iter().map(|it| (*it).clone());
    custodians.fold(Custodians::default(), |all, it| all.with(it))
}

/// A store with a ring of several keys, wrapped by these custodians.
async fn store_with_ring(custodians: &[&Arc<Fickle>]) -> Arc<MemoryDocumentStore> {
    let wrapping: Vec<Arc<dyn Custodian>> = custodians
        .iter()
        .map(|it| (*it).clone() as Arc<dyn Custodian>)
        .collect();
    let ring = Ring::create("test", Settings::default(), &wrapping, &[], NOW).await;
    let ring = ring.unwrap();
    let store = Arc::new(MemoryDocumentStore::default());
    let options = crate::rings::options(&crate::rings::Clock::at(NOW));
    let live = LiveRing::create(store.clone(), &ring, all(custodians), options);
    let live = live.await.unwrap();
    for _ in 0..3 {
        let instead_of = live.ring().sealing().id;
        let ring = live.change(&Change::Add { instead_of }).await.unwrap();
        let id = waxseal_keys::rotation::next_to_seal(&ring).unwrap().id;
        let at_once = true;
        live.change(&Change::Promote { id, at_once }).await.unwrap();
    }
    store
}

const MEMBER: &[u8] = b"5215512345678";

fn sealer(live: &LiveRing) -> Sealer {
    Sealer::new(live.keyring(), Mode::Required, Format::Sealed)
}

/// Converts a ring to format 2, and seals a member under its index key.
async fn convert_and_seal(live: &LiveRing) -> Vec<u8> {
    let (to, force) = (DocumentFormat::V2, true);
    live.change(&Change::Format { to, force }).await.unwrap();
    let (write, accept) = (EnvelopeVersion::V3, EnvelopeVersion::V2);
    let change = Change::Envelopes {
        write,
        accept,
        force,
    };
    live.change(&change).await.unwrap();
    let binding = Binding::member(b"wa:index");
    sealer(live).seal_deterministic(MEMBER, binding).unwrap()
}

/// Lets version 2 of the sealed format be written again.
async fn write_version_2(live: &LiveRing) {
    let change = Change::Envelopes {
        write: EnvelopeVersion::V2,
        accept: EnvelopeVersion::V2,
        force: true,
    };
    live.change(&change).await.unwrap();
}

fn open_member(live: &LiveRing, member: &[u8]) -> Vec<u8> {
    let opened = sealer(live).open(member, Binding::member(b"wa:index"));
    opened.unwrap().unwrap().value.to_vec()
}
