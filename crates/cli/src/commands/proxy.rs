//! `waxseal proxy`: starts a proxy from its configuration. Waits for the store, checks the key
//! against it, and only then lets clients in.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use waxseal_core::{Mode, Sealer};
use waxseal_keys::instrumented;
use waxseal_proxy::{
    Limits, Listen, ListenError, ListenTls, Meters, Protection, Proxy, Settings, Sharing, Upstream,
};
use waxseal_service::admin::RunningAdmin;
use waxseal_service::audit_log::ServiceStart;
use waxseal_service::certificates;
use waxseal_service::descriptors::Shares;
use waxseal_service::failure::{Ended, Failure, neither_key_nor_mode, no_key};
use waxseal_service::metering::Metering;
use waxseal_service::panics::spawn_restarting;
use waxseal_service::readiness::{Readiness, Stage};
use waxseal_service::refusals::{RefusalRecord, ReportForm, TrialOptions};
use waxseal_service::resources::{Resources, guard, keys, scopes, trial};
use waxseal_service::status::Clients;
use waxseal_service::upstream::{tls_failure, upstream};
use waxseal_stores::{RedisUrl, StoreUrl};
use waxseal_sweep::Stop;

use crate::args::{Common, ProxyArgs, ScriptsArg, SharingArg, check_host_port};
use crate::signals;
use crate::{logging, output};

mod excepts;
mod mode;
mod reports;

use reports::{alarm, reporter};

