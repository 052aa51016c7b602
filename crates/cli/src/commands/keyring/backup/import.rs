//! `keyring import`: creates the keyring of a backup, wrapped by the custodians of this machine, where
//! none exists.

use std::path::Path;

use waxseal_keys::{Custodians, Document, LiveRing};
use waxseal_service::resources::Resources;
use waxseal_service::resources::keyring::{document_store, options};
use waxseal_service::{Ended, Failure};

use super::super::rewrap::create_keys;
use super::super::tell;
use super::open;
use crate::args::ImportArgs;
use crate::output;

pub(in super::super) async fn run(
    resources: &Resources,
    args: &ImportArgs,
) -> Result<Ended, Failure> {
    let configured = &resources
        .configuration
        .keyring()?
        .with_custodians(&args.custodian);
    let backup = open(&args.opening).await?.backup;
    backup.check_environment(&configured.environment)?;
    let place = document_store(configured)?;
    if place.read(&Document::Ring).await?.is_some() {
        return Err(exists(&place.location()));
    }
    if let Some(copy) = configured.copy.as_deref().filter(|copy| copy.exists()) {
        let document = std::fs::read(copy).map_err(|error| unusable(copy, &error.to_string()))?;
        if !backup.follows(&document).await {
            return Err(unusable(
                copy,
                "it is newer than the backup, or another keyring",
            ));
        }
    }
    let custodians = resources.all_custodians(configured)?;
    if args.create_key {
        create_keys(resources, configured.urls()).await?;
    }
    let ring = backup.wrapped_by(&custodians).await?;
    let known = custodians
        .into_iter()
        .fold(Custodians::default(), Custodians::with);
    let live = LiveRing::create(place, &ring, known, options(configured, false)).await?;
    let ring = live.ring();
    let wrapped: Vec<_> = ring
        .custodians()
        .map(output::sanitize_for_terminal)
        .collect();
    let done = format!(
        "the keyring is at {}: version {}, key {} seals, wrapped by {}",
        live.location(),
        ring.version(),
        ring.sealing().id,
        wrapped.join(", ")
    );
    let next = "waxseal doctor tells whether it fits the store; start the processes, and make a new \
        backup with waxseal keyring export";
    tell(resources, &ring, &done, next)
}

fn exists(location: &str) -> Failure {
    Failure::failed(format!("there is a keyring at {location} already")).hint(
        "nothing was changed; waxseal keyring status shows what it holds. A backup is imported only \
         where there is none: if that one is worth nothing, move it away first",
    )
}

fn unusable(copy: &Path, why: &str) -> Failure {
    Failure::failed(format!(
        "this machine keeps a copy of a keyring: {} ({why})",
        copy.display()
    ))
    .hint(
        "nothing was changed; waxseal keyring restore puts the copy back, and loses less than a backup; \
         where it does not open any more, move it away and import again",
    )
}
