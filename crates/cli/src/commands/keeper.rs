//! `keeper`: the rotation and upkeep of a keyring in a dedicated process, for applications that use
//! the library.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use waxseal_keys::instrumented;
use waxseal_service::admin::RunningAdmin;
use waxseal_service::audit_log::ServiceStart;
use waxseal_service::descriptors::Shares;
use waxseal_service::metering::Metering;
use waxseal_service::readiness::Readiness;
use waxseal_service::resources::{Resources, guard, scopes};
use waxseal_service::{Ended, Failure};
use waxseal_sweep::Stop;
use waxseal_upkeep::Upkeep;

use crate::args::KeeperArgs;
use crate::signals;
use crate::{logging, output};

/// The interval between two attempts to reach keyring and store at start.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) async fn run(mut resources: Resources, args: &KeeperArgs) -> Result<Ended, Failure> {
    resources.configuration.keyring()?;
    resources.trail.record_mode(&ServiceStart {
        service: "keeper",
        store: &resources.configuration.store.location(),
        mode: &resources.configuration.mode.to_string(),
    })?;
    // Before any handle is created. Nothing is counted where nothing can read it.
    let metering = Metering::start(
        &resources.configuration.environment,
        args.admin.admin.is_some(),
        logging::lost_lines,
    )?;
    let shares = Shares::reserve(0, 0);
    let readiness = Readiness::new(None, None);
    let metering = metering.export(&readiness)?;
    let mut admin = match args.admin.address()? {
        Some(at) => Some(RunningAdmin::for_keeper(at, &resources, &readiness, shares.admin).await?),
        None => None,
    };
    output::admin_address(admin.as_ref());
    let stop = signals::stop_service_on_signal()?;
    // Only its log file is reopened.
    drop(signals::outlive_hangups()?);
    let Some(upkeep) = begin(&mut resources, &stop, admin.as_ref()).await? else {
        return Ok(Ended::Done);
    };
    instrumented::follow(upkeep.ring());
    if let Some(admin) = &mut admin {
        admin.follow(&Arc::new(resources), args.admin.count_every());
    }
    output::stderr_line(&format!(
        "waxseal: keeping the keyring at {}",
        upkeep.ring().location()
    ));
    upkeep.run(&stop).await;
    metering.finish().await;
    Ok(Ended::Done)
}

/// Waits until keyring and store can be reached; `None` if it is stopped before.
async fn begin(
    resources: &mut Resources,
    stop: &Stop,
    admin: Option<&RunningAdmin>,
) -> Result<Option<Upkeep>, Failure> {
    let mut said = false;
    while !stop.is_stopped() {
        let failure = match once(resources).await {
            Ok(upkeep) => return Ok(Some(upkeep)),
            Err(failure) if failure.is_transient() => failure,
            Err(failure) => return Err(failure),
        };
        if let Some(admin) = admin {
            admin.set_waiting(failure.text());
        }
        if !said {
            output::warn(failure.text());
            if let Some(advice) = failure.advice() {
                output::hint(advice);
            }
            output::stderr_line("waxseal: waiting for it");
            said = true;
        }
        sleep(RETRY).await;
    }
    Ok(None)
}

async fn once(resources: &mut Resources) -> Result<Upkeep, Failure> {
    resources.open_ring(false).await?;
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    drop(store);
    scopes::upkeep(resources, "keeper").await
}
