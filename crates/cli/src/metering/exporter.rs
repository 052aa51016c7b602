//! Sends what is counted to a collector, every so often and once more at the end. One that is away or slow
//! holds nobody up: nothing waits for it but the next export.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, retry};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tracing::{debug, info, warn};
use waxseal_metrics::opentelemetry::{Origin, export};
use waxseal_proxy::Readiness;
use waxseal_service::Failure;

use super::collector::Collector;

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last one may hold up the end of the process.
const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The task that sends.
pub(super) struct Exporter {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Sending {
    collector: Collector,
    client: Client,
    readiness: Readiness,
    instance: String,
    since_ns: u128,
    /// Whether it was told that the collector does not take anything.
    told: bool,
}

impl Exporter {
    pub(super) fn begin(collector: Collector, readiness: Readiness) -> Result<Self, Failure> {
        let client = client(&collector)?;
        let since_ns = now_ns();
        let mut sending = Sending {
            collector,
            client,
            readiness,
            // A process of the same number that begins later is another one.
            instance: format!("{}-{since_ns:x}", std::process::id()),
            since_ns,
            told: false,
        };
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let every = sending.collector.interval;
            let mut tick = interval_at(tokio::time::Instant::now() + every, every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = &mut ended => break,
                    _ = tick.tick() => {}
                }
                tokio::select! {
                    _ = &mut ended => break,
                    sent = sending.send(EXPORT_TIMEOUT) => sending.tell(sent),
                }
            }
            let sent = sending.send(FINAL_EXPORT_TIMEOUT).await;
            sending.tell(sent);
        });
        Ok(Self { end, task })
    }

    /// Sends a last time, and ends.
    pub(super) async fn end(self) {
        // It only ends before by a bug of ours, which its panic has told.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

impl Sending {
    /// One export; what went wrong, in words that hold nothing of the collector's answer.
    async fn send(&self, limit: Duration) -> Result<(), String> {
        let late = |_| format!("it did not answer within {} s", limit.as_secs());
        // The next one is tried whatever becomes of this one.
        let post = AssertUnwindSafe(self.post()).catch_unwind();
        let posted = timeout(limit, post).await.map_err(late)?;
        posted.unwrap_or_else(|_| Err("a bug of Waxseal's: see the log".to_owned()))
    }

    async fn post(&self) -> Result<(), String> {
        self.readiness.refresh().await;
        let origin = Origin {
            service: &self.collector.service,
            instance: &self.instance,
            version: env!("CARGO_PKG_VERSION"),
            since_ns: self.since_ns,
            now_ns: now_ns(),
        };
        let Some(body) = export(origin) else {
            return Ok(());
        };
        let request = self
            .client
            .post(self.collector.url.clone())
            .headers(self.collector.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status().as_u16())),
            Err(error) if error.is_connect() => Err("it cannot be reached".to_owned()),
            Err(_) => Err("the connection broke off".to_owned()),
        }
    }

    /// Tells of a collector that does not take anything once, and of its return.
    fn tell(&mut self, sent: Result<(), String>) {
        let at = self.collector.shown();
        match (sent, self.told) {
            (Err(why), false) => {
                warn!("metrics are not exported to {at}: {why}; tried again at every interval");
                self.told = true;
            }
            (Err(why), true) => debug!("metrics are not exported: {why}"),
            (Ok(()), true) => {
                info!("metrics are exported to {at} again");
                self.told = false;
            }
            (Ok(()), false) => {}
        }
    }
}

fn client(collector: &Collector) -> Result<Client, Failure> {
    let mut roots = RootCertStore::empty();
    if collector.url.scheme() == "https" {
        // What the system has and cannot be read is left out: the rest may be enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        // Also without TLS: by itself reqwest would panic here, as it finds no cryptography.
        .tls_backend_preconfigured(tls)
        // Headers go to the address that was given, and nowhere else.
        .redirect(Policy::none())
        .no_proxy()
        .retry(retry::never())
        .build();
    client.map_err(|_| Failure::failed("metrics cannot be exported: there is no HTTP client"))
}

fn now_ns() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}
