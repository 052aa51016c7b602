//! `keyring restore`: puts a copy of the keyring back where the place has lost it. A newer keyring,
//! or that of somebody else, is never overwritten.

use std::path::Path;

use waxseal_keys::{Document, Ring};

use super::tell;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::{RingSetup, Setup};

pub(super) async fn run(setup: &Setup, from: Option<&Path>) -> Result<Ended, Failure> {
    let configured = setup.ring_setup()?;
    let path = from.or(configured.copy.as_deref()).ok_or_else(|| {
        Failure::usage("this machine keeps no copy of the keyring").hint("name one with --from")
    })?;
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::failed(format!(
            "the copy {} cannot be read: {error}",
            path.display()
        ))
        .hint("name another one with --from: other machines that use the keyring keep one each")
    })?;
    let copy = open(setup, configured, &bytes, path).await?;
    check_own_copy(setup, configured, path, &copy).await?;
    let place = configured.place()?;
    let found = place.read(&Document::Ring).await?;
    let location = place.location();
    match &found {
        Some(found) if *found == bytes => {
            let done = format!(
                "{location} holds this keyring already (version {})",
                copy.version()
            );
            return tell(setup, &copy, &done, "");
        }
        Some(found) => check_found(setup, configured, found, &location, &copy).await?,
        None => {}
    }
    if !place
        .replace(&Document::Ring, found.as_deref(), &bytes)
        .await?
    {
        return Err(
            Failure::failed(format!("somebody else wrote to {location} meanwhile"))
                .hint("waxseal keyring status tells what it holds now"),
        );
    }
    // As every process will: it must open, and this machine keeps it.
    let live = configured.open(&setup.environment, false).await?;
    let ring = live.ring();
    let done = format!(
        "the keyring is back at {location}: version {}, key {} seals",
        ring.version(),
        ring.sealing().id
    );
    let next = "running processes take it by themselves; find out who removed or changed it";
    tell(setup, &ring, &done, next)
}

async fn open(
    setup: &Setup,
    configured: &RingSetup,
    bytes: &[u8],
    path: &Path,
) -> Result<Ring, Failure> {
    let custodians = configured.custodians(&setup.environment)?;
    let location = format!("file:{}", path.display());
    let environment = &configured.environment;
    Ok(Ring::open(bytes, &location, environment, &custodians, None).await?)
}

/// A copy from elsewhere that is older than this machine's own would be replaced by that at once.
async fn check_own_copy(
    setup: &Setup,
    configured: &RingSetup,
    path: &Path,
    copy: &Ring,
) -> Result<(), Failure> {
    let Some(own) = configured.copy.as_deref().filter(|own| *own != path) else {
        return Ok(());
    };
    let Ok(bytes) = std::fs::read(own) else {
        return Ok(());
    };
    let Ok(newer) = open(setup, configured, &bytes, own).await else {
        return Ok(());
    };
    if newer.id() == copy.id() && newer.version() <= copy.version() {
        return Ok(());
    }
    let (shown, version) = (own.display(), newer.version());
    let text = if newer.id() == copy.id() {
        format!("this machine keeps a newer copy: {shown} (version {version})")
    } else {
        format!("this machine keeps a copy of another keyring: {shown}")
    };
    Err(Failure::failed(text).hint(
        "nothing was changed; waxseal keyring restore without --from puts that back; to go on all \
         the same, move it away",
    ))
}

/// What lies in the place may be replaced if it is damaged or older.
async fn check_found(
    setup: &Setup,
    configured: &RingSetup,
    found: &[u8],
    location: &str,
    copy: &Ring,
) -> Result<(), Failure> {
    let custodians = configured.custodians(&setup.environment)?;
    let environment = &configured.environment;
    let refused = match Ring::open(found, location, environment, &custodians, None).await {
        Err(error) if error.is_loss() => {
            output::complain("warning", &error.to_string());
            return Ok(());
        }
        // Somebody else's, of another environment, or of a newer version.
        Err(error) => return Err(error.into()),
        Ok(ring) if ring.id() != copy.id() => format!("{location} holds another keyring"),
        Ok(ring) if ring.version() < copy.version() => return Ok(()),
        Ok(ring) => format!(
            "{location} holds a keyring of version {}, and the copy has version {}",
            ring.version(),
            copy.version()
        ),
    };
    Err(Failure::failed(refused)
        .hint("nothing was changed; waxseal keyring status tells what it holds"))
}
