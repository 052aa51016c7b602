//! `keyring restore`: puts a copy of the keyring back where its store has lost it.

use std::path::Path;

use waxseal_service::resources::Resources;
use waxseal_service::restoration::{self, Restoration};
use waxseal_service::{Ended, Failure};

use super::tell;

pub(super) async fn run(resources: &Resources, from: Option<&Path>) -> Result<Ended, Failure> {
    match restoration::restore(resources, from).await? {
        Restoration::Present { ring, location } => {
            let done = format!(
                "{location} holds this keyring already (version {})",
                ring.version()
            );
            tell(resources, &ring, &done, "")
        }
        Restoration::Done(live) => {
            let (ring, location) = (live.ring(), live.location());
            let done = format!(
                "the keyring is back at {location}: version {}, key {} seals",
                ring.version(),
                ring.sealing().id
            );
            let next =
                "running processes pick it up on their own; find out who removed or changed it";
            tell(resources, &ring, &done, next)
        }
    }
}
