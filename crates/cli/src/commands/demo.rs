//! `demo`: the main job on an empty machine. Ten thousand plain conversation states are migrated, read, one of them is
//! damaged, and the key is rotated; with the cost. Without `--store` in an embedded store in a temporary directory; on a
//! server under names of its own, which are removed at the end.

mod live;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use waxseal_core::{Format, Keyring, Mode, NameMask, Sealer, SecretKey};
use waxseal_service::resources::open_store;
use waxseal_service::{Ended, Failure, sample_states};
use waxseal_sessions::{Canary, Options, StateManager, quarantine};
use waxseal_stores::{
    Clock, Cursor, EmbeddedStore, Expiry, RecordName, RecordPattern, RecordStore, Slot, StoreUrl,
};
use waxseal_sweep::{Keys, Migrate, Position, Rotate, Stop, Sweep, SweepOptions, Tally, Task};

use crate::args::{Common, DemoArgs};
use crate::output::{self, thousands};
use crate::progress::Progress;
use crate::signals::stop_requested;

const TTL: Duration = Duration::from_secs(3600);
/// Writes in flight at the same time.
const MAX_IN_FLIGHT: usize = 2_000;

/// A running demo.
struct Demo {
    store: Arc<dyn RecordStore>,
    prefix: String,
    pattern: RecordPattern,
    states: u64,
}

pub(crate) async fn run(common: &Common, args: &DemoArgs) -> Result<Ended, Failure> {
    if args.proxy {
        return live::run(common, args).await;
    }
    let started = Instant::now();
    // Removed when this is dropped at the end.
    let directory;
    let store: Arc<dyn RecordStore> = match &common.store {
        Some(text) => open_store(&StoreUrl::parse(text)?).await?,
        None => {
            directory = tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?;
            let file = directory.path().join("states.waxseal");
            Arc::new(EmbeddedStore::open(&file, Clock::system())?)
        }
    };
    let prefix = match &common.store {
        Some(_) => format!("wa-demo-{}:", unique()),
        None => "wa:".to_owned(),
    };
    let pattern = RecordPattern::parse(&format!("{prefix}*"))?;
    let demo = Demo {
        store,
        prefix,
        pattern,
        states: args.states,
    };
    let shown = tokio::select! {
        shown = demo.show() => shown,
        stopped = stop_requested() => stopped.and(Err(Failure::failed("stopped by a signal"))),
    };
    let cleaned = demo.clean_up().await;
    shown?;
    cleaned?;
    output::line(format!(
        "\nDone in {:.1} s.",
        started.elapsed().as_secs_f64()
    ))?;
    output::line("Next: waxseal key generate, then waxseal migrate --dry-run on your own Redis.")?;
    Ok(Ended::Done)
}

impl Demo {
    async fn show(&self) -> Result<(), Failure> {
        let key = SecretKey::generate()?;
        let old_hex = key.expose_hex();
        let keyring = Arc::new(Keyring::new(key)?);
        let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);

        title(1, "Plain conversation states, as a bot keeps them")?;
        self.fill().await?;
        self.show_record("anyone with a Redis credential, a dump or a backup reads this")
            .await?;

        title(2, "Migrate: sealed in place, while applications run")?;
        let migrated = self.sweep(Arc::new(Migrate::new(sealer.clone()))).await?;
        outcome("migrated", &migrated)?;
        self.show_record("the same record: AES-256-GCM, bound to its name")
            .await?;

        title(3, "Read back through StateManager")?;
        let manager = self.manager(&sealer).await?;
        self.read_all(&manager).await?;

        title(4, "Someone changes one byte")?;
        self.tamper(&manager).await?;

        title(5, "Rotate to a new key")?;
        let ring = Keyring::new(SecretKey::generate()?)?;
        let ring = ring.with_previous(&SecretKey::from_hex(&old_hex)?)?;
        let (old, new) = (
            sealer.keyring().map(|ring| ring.sealing_id()),
            ring.sealing_id(),
        );
        let sealer = Sealer::new(Arc::new(ring), Mode::Required, Format::Sealed);
        let rotated = self.sweep(Arc::new(Rotate::new(sealer.clone()))).await?;
        Canary::named(self.store.clone(), self.canary())
            .renew(&sealer)
            .await?;
        outcome("rotated", &rotated)?;
        let old = old.map(|id| id.to_string()).unwrap_or_default();
        output::line(format!(
            "  key {old} -> key {new}; mode required from here on"
        ))?;
        self.read_all(&self.manager(&sealer).await?).await?;

