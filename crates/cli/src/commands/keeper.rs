//! `keeper`: the rotation and upkeep of a keyring as a process of its own, for applications that use
//! the library.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use waxseal_keys::instrumented;
use waxseal_proxy::Readiness;
use waxseal_sweep::Stop;
use waxseal_upkeep::Upkeep;

use crate::admin::RunningAdmin;
use crate::args::KeeperArgs;
use crate::audit_log::ServiceStart;
use crate::descriptors::Shares;
use crate::error::{Ended, Failure};
use crate::metering::Metering;
use crate::output;
use crate::setup::Setup;
use crate::signals;

/// Between two attempts to reach keyring and store at start.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) async fn run(mut setup: Setup, args: &KeeperArgs) -> Result<Ended, Failure> {
    setup.ring_setup()?;
    setup.trail.record_mode(&ServiceStart {
        service: "keeper",
        store: &setup.url.location(),
        mode: &setup.mode.to_string(),
    })?;
    // Before anything makes a handle; where nobody can ask, nothing is counted.
    let metering = Metering::begin(&setup.environment, args.admin.admin.is_some())?;
    let shares = Shares::reserve(0, 0);
    let readiness = Readiness::new(None, None);
    let metering = metering.export(&readiness)?;
    let mut admin = match &args.admin.admin {
        Some(at) => Some(RunningAdmin::of_keeper(at, &setup, &readiness, shares.admin).await?),
        None => None,
    };
    let stop = signals::stop_service_on_signal()?;
    // It has nothing but its log file to open again.
    drop(signals::outlive_hangups()?);
    let Some(upkeep) = begin(&mut setup, &stop, admin.as_ref()).await? else {
        return Ok(Ended::Done);
    };
    instrumented::follow(upkeep.ring());
    if let Some(admin) = &mut admin {
        admin.follow(&Arc::new(setup), &args.admin);
    }
    output::say(&format!(
        "waxseal: keeping the keyring at {}",
        upkeep.ring().location()
    ));
    upkeep.run(&stop).await;
    metering.end().await;
    Ok(Ended::Done)
}

/// Waits until keyring and store can be reached; `None` where it is told to stop before.
async fn begin(
    setup: &mut Setup,
    stop: &Stop,
    admin: Option<&RunningAdmin>,
) -> Result<Option<Upkeep>, Failure> {
    let mut said = false;
    while !stop.is_stopped() {
        let failure = match once(setup).await {
            Ok(upkeep) => return Ok(Some(upkeep)),
            Err(failure) if failure.is_transient() => failure,
            Err(failure) => return Err(failure),
        };
        if let Some(admin) = admin {
            admin.waiting(failure.text());
        }
        if !said {
            output::complain("warning", failure.text());
            if let Some(advice) = failure.advice() {
                output::advise(advice);
            }
            output::say("waxseal: waiting for it");
            said = true;
        }
        sleep(RETRY).await;
    }
    Ok(None)
}

async fn once(setup: &mut Setup) -> Result<Upkeep, Failure> {
    setup.open_ring(false).await?;
    let store = setup.open_store().await?;
    setup.check_key_and_mark(&store).await?;
    drop(store);
    setup.upkeep("keeper").await
}
