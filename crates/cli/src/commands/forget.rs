//! `forget`: erases a user, and prints the signed receipt.

use waxseal_upkeep::forget;

use crate::args::ForgetArgs;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::Setup;

pub(crate) async fn run(setup: &Setup, args: &ForgetArgs) -> Result<Ended, Failure> {
    setup.ring_setup()?;
    let protected = setup.all_protected()?;
    let named = |text: &str| text.contains("{user}");
    if !protected.iter().any(|it| named(it.pattern.as_str())) {
        return Err(
            Failure::usage("no protected pattern says who the user of a record is")
                .hint("write {user} for the part of the record name that is the user: 'wa:{user}'"),
        );
    }
    if args.user.is_empty() {
        return Err(Failure::usage("the user is empty"));
    }
    if !args.yes {
        return Err(
            Failure::usage("the user's key and records would be destroyed for good")
                .hint("confirm with --yes"),
        );
    }
    let store = setup.open_store().await?;
    setup.check_key(&store).await?;
    let realms = setup.realms(&store).await?;
    let users = setup.users(&store).await?;
    let live = &setup.opened_ring()?.ring;
    setup.warn_of_other_user_keys();
    let user = args.user.as_encoded_bytes();
    let receipt = forget(user, live, Some(&users.keys), &realms).await?;
    setup.trail.note("user_hash", receipt.user.clone());
    setup.trail.note("erasure", receipt.erasure);
    setup.trail.note("records_deleted", receipt.records_deleted);
    // A program and an auditor take the same.
    output::json(&receipt).map_err(|failure| {
        let text = failure.text();
        Failure::failed(format!(
            "the user is erased, and the receipt could not be written: {text}"
        ))
        .hint("the same command gives another one, which counts one erasure more")
    })?;
    let records = receipt.records_deleted;
    output::say(&format!(
        "waxseal: the user is erased: {}, records deleted: {records}; keep the receipt",
        if receipt.key_destroyed {
            "key destroyed"
        } else {
            "there was no key"
        }
    ));
    if !receipt.key_destroyed && records == 0 && receipt.erasure == 1 {
        output::complain(
            "warning",
            "nothing was found of this user: neither a key nor records",
        );
        output::advise(
            "the user is what {user} of the patterns stands for, without the rest of the record name",
        );
    }
    Ok(Ended::Done)
}
