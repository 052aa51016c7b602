//! `keyring adopt-users`: accepts the store of users' keys as the one of this keyring, although its keys are lost.

use waxseal_keys::UserStoreMark;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use super::tell;

pub(super) async fn adopt(resources: &mut Resources, yes: bool) -> Result<Ended, Failure> {
    resources.open_ring_alone(false).await?;
    let records = resources.open_store().await?;
    let users = resources.users(&records).await?.keys;
    let ring = resources.opened_ring()?.ring.ring();
    let location = users.location();
    if users.mark().await? == UserStoreMark::Present {
        let done = format!("the store of users' keys at {location} is this keyring's already");
        return tell(resources, &ring, &done, "");
    }
    if !yes {
        let text = format!(
            "the store of users' keys at {location} would be accepted as this keyring's: users whose keys are not \
             there get new ones, and their present values stay unreadable"
        );
        return Err(Failure::usage(text).hint("confirm with --yes"));
    }
    users.adopt_store().await?;
    let done = format!("the store of users' keys at {location} is accepted as this keyring's");
    let next = "processes start with it, and make new keys for users who have none there; waxseal audit counts the \
                values that no key opens";
    tell(resources, &ring, &done, next)
}
