//! Rings for tests, with their custodians and options.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waxseal_core::SecretKey;
use waxseal_keys::{Custodian, Custodians, LiveOptions, LocalCustodian, Ring, Settings};

/// The secret of the vectors.
pub(crate) const SECRET: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
pub(crate) const NOW: u64 = 1_800_000_000_000;

/// A custodian with a secret of its own.
pub(crate) fn custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::generate().unwrap();
    Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap())
}

/// The custodian of the vectors.
pub(crate) fn fixed_custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::from_hex(SECRET).unwrap();
    Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap())
}

pub(crate) fn with(custodian: &Arc<dyn Custodian>) -> Custodians {
    Custodians::default().with(custodian.clone())
}

pub(crate) async fn new_ring(custodian: &Arc<dyn Custodian>) -> Ring {
    let custodians = [custodian.clone()];
    let ring = Ring::create("test", Settings::default(), &custodians, &[], NOW).await;
    ring.unwrap()
}

/// A manual clock.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn at(now_ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now_ms)))
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

pub(crate) fn options(clock: &Clock) -> LiveOptions {
    let clock = clock.clone();
    LiveOptions {
        environment: "test".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(move || clock.0.load(Ordering::SeqCst)),
    }
}
