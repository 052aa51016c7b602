//! `waxseal proxy`: starts a proxy from its configuration. Waits for the store, checks the key
//! against it, and only then lets clients in.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::watch;
use waxseal_keys::instrumented;
use waxseal_proxy::{Limits, Listen, ListenTls, Protection, Proxy, Settings, Sharing, Upstream};
use waxseal_service::admin::RunningAdmin;
use waxseal_service::certificates;
use waxseal_service::descriptors::Shares;
use waxseal_service::metering::Metering;
use waxseal_service::proxy::{
    UpkeepTask, check, excepts, meters, mode, protection, record_start, reports, wait_for_store,
};
use waxseal_service::readiness::{Readiness, Stage};
use waxseal_service::refusals::{RefusalRecord, ReportForm, TrialOptions};
use waxseal_service::resources::Resources;
use waxseal_service::status::Clients;
use waxseal_service::upstream::upstream;
use waxseal_service::{Ended, Failure};
use waxseal_stores::{RedisUrl, StoreUrl};

use crate::args::{Common, ProxyArgs, ScriptsArg, SharingArg};
use crate::signals;
use crate::{logging, output};

mod listen;

use listen::{listen_failure, listeners};

/// The default number of threads, at most. More do not make it faster, since a Redis server has one. Half of the processors are
/// left to it and to the applications.
pub(crate) const MAX_DEFAULT_WORKERS: usize = 4;

pub(crate) async fn run(
    mut resources: Resources,
    common: &Common,
    args: &ProxyArgs,
) -> Result<Ended, Failure> {
    if args.trial {
        resources.configuration.begin_trial();
    }
    prepare(&mut resources, common, args)?;
    let StoreUrl::Redis(url) = &resources.configuration.store else {
        return Err(Failure::usage(
            "a proxy needs a Redis server: this store is a file",
        ));
    };
    let upstream = Arc::new(kept_alive(url, args)?);
    let listen = listeners(args)?;
    record_start(&resources)?;
    let trial = args.trial.then(|| TrialOptions {
        shows_names: args.show_names,
        format: args.format.map(Into::into),
    });
    let recorded = RefusalRecord::begin(&resources.configuration, trial);
    let last = recorded.clone();
    let mut stop = std::pin::pin!(signals::stop_requested_reporting(move || {
        // Standard output may be closed: the process ends anyway.
        let _ = print_report(&last);
    }));
    // Comes before the wait for the store, which can take long.
    let hangups = signals::outlive_hangups()?;

    // Before any handle is created. Nothing is counted where nothing can read it.
    let metering = Metering::start(
        &resources.configuration.environment,
        args.admin.admin.is_some(),
        logging::lost_lines,
    )?;
    let meters = metering.is_on().then(|| meters(&resources));
    mode::report(resources.configuration.mode, args.trial, metering.is_on());
    let readiness = Readiness::new(Some(upstream.clone()), meters.clone());
    let metering = metering.export(&readiness)?;
    let shares = Shares::reserve(workers(args), usize::from(args.lanes));
    let served = Clients {
        upstream: upstream.clone(),
        refusals: recorded.clone(),
    };
    let admin = open_admin(&resources, args, served, &readiness, shares.admin).await?;
    let clients = shares.allow_clients(args.max_connections.map(|it| it as usize));
    tokio::select! {
        told = &mut stop => return told.map(|()| Ended::Done),
        checked = reach_store(&mut resources, args.trial, admin.as_ref()) => checked?,
    }
    let protection = recorded.by(
        protection(&resources, args.allow_own_writes, meters)?,
        !common.protect.is_empty(),
    );
    let mut settings = settings(args, upstream, listen, protection);
    settings.limits.connections = clients;
    let proxy = tokio::select! {
        told = &mut stop => return told.map(|()| Ended::Done),
        opened = Proxy::open(settings) => opened.map_err(listen_failure)?,
    };
    let opened = Opened {
        proxy,
        admin,
        metering,
        readiness,
        recorded,
        hangups,
    };
    opened.serve(resources, args, stop).await
}

/// Opens the admin address, if there is one, and reports where it listens.
async fn open_admin(
    resources: &Resources,
    args: &ProxyArgs,
    clients: Clients,
    readiness: &Readiness,
    max_connections: usize,
) -> Result<Option<RunningAdmin>, Failure> {
    let Some(at) = args.admin.address()? else {
        return Ok(None);
    };
    let admin = RunningAdmin::for_proxy(at, resources, clients, readiness, max_connections).await?;
    output::admin_address(&admin);
    Ok(Some(admin))
}

/// Everything that serves clients and the admin address.
struct Opened {
    proxy: Proxy,
    admin: Option<RunningAdmin>,
    metering: Metering,
    readiness: Readiness,
    recorded: RefusalRecord,
    /// SIGHUPs for which the log file was reopened.
    hangups: watch::Receiver<()>,
}