/// The interval between two attempts to reach the store at start.
const RETRY: Duration = Duration::from_secs(1);
/// The default number of threads, at most. More do not make it faster, since a Redis server has one. Half of the processors are
/// left to it and to the applications.
pub(crate) const MAX_DEFAULT_WORKERS: usize = 4;
/// The form of --listen, and the port of examples.
const LISTEN: &str = "HOST:PORT, tls://HOST:PORT or unix:/PATH";
const PORT: u16 = 6380;

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
    tell_trail(&resources)?;
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
    let names = resources
        .configuration
        .protected
        .iter()
        .map(|it| it.name.as_str());
    let meters = metering.is_on().then(|| Arc::new(Meters::new(names)));
    mode::tell(resources.configuration.mode, args.trial, metering.is_on());
    let readiness = Readiness::new(Some(upstream.clone()), meters.clone());
    let metering = metering.export(&readiness)?;
    let shares = Shares::reserve(workers(args), usize::from(args.lanes));
    let served = Clients {
        upstream: upstream.clone(),
        refusals: recorded.clone(),
    };
    let admin = match args.admin.address()? {
        Some(at) => {
            Some(RunningAdmin::for_proxy(at, &resources, served, &readiness, shares.admin).await?)
        }
        None => None,
    };
    output::admin_address(admin.as_ref());
    let clients = shares.allow_clients(args.max_connections.map(|it| it as usize));
    tokio::select! {
        told = &mut stop => return told.map(|()| Ended::Done),
        checked = wait_for_store(&mut resources, args.trial, admin.as_ref()) => checked?,
    }
    let protection = recorded.by(
        protection(&resources, args, meters)?,
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
            reports::tell_of_scripts(&resources);
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

fn tell_trail(resources: &Resources) -> Result<(), Failure> {
    resources.trail.record_mode(&ServiceStart {
        service: "proxy",
        store: &resources.configuration.store.location(),
        mode: &resources.configuration.mode.to_string(),
    })
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
    check(resources, common)?;
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

/// The checks before anything is opened.
fn check(resources: &Resources, common: &Common) -> Result<(), Failure> {
    if common.protect.is_empty() && resources.configuration.file.protect.is_empty() {
        return Err(Failure::usage("no record is protected")
            .hint("say which with --protect, for example --protect 'wa:*', or in waxseal.toml"));
    }
    if !resources.configuration.has_keys() {
        if resources.configuration.mode != Mode::Off {
            return Err(no_key());
        }
        if !resources.configuration.is_mode_set() {
            let is_blank = resources.configuration.environment.is_key_blank();
            return Err(neither_key_nor_mode(is_blank));
        }
    }
    resources.configuration.check_decoys()
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

fn protection(
    resources: &Resources,
    args: &ProxyArgs,
    meters: Option<Arc<Meters>>,
) -> Result<Protection, Failure> {
    let sealers = resources.configuration.protected.iter().map(|protected| {
        let sealer: Sealer = keys::sealer(resources, protected, resources.configuration.mode);
        (protected.pattern.clone(), sealer)
    });
    let decoys = resources
        .configuration
        .decoys
        .iter()
        .map(|it| it.name.as_bytes().to_vec());
    let forwards = |index: usize| {
        let protected = resources.configuration.protected.get(index);
        protected.is_some_and(|it| it.forwards_scripts)
    };
    let mut protection = Protection::new(sealers.collect(), keys::name_mask(resources))
        .allow_own_writes(args.allow_own_writes)
        .forward_scripts(forwards)
        .decoys(decoys, alarm());
    if let Some(meters) = meters {
        protection = protection.meters(meters);
    }
    let Ok(opened) = resources.opened_ring() else {
        return Ok(protection);
    };
    let protection = protection.ring(opened.ring.clone());
    let Some(users) = &opened.users else {
        return Ok(protection);
    };
    let per_user = |index: usize| {
        resources
            .configuration
            .protected
            .get(index)
            .is_some_and(|it| it.per_user)
    };
    let protection = protection.user_keys(users.keys.clone(), per_user);
    protection.map_err(Failure::usage)
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
        report: reporter(),
        grace: Duration::from_secs(args.grace),
    }
}

fn workers(args: &ProxyArgs) -> usize {
    let processors = available_parallelism().map_or(1, usize::from);
    let default = (processors / 2).clamp(1, MAX_DEFAULT_WORKERS);
    args.workers.map_or(default, usize::from)
}

/// The upkeep of the keyring beside a running proxy.
#[derive(Default)]
struct UpkeepTask(Option<(Stop, JoinHandle<()>)>);

impl UpkeepTask {
    async fn begin(resources: &Resources) -> Result<Self, Failure> {
        if !resources.configuration.has_keyring() {
            return Ok(Self::default());
        }
        let upkeep = Arc::new(scopes::upkeep(resources, "proxy").await?);
        let stop = Stop::default();
        let told = stop.clone();
        let task = spawn_restarting("the upkeep of the keyring", move || {
            let (upkeep, told) = (upkeep.clone(), told.clone());
            async move { upkeep.run(&told).await }
        });
        Ok(Self(Some((stop, task))))
    }

    /// Gives up the lease, so that another process can follow at once.
    async fn end(mut self) {
        if let Some((stop, task)) = self.0.take() {
            stop.stop();
            // Nothing else ends it.
            let _ = task.await;
        }
    }
}

impl Drop for UpkeepTask {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.0 {
            task.abort();
        }
    }
}

/// Waits until the store and the keyring can be reached, and checks that the key is the store's.
async fn wait_for_store(
    resources: &mut Resources,
    is_trial: bool,
    admin: Option<&RunningAdmin>,
) -> Result<(), Failure> {
    let mut said = false;
    loop {
        let error = match reach(resources, is_trial).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if !error.is_transient() {
            return Err(error);
        }
        if let Some(admin) = admin {
            admin.set_waiting(error.text());
        }
        if !said {
            output::warn(error.text());
            if let Some(advice) = error.advice() {
                output::hint(advice);
            }
            output::stderr_line("waxseal: waiting for the store before taking clients");
            said = true;
        }
        sleep(RETRY).await;
    }
}

async fn reach(resources: &mut Resources, is_trial: bool) -> Result<(), Failure> {
    resources.open_ring(false).await?;
    let store = resources.open_store().await?;
    if is_trial {
        return trial::check_nothing_is_sealed(resources, &store).await;
    }
    guard::check_key_and_mark(resources, &store).await?;
    Ok(())
}

fn listeners(args: &ProxyArgs) -> Result<Vec<Listen>, Failure> {
    let texts = args.listen.iter();
    texts.map(|text| listener(text, args.unix_mode)).collect()
}

fn listener(text: &str, unix_mode: Option<u32>) -> Result<Listen, Failure> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.starts_with('/') {
            Ok(Listen::Unix(path.into(), unix_mode))
        } else {
            Err(Failure::usage(format!("--listen takes {LISTEN}"))
                .hint("for example --listen unix:/run/waxseal/redis.sock"))
        };
    }
    let (tls, address) = match text.strip_prefix("tls://") {
        Some(address) => (true, address),
        None => (false, text),
    };
    check_host_port("--listen", LISTEN, address, PORT)?;
    Ok(if tls {
        Listen::Tls(address.to_owned())
    } else {
        Listen::Tcp(address.to_owned())
    })
}

/// Returns the upstream of this URL, with the settings of the flags.
fn kept_alive(url: &RedisUrl, args: &ProxyArgs) -> Result<Upstream, Failure> {
    let upstream = upstream(url, args.clients_authenticate)?;
    Ok(upstream.keepalive(Duration::from_secs(args.keepalive)))
}

fn listen_failure(error: ListenError) -> Failure {
    match error {
        ListenError::Tls(error) => tls_failure(error),
        ListenError::NoCertificate => {
            Failure::usage(error).hint("name them with --tls-cert and --tls-key")
        }
        ListenError::Address { .. } => Failure::failed(&error)
            .hint("stop the process that listens there, or use another address with --listen"),
    }
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
