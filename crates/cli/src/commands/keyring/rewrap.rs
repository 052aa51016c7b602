//! `keyring rewrap`: the keys of the keyring under other custodians, or again under the present ones.
//! Values are untouched.

use waxseal_keys::{Change, Custodian, CustodianScheme, Custodians, Pkcs11Custodian, Rewrap};
use waxseal_service::resources::Resources;
use waxseal_service::resources::keyring::{open_with, variables};
use waxseal_service::{Ended, Failure};

use super::tell;
use crate::args::RewrapArgs;
use crate::output;

pub(super) async fn run(resources: &mut Resources, args: &RewrapArgs) -> Result<Ended, Failure> {
    let added = if args.to.is_empty() {
        &args.add
    } else {
        &args.to
    };
    if args.create_key {
        create_keys(resources, added).await?;
    }
    let configured = resources.configuration.keyring()?.and_custodians(added);
    let variables = variables(&resources.configuration.environment);
    // As they are in the document: without the parts that hold for this machine alone.
    let opened = added.iter().map(|url| Custodians::open(url, &variables));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let custodians = opened
        .iter()
        .cloned()
        .fold(resources.custodians(&configured)?, Custodians::with);
    let rewrap = Rewrap {
        add: opened.iter().map(|it| it.url().to_owned()).collect(),
        remove: args
            .remove
            .iter()
            .map(|url| Custodians::canonical_url(url))
            .collect(),
        only: !args.to.is_empty(),
        renew: args.to.is_empty() && args.add.is_empty() && args.remove.is_empty(),
    };
    let live = open_with(&configured, custodians, false).await?;
    let before = live.ring();
    let ring = live.change(&Change::Rewrap(rewrap)).await?;
    let now: Vec<_> = ring
        .custodians()
        .map(output::sanitize_for_terminal)
        .collect();
    if ring.version() == before.version() {
        let done = format!("the keyring is wrapped by {} already", now.join(", "));
        return tell(resources, &ring, &done, "");
    }
    let done = format!(
        "the keyring is wrapped by {} now (version {})",
        now.join(", "),
        ring.version()
    );
    let gone: Vec<_> = before
        .custodians()
        .filter(|url| ring.custodians().all(|other| other != *url))
        .map(output::sanitize_for_terminal)
        .collect();
    let named = "name what wraps it now as custodian in waxseal.toml on every machine";
    let next = if added.is_empty() && gone.is_empty() {
        String::new()
    } else if gone.is_empty() {
        named.to_owned()
    } else {
        format!(
            "{named}; older copies of the keyring (backups, \
             copies of other machines until they look again) still open with {}: where that is known to \
             others, waxseal keyring add makes a key that it never wrapped",
            gone.join(", ")
        )
    };
    tell(resources, &ring, &done, &next)
}

/// Creates the keys of those custodians that allow it from here.
pub(super) async fn create_keys(resources: &Resources, urls: &[String]) -> Result<(), Failure> {
    let is_token = |url: &&String| CustodianScheme::of(url) == Some(CustodianScheme::Pkcs11);
    let tokens: Vec<_> = urls.iter().filter(is_token).collect();
    if tokens.is_empty() {
        return Err(Failure::usage(
            "--create-key creates the key of a pkcs11: custodian, and none is named",
        )
        .hint("docs/keys/custodians describes how keys of the other kinds are created"));
    }
    for url in tokens {
        let custodian =
            Pkcs11Custodian::open(url, &variables(&resources.configuration.environment))?;
        custodian.create_key().await?;
        output::stderr_line(&format!("waxseal: created the key of {}", custodian.url()));
    }
    Ok(())
}
