//! `demo --proxy`: a proxy under load on a Redis server, with a rotation in the middle; and which metrics
//! of the proxy moved. Writes names of its own, and removes them.

mod child;
mod misuse;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;
use waxseal_metrics::names::KEYRING_KEYS;
use waxseal_metrics::{Kind, Movement, Snapshot};
use waxseal_stores::{Cursor, Expiry, RecordName, RecordPattern, RecordStore, Slot, StoreUrl};

use self::child::Child;
use self::wire::Wire;
use waxseal_service::resources::open_store;
use waxseal_service::{Ended, Failure};

use super::{TTL, people, title, unique};
use crate::args::{Common, DemoArgs};
use crate::output::{self, thousands};
use crate::signals::told_to_stop;

/// What Waxseal itself keeps in a store, under a name that is the same for all.
const CANARY: &str = "waxseal:canary";
/// Metrics that do not move here, and why.
const STILL: [(&str, &str); 15] = [
    (
        "waxseal_trial_refusals_total",
        "the demo's proxy is not a trial",
    ),
    ("waxseal_client_tls_failures_total", "the demo has no TLS"),
    (
        "waxseal_upstream_errors_total",
        "the server is not the demo's to break",
    ),
    (
        "waxseal_client_buffer_bytes",
        "0 all the while: its clients read their replies",
    ),
    (
        "waxseal_upstream_connections_suspect",
        "0 all the while: no reply of the server is late",
    ),
    (
        "waxseal_upstream_switches_total",
        "the server is a primary all the while",
    ),
    (
        "waxseal_ready",
        "1 all the while; 0 when the server is away",
    ),
    (
        "waxseal_keyring_trouble",
        "0 all the while: nothing is wrong with the keyring",
    ),
    (
        "waxseal_quarantined_values_total",
        "the library moves values aside, a proxy does not",
    ),
    (
        "waxseal_mode",
        "the mode is that of the start, and the demo seals",
    ),
    (
        "waxseal_certificate_expiry_timestamp_seconds",
        "the demo has no TLS",
    ),
    (
        "waxseal_log_lines_lost_total",
        "0 all the while: its log is a file with room",
    ),
    ("waxseal_panics_total", "0 all the while: it met no bug"),
    (
        "waxseal_custodian_threads_hung",
        "its custodian is in the process",
    ),
    (
        "waxseal_keyring_clock_offset_seconds",
        "the server has the clock of this machine",
    ),
];
const CLIENTS: u64 = 4;
/// Requests that a client sends before it reads replies.
const AT_ONCE: u64 = 16;
const RECORDS: u64 = 400;
/// How long a rotation may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Live {
    store: Arc<dyn RecordStore>,
    prefix: String,
    seconds: u64,
}

