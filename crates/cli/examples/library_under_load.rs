//! A process that uses the library under constant load, for the tests of rotation: writes states, reads
//! them back, and takes part in the upkeep of the keyring, until its stdin is closed. Fails if a single
//! read or write does.
//!
//! `library_under_load STORE_URL RING_FILE OWN_PREFIX [CUSTODIAN…]`, with what the custodians need in the
//! environment. Prints `ready`, and at the end how much it did.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use waxseal_core::{Format, Mode, Sealer};
use waxseal_keys::{Custodians, FileDocumentStore, LiveOptions, LiveRing, variables};
use waxseal_sessions::{OnRefused, Options, StateManager};
use waxseal_stores::{RecordPattern, RecordStore, RedisOptions, RedisStore, StoreUrl};
use waxseal_sweep::Stop;
use waxseal_upkeep::{ScopeHandle, Upkeep};

/// States that only this process writes, and states that all write.
const OWN: usize = 40;
const SHARED: usize = 10;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what the test reads")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, ring, own, custodians @ ..] = words.as_slice() else {
        return Err("STORE_URL RING_FILE OWN_PREFIX [CUSTODIAN…]".into());
    };
    let store = connect(url).await?;
    let ring = open_ring(ring, custodians).await?;
    let sealer = Sealer::new(ring.keyring(), Mode::Required, Format::Sealed);
    let options = Options::default()
        .ring(ring.clone())
        .on_refused(OnRefused::Error);
    let states = StateManager::start(store.clone(), sealer.clone(), options).await?;
    let scope = ScopeHandle {
        store,
        pattern: RecordPattern::parse("wa:*")?,
        sealer,
        users: None,
        names: None,
    };
    let upkeep = Upkeep::new(ring, "library", vec![scope], None)?;
    let stop = Stop::default();
    let told = stop.clone();
    let upkept = tokio::spawn(async move { upkeep.run(&told).await });
    println!("ready");

    let until = stop.clone();
    std::thread::spawn(move || {
        // The test closes it, or ends.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        until.stop();
    });
    let mut rounds = 0u64;
    while !stop.is_stopped() {
        for index in 0..OWN {
            let user = format!("{own}{index}");
            states.set(&user, &rounds).await?;
            let read: Option<u64> = states.get(&user).await?;
            if read != Some(rounds) {
                return Err(format!("wrote {rounds}, read {read:?}").into());
            }
        }
        for index in 0..SHARED {
            let user = format!("shared{index}");
            states.set(&user, &rounds).await?;
            let read: Option<u64> = states.get(&user).await?;
            read.ok_or("a state that all write was absent")?;
        }
        rounds += 1;
    }
    upkept.await?;
    println!("{rounds} rounds of {} writes and reads", OWN + SHARED);
    Ok(())
}

async fn connect(url: &str) -> Result<Arc<dyn RecordStore>, Box<dyn Error>> {
    let StoreUrl::Redis(url) = StoreUrl::parse(url)? else {
        return Err("a Redis URL".into());
    };
    let store = RedisStore::connect(&url, RedisOptions::default()).await?;
    Ok(Arc::new(store))
}

async fn open_ring(path: &str, urls: &[String]) -> Result<LiveRing, Box<dyn Error>> {
    let variables = variables(|name| std::env::var(name).ok());
    let default = ["env:".to_owned()];
    let urls = if urls.is_empty() { &default } else { urls };
    let mut custodians = Custodians::default();
    for url in urls {
        custodians = custodians.with(Custodians::open(url, &variables)?);
    }
    let now_ms = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    };
    let options = LiveOptions {
        environment: "tests".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(now_ms),
    };
    let place = Arc::new(FileDocumentStore::new(path));
    Ok(LiveRing::open(place, custodians, options).await?)
}
