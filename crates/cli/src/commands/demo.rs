//! `demo`: the main job on an empty machine. Ten thousand plain conversation states are migrated, read, one of them is
//! damaged, and the key is rotated; with the cost. Without `--store` in an embedded store in a temporary directory; on a
//! server under names of its own, which are removed at the end.

mod live;

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_core::{Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_service::demo::{self, Demo};
use waxseal_service::{Ended, Failure};
use waxseal_sessions::StateManager;
use waxseal_sweep::{Migrate, Rotate, Tally, Task};

use crate::args::{Common, DemoArgs};
use crate::output::{self, thousands};
use crate::progress::Progress;
use crate::signals::stop_requested;

pub(crate) async fn run(common: &Common, args: &DemoArgs) -> Result<Ended, Failure> {
    if args.proxy {
        return live::run(common, args).await;
    }
    let started = Instant::now();
    // Removed when this is dropped at the end.
    let directory;
    let demo = match &common.store {
        Some(url) => Demo::on_server(url, args.states).await?,
        None => {
            directory = tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?;
            Demo::in_file(&directory.path().join("states.waxseal"), args.states)?
        }
    };
    let shown = tokio::select! {
        shown = show(&demo) => shown,
        stopped = stop_requested() => stopped.and(Err(Failure::failed("stopped by a signal"))),
    };
    let cleaned = clean_up(&demo).await;
    shown?;
    cleaned?;
    output::line(format!(
        "\nDone in {:.1} s.",
        started.elapsed().as_secs_f64()
    ))?;
    output::line("Next: waxseal key generate, then waxseal migrate --dry-run on your own Redis.")?;
    Ok(Ended::Done)
}

async fn show(demo: &Demo) -> Result<(), Failure> {
    let key = SecretKey::generate()?;
    let old_hex = key.expose_hex();
    let keyring = Arc::new(Keyring::new(key)?);
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);

    title(1, "Plain conversation states, as a bot keeps them")?;
    fill(demo).await?;
    show_record(
        demo,
        "anyone with a Redis credential, a dump or a backup reads this",
    )
    .await?;

    title(2, "Migrate: sealed in place, while applications run")?;
    let migrated = sweep(demo, Arc::new(Migrate::new(sealer.clone()))).await?;
    outcome("migrated", &migrated)?;
    show_record(demo, "the same record: AES-256-GCM, bound to its name").await?;

    title(3, "Read back through StateManager")?;
    let manager = demo.manager(&sealer).await?;
    read_all(demo, &manager).await?;

    title(4, "Someone changes one byte")?;
    damage(demo, &manager).await?;

    title(5, "Rotate to a new key")?;
    let ring = Keyring::new(SecretKey::generate()?)?;
    let ring = ring.with_previous(&SecretKey::from_hex(&old_hex)?)?;
    let (old, new) = (
        sealer.keyring().map(|ring| ring.sealing_id()),
        ring.sealing_id(),
    );
    let sealer = Sealer::new(Arc::new(ring), Mode::Required, Format::Sealed);
    let rotated = sweep(demo, Arc::new(Rotate::new(sealer.clone()))).await?;
    demo.renew_canary(&sealer).await?;
    outcome("rotated", &rotated)?;
    let old = old.map(|id| id.to_string()).unwrap_or_default();
    output::line(format!(
        "  key {old} -> key {new}; mode required from here on"
    ))?;
    read_all(demo, &demo.manager(&sealer).await?).await?;

    title(6, "What it cost")?;
    cost(&sealer)
}

async fn fill(demo: &Demo) -> Result<(), Failure> {
    let started = Instant::now();
    demo.fill().await?;
    output::line(format!(
        "  {} states written to {} in {:.2} s",
        thousands(demo.states()),
        demo.location(),
        started.elapsed().as_secs_f64()
    ))
}

/// Shows the first record as it is stored.
async fn show_record(demo: &Demo, remark: &str) -> Result<(), Failure> {
    let stored = demo.stored(0).await?;
    let name = String::from_utf8_lossy(demo.name(0).as_bytes()).into_owned();
    output::line(format!("  {name}  ({} bytes; {remark})", stored.len()))?;
    output::line(format!("  {}", excerpt(&stored)))
}

async fn sweep(demo: &Demo, task: Arc<dyn Task>) -> Result<(Tally, Duration), Failure> {
    let started = Instant::now();
    let mut progress = Progress::start(false, 0);
    let swept = demo.sweep(task, &mut |event| progress.show(&event)).await;
    progress.end();
    Ok((swept?, started.elapsed()))
}

async fn read_all(demo: &Demo, manager: &StateManager) -> Result<(), Failure> {
    let started = Instant::now();
    let found = demo.read_all(manager).await?;
    output::line(format!(
        "  {} of {} states opened and parsed in {:.2} s",
        thousands(found),
        thousands(demo.states()),
        started.elapsed().as_secs_f64()
    ))
}

/// Damages a record, and shows that this is detected and that the value is moved to quarantine.
async fn damage(demo: &Demo, manager: &StateManager) -> Result<(), Failure> {
    let damaged = demo.damage(manager).await?;
    let answer = match damaged.is_answered {
        true => "a state",
        false => "none: the conversation starts from the beginning",
    };
    output::line(format!("  StateManager answers: {answer}"))?;
    for entry in &damaged.quarantined {
        output::line(format!(
            "  moved to quarantine, {} bytes kept: {}",
            entry.size, entry.cause
        ))?;
    }
    Ok(())
}

async fn clean_up(demo: &Demo) -> Result<(), Failure> {
    match demo.clean_up().await? {
        true => output::line("\nEverything that the demo wrote is removed."),
        // The directory is removed as a whole.
        false => Ok(()),
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

fn cost(sealer: &Sealer) -> Result<(), Failure> {
    let cost = demo::cost(sealer)?;
    output::line(format!(
        "  a state of {} bytes: {:.2} us to seal, {:.2} us to open, {} bytes more to store",
        cost.size,
        cost.seal.as_secs_f64() * 1e6,
        cost.open.as_secs_f64() * 1e6,
        cost.overhead
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
