//! `demo --proxy`: a proxy in front of a Redis server, load through it, and a key that is rotated under the load. Writes
//! records of its own, and removes them.

mod child;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;
use waxseal_service::demo::{TTL, remove, unique_prefix};
use waxseal_service::resources::open_store;
use waxseal_service::{Ended, Failure, sample_states};
use waxseal_stores::{Expiry, RecordName, RecordPattern, RecordStore, Slot, StoreUrl};

use self::child::Child;
use self::wire::Wire;
use super::excerpt;
use crate::args::{Common, DemoArgs};
use crate::output::{self, thousands};
use crate::signals::stop_requested;

/// The record of Waxseal's own in each database.
const CANARY: &str = "waxseal:canary";
const CLIENTS: u64 = 4;
/// Requests that a client sends before it reads replies.
const PIPELINED: u64 = 16;
const RECORDS: u64 = 400;
/// The longest time that a rotation takes.
const ROTATION_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between two checks whether the rotation is done.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

struct Live {
    store: Arc<dyn RecordStore>,
    prefix: String,
    seconds: u64,
}

/// The load of all clients.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    requests: AtomicU64,
    failed: AtomicU64,
}

pub(super) async fn run(common: &Common, args: &DemoArgs) -> Result<Ended, Failure> {
    let text = common.store.as_deref().unwrap_or_default();
    if !matches!(StoreUrl::parse(text), Ok(StoreUrl::Redis(_))) {
        return Err(Failure::usage("demo --proxy needs a Redis server")
            .hint("for example waxseal demo --proxy --store redis://127.0.0.1:6379"));
    }
    let store = open_store(&StoreUrl::parse(text)?).await?;
    if store.get(&canary(), &Slot::Whole).await?.is_some() {
        return Err(
            Failure::usage("this database is sealed already, under another key")
                .hint("nothing was changed; give another one, for example with /15 after the URL"),
        );
    }
    let live = Live {
        store,
        prefix: unique_prefix(),
        seconds: args.seconds,
    };
    let directory = tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?;
    let mut child = None;
    let shown = tokio::select! {
        shown = live.show(text, directory.path(), &mut child) => shown,
        stopped = stop_requested() => stopped.and(Err(Failure::failed("stopped by a signal"))),
    };
    // The proxy writes until it has ended.
    if let Some(child) = child {
        child.end().await;
    }
    let cleaned = live.clean_up(text, directory.path()).await;
    let ended = shown?;
    cleaned?;
    Ok(ended)
}

impl Live {
    async fn show(
        &self,
        url: &str,
        directory: &Path,
        running: &mut Option<Child>,
    ) -> Result<Ended, Failure> {
        for index in 0..RECORDS {
            let state = sample_states::state(index);
            self.store
                .put(&self.name(index), &Slot::Whole, &state, Expiry::After(TTL))
                .await?;
        }
        child::make_keyring(url, directory, &self.prefix).await?;
        let child = running.insert(Child::start(url, directory)?);
        child.wait().await?;
        let (proxy, admin) = (child.address().to_owned(), child.admin().to_owned());
        output::line(format!("Proxy: {proxy}, status page: http://{admin}/"))?;

        let load = Arc::new(Load::default());
        let (mut clients, began) = (JoinSet::new(), Instant::now());
        for number in 0..CLIENTS {
            let (load, prefix, proxy) = (load.clone(), self.prefix.clone(), proxy.clone());
            clients.spawn(async move { load.run(&proxy, &prefix, number).await });
        }
        sleep(Duration::from_secs(1)).await;
        let rotated = self.rotate(url, directory).await?;
        sleep(Duration::from_secs(self.seconds).saturating_sub(began.elapsed())).await;
        load.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.map_err(Failure::failed)??;
        }
        let lasted = began.elapsed().as_secs_f64();
        let requests = load.requests.load(Ordering::Relaxed);
        let failed = load.failed.load(Ordering::Relaxed);
        output::line(format!(
            "Load: {} requests of {CLIENTS} clients in {lasted:.1} s ({}/s)",
            thousands(requests),
            thousands((requests as f64 / lasted) as u64)
        ))?;
        output::line(format!("Failed or wrong: {failed}"))?;
        output::line(format!(
            "Key rotated under this load: the old one was retired after {:.1} s",
            rotated.as_secs_f64()
        ))?;
        self.show_stored().await?;
        Ok(match failed {
            0 => Ended::Done,
            _ => Ended::Findings,
        })
    }

    /// Adds a key, and waits until the old one is archived or destroyed.
    async fn rotate(&self, url: &str, directory: &Path) -> Result<Duration, Failure> {
        child::run(url, directory, &["keyring", "add"]).await?;
        let added = Instant::now();
        while !child::has_retired_key(url, directory).await? {
            if added.elapsed() > ROTATION_TIMEOUT {
                return Err(Failure::failed("the rotation did not finish"));
            }
            sleep(CHECK_INTERVAL).await;
        }
        Ok(added.elapsed())
    }

    /// Shows a record as the server stores it, next to what clients read.
    async fn show_stored(&self) -> Result<(), Failure> {
        let stored = self.store.get(&self.name(1), &Slot::Whole).await?;
        output::line(format!(
            "Clients read {}\nThe server stores {}",
            excerpt(&sample_states::state(1)),
            excerpt(&stored.unwrap_or_default())
        ))
    }

    fn name(&self, index: u64) -> RecordName {
        RecordName::from(format!(
            "{}{}{}",
            self.prefix,
            kind(index),
            sample_states::phone(index)
        ))
    }

    async fn clean_up(&self, url: &str, directory: &Path) -> Result<(), Failure> {
        let pattern = RecordPattern::parse(&format!("{}*", self.prefix))?;
        remove(&*self.store, &pattern).await?;
        // The demo's canary is under a key of its keyring, which no other process has. Another one is not deleted.
        if let Some(stored) = self.store.get(&canary(), &Slot::Whole).await?
            && child::is_own_canary(url, directory).await?
        {
            self.store.delete_if_unchanged(&canary(), &stored).await?;
        }
        output::line("Everything that the demo wrote is removed.")
    }
}

fn canary() -> RecordName {
    RecordName::from(CANARY.to_owned())
}

/// Most records are under the ring, some under keys of their users.
fn kind(index: u64) -> &'static str {
    if index.is_multiple_of(8) { "u:" } else { "s:" }
}

impl Load {
    /// One client: reads values that were plain at first, writes them, and reads them again.
    async fn run(&self, proxy: &str, prefix: &str, number: u64) -> Result<(), Failure> {
        let mut wire = Wire::connect(proxy).await?;
        let mut at = number * PIPELINED;
        while !self.stop.load(Ordering::Relaxed) {
            let indices = (at..at + PIPELINED).map(|it| it % RECORDS);
            for index in indices.clone() {
                let (name, state) = (
                    format!("{prefix}{}{}", kind(index), sample_states::phone(index)),
                    sample_states::state(index),
                );
                wire.send(&[b"GET", name.as_bytes()]).await?;
                wire.send(&[b"SET", name.as_bytes(), &state]).await?;
            }
            for index in indices {
                let (read, written) = (wire.reply().await?, wire.reply().await?);
                let wrong =
                    u64::from(read != sample_states::state(index)) + u64::from(written != b"OK");
                self.failed.fetch_add(wrong, Ordering::Relaxed);
                self.requests.fetch_add(2, Ordering::Relaxed);
            }
            at += CLIENTS * PIPELINED;
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