        title(6, "What it cost")?;
        cost(&sealer)
    }

    fn name(&self, index: u64) -> RecordName {
        RecordName::from(format!("{}{}", self.prefix, sample_states::phone(index)))
    }

    fn canary(&self) -> RecordName {
        RecordName::from(format!("{}canary", self.prefix.replace(':', "-")))
    }

    async fn manager(&self, sealer: &Sealer) -> Result<StateManager, Failure> {
        let canary = String::from_utf8_lossy(self.canary().as_bytes()).into_owned();
        let options = Options::default()
            .prefix(self.prefix.clone())
            .canary(canary);
        Ok(StateManager::start(self.store.clone(), sealer.clone(), options).await?)
    }

    async fn fill(&self) -> Result<(), Failure> {
        let started = Instant::now();
        stream::iter((0..self.states).map(Ok::<_, Failure>))
            .try_for_each_concurrent(MAX_IN_FLIGHT, |index| async move {
                let (name, state) = (self.name(index), sample_states::state(index));
                let put = self
                    .store
                    .put(&name, &Slot::Whole, &state, Expiry::After(TTL));
                Ok(put.await?)
            })
            .await?;
        output::line(format!(
            "  {} states written to {} in {:.2} s",
            thousands(self.states),
            self.store.location(),
            started.elapsed().as_secs_f64()
        ))
    }

    /// Shows the first record as it is stored.
    async fn show_record(&self, remark: &str) -> Result<(), Failure> {
        let name = self.name(0);
        let stored = self
            .store
            .get(&name, &Slot::Whole)
            .await?
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        output::line(format!("  {name}  ({} bytes; {remark})", stored.len()))?;
        output::line(format!("  {}", excerpt(&stored)))
    }

    async fn sweep(&self, task: Arc<dyn Task>) -> Result<(Tally, Duration), Failure> {
        let started = Instant::now();
        let sweep = Sweep {
            store: self.store.clone(),
            pattern: self.pattern.clone(),
            task,
            keys: Keys::default(),
            mask: NameMask::random(),
            options: SweepOptions::default(),
        };
        let mut progress = Progress::start(false, 0);
        let stop = Stop::default();
        let outcome = sweep
            .run(Position::default(), &stop, &mut |event| {
                progress.show(&event);
            })
            .await;
        progress.end();
        let report = outcome.map_err(|interrupted| Failure::from(interrupted.error))?;
        Ok((report.position.counts(), started.elapsed()))
    }

    async fn read_all(&self, manager: &StateManager) -> Result<(), Failure> {
        let started = Instant::now();
        let found = stream::iter(0..self.states)
            .map(|index| async move { manager.get::<Value>(&sample_states::phone(index)).await })
            .buffer_unordered(64)
            .try_fold(0u64, |found, state| async move {
                Ok(found + u64::from(state.is_some()))
            })
            .await?;
        output::line(format!(
            "  {} of {} states opened and parsed in {:.2} s",
            thousands(found),
            thousands(self.states),
            started.elapsed().as_secs_f64()
        ))
    }

    /// Damages the second record, and shows that this is detected and that it is moved to quarantine.
    async fn tamper(&self, manager: &StateManager) -> Result<(), Failure> {
        let name = self.name(1);
        let Some(mut stored) = self.store.get(&name, &Slot::Whole).await? else {
            return Err(Failure::failed("the record to be damaged no longer exists"));
        };
        if let Some(byte) = stored.last_mut() {
            *byte ^= 1;
        }
        self.store
            .put(&name, &Slot::Whole, &stored, Expiry::Keep)
            .await?;
        let state: Option<Value> = manager.get(&sample_states::phone(1)).await?;
        let answer = if state.is_none() {
            "none: the conversation starts from the beginning"
        } else {
            "a state"
        };
        output::line(format!("  StateManager answers: {answer}"))?;
        for entry in quarantine::list(&*self.store).await? {
            if entry.record == name {
                output::line(format!(
                    "  moved to quarantine, {} bytes kept: {}",
                    entry.size, entry.cause
                ))?;
            }
        }
        Ok(())
    }

    /// Removes everything that the demo wrote.
    async fn clean_up(&self) -> Result<(), Failure> {
        for entry in quarantine::list(&*self.store).await? {
            if entry.record.as_bytes().starts_with(self.prefix.as_bytes()) {
                quarantine::discard(&*self.store, &entry).await?;
            }
        }
        self.store.delete(&self.canary()).await?;
        if self.prefix == "wa:" {
            // The directory is removed as a whole.
            return Ok(());
        }
        let mut cursor = Some(Cursor::start());
        while let Some(at) = cursor {
            let page = self.store.scan(&self.pattern, &at, 1_000).await?;
            stream::iter(page.names.into_iter().map(Ok::<_, Failure>))
                .try_for_each_concurrent(64, |name| async move {
                    self.store.delete(&name).await?;
                    Ok(())
                })
                .await?;
            cursor = page.next;
        }
        output::line("\nEverything that the demo wrote is removed.")
    }
}

fn title(number: u32, text: &str) -> Result<(), Failure> {
    output::line(format!("\n{number}. {text}"))
}

fn outcome(word: &str, (counts, took): &(Tally, Duration)) -> Result<(), Failure> {
    let rate = counts.done as f64 / took.as_secs_f64().max(0.001);
    output::line(format!(
        "  {word}: {}, failed: {}, in {:.2} s ({}/s)",
        thousands(counts.done),
        counts.failed,
        took.as_secs_f64(),
        thousands(rate as u64)
    ))
}

/// Measures sealing and opening alone, in this thread.
fn cost(sealer: &Sealer) -> Result<(), Failure> {
    const TIMES: u32 = 20_000;
    let (value, place) = (
        sample_states::state(7),
        waxseal_core::Binding::of_value(b"wa:5215512345678", None),
    );
    let envelope = sealer.seal(&value, place)?;
    let started = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(sealer.seal(std::hint::black_box(&value), place)?);
    }
    let seal = started.elapsed() / TIMES;
    let started = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(sealer.open(std::hint::black_box(&envelope), place)?);
    }
    let open = started.elapsed() / TIMES;
    output::line(format!(
        "  a state of {} bytes: {:.2} us to seal, {:.2} us to open, {} bytes more to store",
        value.len(),
        seal.as_secs_f64() * 1e6,
        open.as_secs_f64() * 1e6,
        envelope.len() - value.len()
    ))
}

/// Returns the beginning of stored bytes: text unchanged, other bytes as dots.
fn excerpt(stored: &[u8]) -> String {
    let text = match std::str::from_utf8(stored) {
        Ok(text) => text.chars().take(100).collect::<String>(),
        Err(_) => stored
            .iter()
            .take(100)
            .map(|byte| {
                if byte.is_ascii_graphic() {
                    char::from(*byte)
                } else {
                    '·'
                }
            })
            .collect(),
    };
    format!("{text}…")
}

/// Returns a number that differs between runs on the same server.
fn unique() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:x}", now.as_micros())
}
