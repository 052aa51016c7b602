//! The cost of a keyring: opening one of a thousand old keys, polling an unchanged document, and values
//! under a ring of ten keys and under a cached user's key, against the bare sealer with one key. Rounds
//! of the variants alternate, so that a machine that is slow for a while is slow for all.
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_core::{Binding, Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_keys::{
    CacheBounds, CacheLookup, Custodian, Custodians, LiveOptions, LiveRing, LocalCustodian,
    MemoryDocumentStore, MemoryUserKeys, Ring, Settings, UserKeys,
};

const ENVIRONMENT: &str = "bench";
const USER: &[u8] = b"4915112345678";
const ROUNDS: usize = 31;
const VALUES: u32 = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        opening_and_polling().await;
        values().await;
    });
}

fn custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::generate().expect("random bytes");
    Arc::new(LocalCustodian::new("env:BENCH", &secret).expect("a key"))
}

/// A ring of this many keys, all but the first archived.
async fn ring(custodian: &Arc<dyn Custodian>, keys: usize) -> Ring {
    let keys: Vec<_> = (0..keys)
        .map(|_| SecretKey::generate().expect("random bytes"))
        .collect();
    let custodians = [custodian.clone()];
    let ring = Ring::create(ENVIRONMENT, Settings::default(), &custodians, &keys, 1);
    let mut ring = ring.await.expect("a ring");
    for key in keys.iter().skip(1) {
        ring = ring.with_archived(key.id(), 1).expect("a decrypt-only key");
    }
    ring
}

async fn live(custodian: &Arc<dyn Custodian>, ring: &Ring) -> LiveRing {
    let options = LiveOptions {
        environment: ENVIRONMENT.to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(|| 1),
    };
    let custodians = Custodians::default().with(custodian.clone());
    let store = Arc::new(MemoryDocumentStore::default());
    LiveRing::create(store, ring, custodians, options)
        .await
        .expect("a live ring")
}

async fn opening_and_polling() {
    let custodian = custodian();
    let ring = ring(&custodian, 1_001).await;
    let bytes = ring.to_bytes();
    let custodians = Custodians::default().with(custodian.clone());
    let live = live(&custodian, &ring).await;
    let (mut opened, mut polled) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let ring = Ring::open(&bytes, "bench", ENVIRONMENT, &custodians, None).await;
        black_box(ring.expect("a ring"));
        opened.push(began.elapsed());
        let began = Instant::now();
        black_box(live.refresh().await.expect("the same ring"));
        polled.push(began.elapsed());
    }
    report("opening a ring of 1,000 archived keys", opened, 1);
    report("polling its unchanged document", polled, 1);
}

async fn values() {
    let custodian = custodian();
    let live = live(&custodian, &ring(&custodian, 10).await).await;
    let store = Arc::new(MemoryUserKeys::default());
    let users = UserKeys::new(store, live.clone(), CacheBounds::default());
    users.accept_store();
    users.read_or_create(&[USER]).await.expect("a user's key");
    let bare = Keyring::new(SecretKey::generate().expect("random bytes")).expect("a key");
    let bare = Sealer::new(Arc::new(bare), Mode::Required, Format::Sealed);
    let ring = Sealer::new(live.keyring(), Mode::Required, Format::Sealed);
    let of_user = || {
        let CacheLookup::Key(key) = users.cached(USER) else {
            panic!("the user's key is cached");
        };
        ring.clone().for_user(key)
    };
    let variants: [(&str, &dyn Fn() -> Sealer); 3] = [
        ("one key", &|| bare.clone()),
        ("a ring of 10 keys", &|| ring.clone()),
        ("a cached user's key", &of_user),
    ];
    let value = vec![b'v'; 1024];
    let mut times = vec![(Vec::new(), Vec::new()); variants.len()];
    for _ in 0..ROUNDS {
        for ((_, sealer), (sealed, opened)) in variants.iter().zip(&mut times) {
            let stored = sealer().seal(&value, binding()).expect("sealed");
            sealed.push(time(|| {
                black_box(sealer().seal(black_box(&value), binding()).expect("sealed"));
            }));
            opened.push(time(|| {
                black_box(
                    sealer()
                        .open(black_box(&stored), binding())
                        .expect("opened"),
                );
            }));
        }
        // A cached key expires after a minute.
        users.reread(&[USER]).await.expect("a user's key");
    }
    for ((name, _), (sealed, opened)) in variants.iter().zip(times) {
        report(&format!("seal 1 KiB, {name}"), sealed, VALUES);
        report(&format!("open 1 KiB, {name}"), opened, VALUES);
    }
}

fn binding() -> Binding<'static> {
    Binding::record(b"wa:4915112345678")
}

fn time(work: impl Fn()) -> Duration {
    let began = Instant::now();
    for _ in 0..VALUES {
        work();
    }
    began.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>, each: u32) {
    times.sort_unstable();
    let (min, max) = (times[0] / each, times[times.len() - 1] / each);
    let median = times[times.len() / 2] / each;
    println!("{what:<40} min {min:>10.3?}  median {median:>10.3?}  max {max:>10.3?}");
}
