//! A copy of a keyring, put back where its store has lost it. A newer keyring, or that of another party, is never
//! overwritten.

use std::path::Path;

use waxseal_keys::{Document, LiveRing, Ring};

use crate::configuration::keyring::KeyringConfiguration;
use crate::resources::Resources;
use crate::resources::keyring::document_store;
use crate::{Failure, notice};

/// The result of putting a copy back.
pub enum Restoration {
    /// The store holds exactly this keyring already: nothing was written.
    Present {
        /// The keyring.
        ring: Box<Ring>,
        /// The location of its document.
        location: String,
    },
    /// The copy was put back, and opens.
    Done(LiveRing),
}

/// Puts a copy back: this one, or else that of this machine.
pub async fn restore(resources: &Resources, from: Option<&Path>) -> Result<Restoration, Failure> {
    let configured = resources.configuration.keyring()?;
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
    let copy = open(resources, configured, &bytes, path).await?;
    check_own_copy(resources, configured, path, &copy).await?;
    let place = document_store(configured)?;
    let found = place.read(&Document::Ring).await?;
    let location = place.location();
    match &found {
        Some(found) if *found == bytes => {
            return Ok(Restoration::Present {
                ring: Box::new(copy),
                location,
            });
        }
        Some(found) => check_found(resources, configured, found, &location, &copy).await?,
        None => {}
    }
    if !place
        .replace(&Document::Ring, found.as_deref(), &bytes)
        .await?
    {
        return Err(
            Failure::failed(format!("another process wrote to {location} meanwhile"))
                .hint("waxseal keyring status shows what it holds now"),
        );
    }
    // As in every process: it must open, and this machine keeps it.
    let live = resources.open_keyring(configured, false).await?;
    Ok(Restoration::Done(live))
}

async fn open(
    resources: &Resources,
    configured: &KeyringConfiguration,
    bytes: &[u8],
    path: &Path,
) -> Result<Ring, Failure> {
    let custodians = resources.custodians(configured)?;
    let location = format!("file:{}", path.display());
    let environment = &configured.environment;
    Ok(Ring::open(bytes, &location, environment, &custodians, None).await?)
}

/// Refuses a copy from elsewhere that is older than this machine's own, which would replace it at once.
async fn check_own_copy(
    resources: &Resources,
    configured: &KeyringConfiguration,
    path: &Path,
    copy: &Ring,
) -> Result<(), Failure> {
    let Some(own) = configured.copy.as_deref().filter(|own| *own != path) else {
        return Ok(());
    };
    let Ok(bytes) = std::fs::read(own) else {
        return Ok(());
    };
    let Ok(newer) = open(resources, configured, &bytes, own).await else {
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

/// Checks that the stored document may be replaced: it is damaged or older.
async fn check_found(
    resources: &Resources,
    configured: &KeyringConfiguration,
    found: &[u8],
    location: &str,
    copy: &Ring,
) -> Result<(), Failure> {
    let custodians = resources.custodians(configured)?;
    let environment = &configured.environment;
    let refused = match Ring::open(found, location, environment, &custodians, None).await {
        Err(error) if error.is_loss() => {
            notice::warning(&error.to_string());
            return Ok(());
        }
        // Another ring, of another environment, or of a newer version.
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
        .hint("nothing was changed; waxseal keyring status shows what it holds"))
}
