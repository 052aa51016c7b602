//! `waxseal proxy`: from what was configured to a running proxy. Waits for the store, checks the key
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
    Address, Handshake, Limits, Listen, ListenError, ListenTls, Meters, Protection, Proxy,
    Readiness, Settings, Sharing, Stage, TlsError, Upstream, UpstreamTls,
};
use waxseal_stores::{RedisUrl, StoreUrl};
use waxseal_sweep::Stop;

use crate::admin::RunningAdmin;
use crate::args::{Common, ProxyArgs, ScriptsArg, SharingArg, check_host_port};
use crate::audit_log::ServiceStart;
use crate::descriptors::Shares;
use crate::error::{Ended, Failure, neither_key_nor_mode, no_key};
use crate::metering::Metering;
use crate::output;
use crate::panics::spawn_restarting;
use crate::setup::Setup;
use crate::signals;
use crate::trial::RefusalRecord;

pub(crate) mod certificates;
mod excepts;
mod mode;
mod reports;

use reports::{alarm, reporter};

/// Between two attempts to reach the store at start.
const RETRY: Duration = Duration::from_secs(1);
/// More threads than this do not make it faster: a Redis server has one. Half of the processors are
/// left to it and to the applications: what fewer threads do together costs less.
pub(crate) const MAX_DEFAULT_WORKERS: usize = 4;
/// What --listen takes, and the port of examples.
const LISTEN: &str = "HOST:PORT, tls://HOST:PORT or unix:/PATH";
const PORT: u16 = 6380;

pub(crate) async fn run(
    mut setup: Setup,
    common: &Common,
    args: &ProxyArgs,
) -> Result<Ended, Failure> {
    if args.trial {
        setup.begin_trial();
    }
    prepare(&mut setup, common, args)?;
    let StoreUrl::Redis(url) = &setup.url else {
        return Err(Failure::usage(
            "a proxy needs a Redis server: this store is a file",
        ));
    };
    let upstream = Arc::new(kept_alive(url, args)?);
    let listen = listeners(args)?;
    tell_trail(&setup)?;
    let recorded = RefusalRecord::begin(&setup, args);
    let (last, json) = (recorded.clone(), common.json);
    let mut stop = std::pin::pin!(signals::told_to_stop_reporting(move || {
        // Standard output may be closed: the process ends all the same.
        let _ = last.report(json);
    }));
    // Before the store is waited for, which can take long.
    let hangups = signals::outlive_hangups()?;

    // Before anything makes a handle; where nobody can ask, nothing is counted.
    let metering = Metering::begin(&setup.environment, args.admin.admin.is_some())?;
    let names = setup.protected.iter().map(|it| it.name.as_str());
    let meters = metering.is_on().then(|| Arc::new(Meters::new(names)));
    mode::tell(setup.mode, args.trial, metering.is_on());
    let readiness = Readiness::new(Some(upstream.clone()), meters.clone());
    let metering = metering.export(&readiness)?;
    let shares = Shares::reserve(workers(args), usize::from(args.lanes));
    let watched = (upstream.clone(), recorded.clone());
    let admin = match &args.admin.admin {
        Some(at) => {
            Some(RunningAdmin::of_proxy(at, &setup, watched, &readiness, shares.admin).await?)
        }
        None => None,
    };
    let clients = shares.allow_clients(args.max_connections.map(|it| it as usize));
    tokio::select! {
        told = &mut stop => return told.map(|()| Ended::Done),
        checked = wait_for_store(&mut setup, args.trial, admin.as_ref()) => checked?,
    }
    let protection = recorded.by(
        protection(&setup, args, meters)?,
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
    opened.serve(setup, common, args, stop).await
}

/// Everything that serves clients, and those who ask about it.
struct Opened {
    proxy: Proxy,
    admin: Option<RunningAdmin>,
    metering: Metering,
    readiness: Readiness,
    recorded: RefusalRecord,
    /// SIGHUPs that the log file has been opened again for.
    hangups: watch::Receiver<()>,
}

impl Opened {
    /// Serves clients until it is told to stop.
    async fn serve(
        self,
        setup: Setup,
        common: &Common,
        args: &ProxyArgs,
        stop: impl Future<Output = Result<(), Failure>>,
    ) -> Result<Ended, Failure> {
        let (proxy, mut admin, metering) = (self.proxy, self.admin, self.metering);
        if let (Ok(opened), true) = (setup.opened_ring(), metering.is_on()) {
            instrumented::follow(&opened.ring);
        }
        let setup = Arc::new(setup);
        if let Some(admin) = &mut admin {
            admin.follow(&setup, &args.admin);
        }
        let upkeep = UpkeepTask::begin(&setup).await?;
        if !self.recorded.is_trial() {
            reports::tell_of_scripts(&setup);
            excepts::look_for_sealed(&setup);
        }
        certificates::watch(proxy.certificates(), self.hangups, metering.is_on());
        for address in proxy.addresses() {
            output::say(&format!("waxseal: listening on {address}"));
        }
        let stage = |stage| self.readiness.stage().set(stage);
        stage(Stage::Serving);
        let ended = proxy
            .run(async {
                // Where signals cannot be had, only killing ends the process.
                if stop.await.is_ok() {
                    stage(Stage::Draining);
                    if let Some(admin) = &admin {
                        admin.stopping();
                    }
                    output::say(&stopping(args.grace));
                }
            })
            .await;
        upkeep.end().await;
        metering.end().await;
        self.recorded.report(common.json)?;
        Ok(told(ended.cut, args))
    }
}

fn tell_trail(setup: &Setup) -> Result<(), Failure> {
    setup.trail.record_mode(&ServiceStart {
        service: "proxy",
        store: &setup.url.location(),
        mode: &setup.mode.to_string(),
    })
}

fn stopping(grace: u64) -> String {
    format!(
        "waxseal: stopping: letting requests under way come to their end, for {grace} s at most; a second \
         signal (Ctrl-C) ends at once"
    )
}

/// Tells of connections that had to be cut.
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
    output::complain("warning", &text);
    Ended::Findings
}