impl Opened {
    /// Serves clients until it is stopped.
    async fn serve(
        self,
        resources: Resources,
        args: &ProxyArgs,
        stop: impl Future<Output = Result<(), Failure>>,
    ) -> Result<Ended, Failure> {
        let (proxy, mut admin, metering) = (self.proxy, self.admin, self.metering);
        if let (Ok(opened), true) = (resources.opened_ring(), metering.is_on()) {
            instrumented::follow(&opened.ring);
        }
        let resources = Arc::new(resources);
        if let Some(admin) = &mut admin {
            admin.follow(&resources, args.admin.count_every());
        }
        let upkeep = UpkeepTask::begin(&resources).await?;
        if !self.recorded.is_trial() {
            reports::log_forwarded_scripts(&resources);
            excepts::look_for_sealed(&resources);
        }
        certificates::watch(proxy.certificates(), self.hangups, metering.is_on());
        for address in proxy.addresses() {
            output::stderr_line(&format!("waxseal: listening on {address}"));
        }
        let stage = |stage| self.readiness.stage().set(stage);
        stage(Stage::Serving);
        let ended = proxy
            .run(async {
                // Without handlers of signals, only killing ends the process.
                if stop.await.is_ok() {
                    stage(Stage::Draining);
                    if let Some(admin) = &admin {
                        admin.set_stopping();
                    }
                    output::stderr_line(&stopping(args.grace));
                }
            })
            .await;
        upkeep.end().await;
        metering.finish().await;
        print_report(&self.recorded)?;
        Ok(told(ended.cut, args))
    }
}

fn stopping(grace: u64) -> String {
    format!(
        "waxseal: stopping: letting requests under way come to their end, for {grace} s at most; a second \
         signal (Ctrl-C) ends at once"
    )
}

/// Warns of connections that had to be closed.
fn told(cut: usize, args: &ProxyArgs) -> Ended {
    let connections = match cut {
        0 => return Ended::Done,
        1 => "1 connection was".to_owned(),
        cut => format!("{cut} connections were"),
    };
    let text = format!(
        "{connections} cut: something was still under way after {} s",
        args.grace
    );
    output::warn(&text);
    Ended::Findings
}

/// Refuses what cannot be served, and adapts the configuration to a proxy.
fn prepare(resources: &mut Resources, common: &Common, args: &ProxyArgs) -> Result<(), Failure> {
    check(resources, !common.protect.is_empty())?;
    check_buffers(args)?;
    if let Some(scripts) = args.scripts {
        for protected in &mut resources.configuration.protected {
            protected.forwards_scripts = scripts == ScriptsArg::Forward;
        }
    }
    resources.configuration.protect_overlapping();
    match args.format {
        Some(format) => resources.configuration.serve_as(format.into()),
        None => Ok(()),
    }
}

/// Checks the buffers: a reply with values to open is buffered whole, so it must fit together with pending requests.
/// Defaults are large enough.
fn check_buffers(args: &ProxyArgs) -> Result<(), Failure> {
    let buffers = [
        ("--max-client-buffer", args.max_client_buffer),
        ("--max-total-buffer", args.max_total_buffer),
    ];
    let least = args.max_value.saturating_mul(2);
    let is_too_small = |size: Option<usize>| size.is_some_and(|size| size <= least);
    match buffers.iter().find(|(_, size)| is_too_small(*size)) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::usage(format!(
            "{flag} must be larger than twice --max-value: a reply with one such value must fit, and what is \
             remembered of requests counts, too"
        ))
        .hint(format!("raise {flag}, or lower --max-value"))),
    }
}

fn settings(
    args: &ProxyArgs,
    upstream: Arc<Upstream>,
    listen: Vec<Listen>,
    protection: Protection,
) -> Settings {
    let limits = Limits {
        value: args.max_value,
        request: args.max_value.saturating_mul(2),
        half_request: Duration::from_secs(args.half_request),
        stalled: Duration::from_secs(args.max_stall),
        client_buffer: args.client_buffer(),
        total_buffer: args.total_buffer(),
        ..Limits::default()
    };
    let certificate = args.tls_cert.clone().zip(args.tls_key.clone());
    Settings {
        listen,
        listen_tls: certificate.map(|(certificate, key)| ListenTls {
            certificate,
            key,
            client_ca: args.tls_client_ca.clone(),
        }),
        upstream,
        sharing: match args.upstream {
            SharingArg::Own => Sharing::Dedicated,
            SharingArg::Shared => Sharing::Shared,
            SharingArg::Auto => Sharing::Auto,
        },
        lanes: usize::from(args.lanes),
        workers: workers(args),
        limits,
        protection: Arc::new(protection),
        report: reports::reporter(),
        grace: Duration::from_secs(args.grace),
    }
}

fn workers(args: &ProxyArgs) -> usize {
    let processors = available_parallelism().map_or(1, usize::from);
    let default = (processors / 2).clamp(1, MAX_DEFAULT_WORKERS);
    args.workers.map_or(default, usize::from)
}

/// Waits for the store and the keyring, and reports the first failed attempt.
async fn reach_store(
    resources: &mut Resources,
    is_trial: bool,
    admin: Option<&RunningAdmin>,
) -> Result<(), Failure> {
    let mut is_reported = false;
    let waiting = |failure: &Failure| {
        if let Some(admin) = admin {
            admin.set_waiting(failure.text());
        }
        if !is_reported {
            output::notice(failure.text(), failure.advice());
            output::stderr_line("waxseal: waiting for the store before taking clients");
            is_reported = true;
        }
    };
    wait_for_store(resources, is_trial, waiting).await
}

/// Returns the upstream of this URL, with the settings of the flags.
fn kept_alive(url: &RedisUrl, args: &ProxyArgs) -> Result<Upstream, Failure> {
    let upstream = upstream(url, args.clients_authenticate)?;
    Ok(upstream.keepalive(Duration::from_secs(args.keepalive)))
}

/// Prints the report of a trial, unless it was printed before.
fn print_report(recorded: &RefusalRecord) -> Result<(), Failure> {
    let form = match output::is_json() {
        true => ReportForm::Json,
        false => ReportForm::Text,
    };
    match recorded.take_report(form) {
        Some(report) => output::line(report),
        None => Ok(()),
    }
}
