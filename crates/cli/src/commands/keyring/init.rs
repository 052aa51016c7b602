//! `keyring init`: creates a keyring. Where the store is sealed under keys of the
//! environment, these are adopted: applications that know only them can still read and write.

use waxseal_keys::{Custodians, Document, DocumentFormat, LiveRing, Ring, RingError, Settings};
use waxseal_service::adoption::adopted;
use waxseal_service::configuration::keyring::KeyringConfiguration;
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_service::resources::keyring::{document_store, options};
use waxseal_service::{Ended, Failure};

use super::rewrap::create_keys;
use super::tell;
use crate::args::InitArgs;

pub(super) async fn run(resources: &Resources, args: &InitArgs) -> Result<Ended, Failure> {
    let configured = &resources
        .configuration
        .keyring()?
        .with_custodians(&args.custodian);
    let settings = args.settings.over(Settings::default()).checked();
    let settings = settings.map_err(RingError::from)?;
    // In this order: a process that creates a ring at this moment writes it before its copy.
    let copy = has_copy(configured);
    let place = document_store(configured)?;
    if place
        .read(&Document::Ring)
        .await
        .map_err(Failure::from)?
        .is_some()
    {
        let ring = resources.open_keyring(configured, false).await?;
        return exists(resources, &ring, args);
    }
    if let Some(copy) = copy {
        return Err(Failure::failed(format!(
            "there is no keyring at {}, and this machine keeps a copy of a former one: {copy}",
            place.location()
        ))
        .hint(
            "waxseal keyring restore puts it back; where everything sealed under it may be lost, \
             remove the copy and create a new one",
        ));
    }
    let custodians = resources.all_custodians(configured)?;
    if args.create_key {
        create_keys(resources, configured.urls()).await?;
    }
    let adopted = if args.fresh {
        Vec::new()
    } else {
        adopted(resources).await?
    };
    let environment = &configured.environment;
    let format = DocumentFormat::try_from(args.document_format).map_err(Failure::usage)?;
    let ring = Ring::create_in(
        format,
        environment,
        settings,
        &custodians,
        &adopted,
        now_ms(),
    );
    let ring = ring.await?;
    let known = custodians
        .into_iter()
        .fold(Custodians::default(), Custodians::with);
    match LiveRing::create(place, &ring, known, options(configured, false)).await {
        Ok(live) => made(resources, &live, adopted.len()),
        // Another process was faster.
        Err(RingError::Exists { .. }) if args.if_missing => {
            let ring = resources.open_keyring(configured, false).await?;
            exists(resources, &ring, args)
        }
        Err(error) => Err(error.into()),
    }
}

/// The location of the last good copy, if there is one.
fn has_copy(configured: &KeyringConfiguration) -> Option<String> {
    let copy = configured.copy.as_ref()?;
    copy.exists().then(|| copy.display().to_string())
}

fn exists(resources: &Resources, live: &LiveRing, args: &InitArgs) -> Result<Ended, Failure> {
    let (location, ring) = (live.location(), live.ring());
    let version = ring.version();
    if !args.if_missing {
        return Err(RingError::Exists { location, version }.into());
    }
    let done = format!(
        "there is a keyring at {location} (version {version}); key {} seals",
        ring.sealing().id
    );
    tell(resources, &ring, &done, "")
}

fn made(resources: &Resources, live: &LiveRing, adopted: usize) -> Result<Ended, Failure> {
    let ring = live.ring();
    let (sealing, location) = (ring.sealing().id, live.location());
    let environment = ring.environment();
    let keys = match adopted {
        0 => format!("a new key, {sealing}, seals"),
        1 => format!("key {sealing} of the environment was adopted, and seals"),
        _ => format!(
            "key {sealing} of the environment was adopted, and seals; {} more open",
            ring.keys().len() - 1
        ),
    };
    let done =
        format!("created a keyring at {location} for the environment \"{environment}\": {keys}");
    let next = if adopted == 0 {
        "name the keyring to every process; waxseal keyring status shows its state"
    } else {
        "name the keyring to every process, and only then let waxseal proxy or waxseal keeper run: \
         the first new key shuts out applications that have the keys of the environment alone"
    };
    tell(resources, &ring, &done, next)
}