/// Refuses what cannot be served, and makes the setup that of a proxy.
fn prepare(setup: &mut Setup, common: &Common, args: &ProxyArgs) -> Result<(), Failure> {
    check(setup, common)?;
    check_buffers(args)?;
    if let Some(scripts) = args.scripts {
        for protected in &mut setup.protected {
            protected.forwards_scripts = scripts == ScriptsArg::Forward;
        }
    }
    setup.protect_overlapping();
    match args.format {
        Some(format) => setup.serve_as(format),
        None => Ok(()),
    }
}

/// What must be so before anything is opened.
fn check(setup: &Setup, common: &Common) -> Result<(), Failure> {
    if common.protect.is_empty() && setup.config.protect.is_empty() {
        return Err(Failure::usage("no record is protected")
            .hint("say which with --protect, for example --protect 'wa:*', or in waxseal.toml"));
    }
    if !setup.has_keys() {
        if setup.mode != Mode::Off {
            return Err(no_key());
        }
        if !setup.is_mode_chosen {
            let is_blank = setup.environment.is_key_blank();
            return Err(neither_key_nor_mode(is_blank));
        }
    }
    setup.check_decoys()
}

/// A reply is given as a whole where it has values to open: it must fit, with what is remembered of requests.
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
    setup: &Setup,
    args: &ProxyArgs,
    meters: Option<Arc<Meters>>,
) -> Result<Protection, Failure> {
    let sealers = setup.protected.iter().map(|protected| {
        let sealer: Sealer = setup.sealer(protected, setup.mode);
        (protected.pattern.clone(), sealer)
    });
    let decoys = setup.decoys.iter().map(|it| it.name.as_bytes().to_vec());
    let forwards = |index: usize| {
        let protected = setup.protected.get(index);
        protected.is_some_and(|it| it.forwards_scripts)
    };
    let mut protection = Protection::new(sealers.collect(), setup.mask())
        .allow_own_writes(args.allow_own_writes)
        .forward_scripts(forwards)
        .decoys(decoys, alarm());
    if let Some(meters) = meters {
        protection = protection.meters(meters);
    }
    let Ok(opened) = setup.opened_ring() else {
        return Ok(protection);
    };
    let protection = protection.ring(opened.ring.clone());
    let Some(users) = &opened.users else {
        return Ok(protection);
    };
    let per_user = |index: usize| setup.protected.get(index).is_some_and(|it| it.per_user);
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
    async fn begin(setup: &Setup) -> Result<Self, Failure> {
        if !setup.follows_ring() {
            return Ok(Self::default());
        }
        let upkeep = Arc::new(setup.upkeep("proxy").await?);
        let stop = Stop::default();
        let told = stop.clone();
        let task = spawn_restarting("the upkeep of the keyring", move || {
            let (upkeep, told) = (upkeep.clone(), told.clone());
            async move { upkeep.run(&told).await }
        });
        Ok(Self(Some((stop, task))))
    }

    /// Lets another process follow at once.
    async fn end(mut self) {
        if let Some((stop, task)) = self.0.take() {
            stop.stop();
            // Nobody else ends it.
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

/// Waits until the store and the keyring can be reached, and makes sure that the key is the store's.
async fn wait_for_store(
    setup: &mut Setup,
    is_trial: bool,
    admin: Option<&RunningAdmin>,
) -> Result<(), Failure> {
    let mut said = false;
    loop {
        let error = match reach(setup, is_trial).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if !error.is_transient() {
            return Err(error);
        }
        if let Some(admin) = admin {
            admin.waiting(error.text());
        }
        if !said {
            output::complain("warning", error.text());
            if let Some(advice) = error.advice() {
                output::advise(advice);
            }
            output::say("waxseal: waiting for the store before taking clients");
            said = true;
        }
        sleep(RETRY).await;
    }
}

async fn reach(setup: &mut Setup, is_trial: bool) -> Result<(), Failure> {
    setup.open_ring(false).await?;
    let store = setup.open_store().await?;
    if is_trial {
        return setup.check_nothing_is_sealed(&store).await;
    }
    setup.check_key_and_mark(&store).await?;
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

/// The way to the server, with what the flags say of it.
fn kept_alive(url: &RedisUrl, args: &ProxyArgs) -> Result<Upstream, Failure> {
    let upstream = upstream(url, args.clients_authenticate)?;
    Ok(upstream.keepalive(Duration::from_secs(args.keepalive)))
}

/// The way to the server of this URL.
pub(crate) fn upstream(url: &RedisUrl, clients_authenticate: bool) -> Result<Upstream, Failure> {
    let parts = url.parts()?;
    let address = match (parts.host, parts.socket) {
        (Some((host, port)), _) => Address::Tcp { host, port },
        (None, Some(path)) => Address::Unix(path),
        (None, None) => return Err(Failure::usage("the store URL names no server")),
    };
    let tls = parts.tls.then_some(UpstreamTls {
        ca: parts.ca,
        identity: parts.identity,
    });
    let handshake = Handshake::new(
        parts.user.as_deref(),
        parts.password.as_deref(),
        parts.database,
    );
    let upstream =
        Upstream::new(address, tls.as_ref(), handshake, parts.database).map_err(tls_failure)?;
    Ok(if clients_authenticate {
        upstream.without_credentials_for_clients()
    } else {
        upstream
    })
}

fn listen_failure(error: ListenError) -> Failure {
    match error {
        ListenError::Tls(error) => tls_failure(error),
        ListenError::NoCertificate => {
            Failure::usage(error).hint("name them with --tls-cert and --tls-key")
        }
        ListenError::Address { .. } => Failure::failed(&error)
            .hint("stop whoever listens there, or take another address with --listen"),
    }
}

fn tls_failure(error: TlsError) -> Failure {
    Failure::usage(error)
}