/// What the clients did.
#[derive(Default)]
struct Load {
    over: AtomicBool,
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
        return Err(Failure::usage(
            "this database is sealed already, under a key of somebody else's",
        )
        .hint("nothing was changed; give another one, for example with /15 behind the URL"));
    }
    let live = Live {
        store,
        prefix: format!("wa-demo-{}:", unique()),
        seconds: args.seconds,
    };
    let directory = tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?;
    let mut child = None;
    let shown = tokio::select! {
        shown = live.show(text, directory.path(), &mut child) => shown,
        stopped = told_to_stop() => stopped.and(Err(Failure::failed("stopped by a signal"))),
    };
    // It writes until it has ended.
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
        directory: &std::path::Path,
        running: &mut Option<Child>,
    ) -> Result<Ended, Failure> {
        title(1, "Plain records, then a proxy with a keyring of its own")?;
        for index in 0..RECORDS {
            let state = people::state(index);
            self.store
                .put(&self.name(index), &Slot::Whole, &state, Expiry::After(TTL))
                .await?;
        }
        child::make_keyring(url, directory, &self.prefix).await?;
        // The proxy holds the file of users' keys while it runs.
        child::run(url, directory, &["decoy", "plant"]).await?;
        let child = running.insert(Child::start(url, directory)?);
        child.wait().await?;
        let at = child.admin().to_owned();
        output::line(format!("  status page: http://{at}/"))?;
        let mut movement = Movement::begin(&look(&at).await?);

        title(2, "Load, and what should not happen")?;
        let load = Arc::new(Load::default());
        let (mut clients, began) = (JoinSet::new(), Instant::now());
        for number in 0..CLIENTS {
            let (load, prefix) = (load.clone(), self.prefix.clone());
            let proxy = child.address().to_owned();
            clients.spawn(async move { load.run(&proxy, &prefix, number).await });
        }
        misuse::all(self, child.address()).await?;

        title(3, "A rotation under load")?;
        sleep(Duration::from_secs(1)).await;
        child::run(url, directory, &["keyring", "add"]).await?;
        let added = Instant::now();
        let mut took = None;
        while took.is_none() || began.elapsed() < Duration::from_secs(self.seconds) {
            let now = look(&at).await?;
            movement.note(&now);
            let gone = [("state", "archived"), ("state", "destroyed")];
            if took.is_none() && gone.iter().any(|it| now.sum(&KEYRING_KEYS, &[*it]) > 0.0) {
                took = Some(added.elapsed());
            }
            if took.is_none() && added.elapsed() > PATIENCE {
                return Err(Failure::failed("the rotation did not come to its end"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        load.over.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.map_err(Failure::failed)??;
        }
        let lasted = began.elapsed();
        movement.note(&look(&at).await?);
        let took = took.unwrap_or_default().as_secs_f64();
        output::line(format!("  the old key was retired {took:.1} s after"))?;
        let (requests, failed) = (
            load.requests.load(Ordering::Relaxed),
            load.failed.load(Ordering::Relaxed),
        );
        let rate = requests as f64 / lasted.as_secs_f64();
        output::line(format!(
            "  requests: {} ({}/s), failed or wrong: {failed}",
            thousands(requests),
            thousands(rate as u64)
        ))?;
        title(4, "Metrics of the proxy")?;
        let all_moved = table(&movement)?;
        Ok(match failed == 0 && all_moved {
            true => Ended::Done,
            false => Ended::Findings,
        })
    }

    fn name(&self, index: u64) -> RecordName {
        RecordName::from(format!(
            "{}{}{}",
            self.prefix,
            kind(index),
            people::phone(index)
        ))
    }

    async fn clean_up(&self, url: &str, directory: &std::path::Path) -> Result<(), Failure> {
        self.remove(&RecordPattern::parse(&format!("{}*", self.prefix))?)
            .await?;
        // Ours is under a key of our keyring, which nobody else has; one that takes its place stays.
        if let Some(stored) = self.store.get(&canary(), &Slot::Whole).await?
            && child::made_canary(url, directory).await?
        {
            self.store.delete_if_unchanged(&canary(), &stored).await?;
        }
        output::line("\nEverything that the demo wrote is removed.")
    }

    async fn remove(&self, pattern: &RecordPattern) -> Result<(), Failure> {
        let mut cursor = Some(Cursor::start());
        while let Some(at) = cursor {
            let page = self.store.scan(pattern, &at, 1_000).await?;
            for name in page.names {
                self.store.delete(&name).await?;
            }
            cursor = page.next;
        }
        Ok(())
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
    /// One client: reads what was plain before, writes it anew, and reads it again.
    async fn run(&self, proxy: &str, prefix: &str, number: u64) -> Result<(), Failure> {
        let mut wire = Wire::connect(proxy).await?;
        let mut at = number * AT_ONCE;
        while !self.over.load(Ordering::Relaxed) {
            let indices = (at..at + AT_ONCE).map(|it| it % RECORDS);
            for index in indices.clone() {
                let (name, state) = (
                    format!("{prefix}{}{}", kind(index), people::phone(index)),
                    people::state(index),
                );
                wire.send(&[b"GET", name.as_bytes()]).await?;
                wire.send(&[b"SET", name.as_bytes(), &state]).await?;
            }
            for index in indices {
                let (read, written) = (wire.reply().await?, wire.reply().await?);
                let wrong = u64::from(read != people::state(index)) + u64::from(written != b"OK");
                self.failed.fetch_add(wrong, Ordering::Relaxed);
                self.requests.fetch_add(2, Ordering::Relaxed);
            }
            at += CLIENTS * AT_ONCE;
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

async fn look(admin: &str) -> Result<Snapshot, Failure> {
    Ok(Snapshot::parse(&wire::ask(admin, "/metrics").await?))
}

/// Prints what each metric did; whether all moved that can.
fn table(movement: &Movement) -> Result<bool, Failure> {
    let mut all_moved = true;
    for it in movement.metrics() {
        let (from, to) = match it.metric.kind {
            Kind::Gauge => (it.lowest, it.highest),
            Kind::Counter | Kind::Histogram => (it.before, it.after),
        };
        let name = it.metric.name.trim_start_matches("waxseal_");
        let kind = format!("{:?}", it.metric.kind).to_lowercase();
        let why = STILL.iter().find(|(still, _)| *still == it.metric.name);
        let (word, why) = match (it.moved, why) {
            (true, _) => ("moved", ""),
            (false, Some((_, why))) => ("still", *why),
            (false, None) => ("STILL", "it should have moved"),
        };
        all_moved &= it.moved || !why.starts_with("it should");
        let text = format!("  {word}  {name:<40} {kind:<9} {from:.0} → {to:.0}  {why}");
        output::line(text.trim_end())?;
    }
    let still = movement.metrics().iter().filter(|it| !it.moved).count();
    let all = movement.metrics().len();
    output::line(format!("  {} of {all} metrics moved", all - still))?;
    Ok(all_moved)
}
