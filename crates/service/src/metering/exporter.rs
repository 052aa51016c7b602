//! Exports the metrics to a collector, at intervals and once more at the end. A collector that is slow or unreachable
//! delays nothing but the next export.

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

use super::collector::Collector;
use crate::Failure;
use crate::readiness::Readiness;

/// The limit of one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of the last export, which delays the end of the process.
const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The exporting task.
pub(super) struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Export {
    collector: Collector,
    client: Client,
    readiness: Readiness,
    instance: String,
    since_ns: u128,
    /// True while exports fail, which was logged.
    is_failing: bool,
}

impl Exporter {
    pub(super) fn start(collector: Collector, readiness: Readiness) -> Result<Self, Failure> {
        let client = client(&collector)?;
        let since_ns = now_ns();
        let mut export = Export {
            collector,
            client,
            readiness,
            // A later process with the same process id has another start time.
            instance: format!("{}-{since_ns:x}", std::process::id()),
            since_ns,
            is_failing: false,
        };
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let every = export.collector.interval;
            let mut tick = interval_at(tokio::time::Instant::now() + every, every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    _ = tick.tick() => {}
                }
                tokio::select! {
                    _ = &mut stopped => break,
                    result = export.send(EXPORT_TIMEOUT) => export.log(result),
                }
            }
            let result = export.send(FINAL_EXPORT_TIMEOUT).await;
            export.log(result);
        });
        Ok(Self { stop, task })
    }

    /// Exports a last time, and ends.
    pub(super) async fn finish(self) {
        // It has ended before only after a panic, which is logged.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

impl Export {
    /// Exports once. The reason of a failure repeats nothing of the collector's response.
    async fn send(&self, limit: Duration) -> Result<(), String> {
        let late = |_| format!("it did not answer within {} s", limit.as_secs());
        // A panic must not prevent the next export.
        let post = AssertUnwindSafe(self.post()).catch_unwind();
        let posted = timeout(limit, post).await.map_err(late)?;
        posted.unwrap_or_else(|_| Err("a bug of Waxseal's: see the log".to_owned()))
    }

    async fn post(&self) -> Result<(), String> {
        self.readiness.update_metric().await;
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

    /// Logs the first failure, and the first success after failures.
    fn log(&mut self, result: Result<(), String>) {
        let at = self.collector.location();
        match (result, self.is_failing) {
            (Err(why), false) => {
                warn!("metrics are not exported to {at}: {why}; tried again at every interval");
                self.is_failing = true;
            }
            (Err(why), true) => debug!("metrics are not exported: {why}"),
            (Ok(()), true) => {
                info!("metrics are exported to {at} again");
                self.is_failing = false;
            }
            (Ok(()), false) => {}
        }
    }
}

fn client(collector: &Collector) -> Result<Client, Failure> {
    let mut roots = RootCertStore::empty();
    if collector.url.scheme() == "https" {
        // Certificates of the system that cannot be read are skipped: the others may be enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        // Set even without TLS, since reqwest panics without a provider of cryptography.
        .tls_backend_preconfigured(tls)
        // Headers may be credentials: they go to the configured address only.
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
