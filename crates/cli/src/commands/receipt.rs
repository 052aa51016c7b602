//! `receipt verify`: verifies the signature of a receipt, and prints its signer.

use std::ffi::OsStr;

use serde::Serialize;
use waxseal_keys::{Receipt, Signed, SignedError};
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use super::signed::{self, Expected};
use crate::args::{Common, ReceiptCommand};
use crate::output;

/// The largest receipt that is read.
const LIMIT: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Report<'a> {
    verified: bool,
    /// True if the signer is the expected one; `null` if none was expected.
    expected_signer: Option<bool>,
    error: Option<String>,
    receipt: Option<&'a Receipt>,
    /// True if the receipt is of the named user; `null` if none was named.
    user_matches: Option<bool>,
}

/// The expected user of a receipt, as a ring knows it.
struct Subject {
    ring: String,
    hash: String,
}

impl Subject {
    /// Computes the hash of the user, which only the ring can.
    async fn of(common: &Common, user: &OsStr) -> Result<Self, Failure> {
        let mut resources = Resources::read(&common.flags())?;
        if !resources.configuration.has_keyring() {
            return Err(Failure::usage(
                "only the keyring can tell the user of a receipt, and none is configured",
            )
            .hint("name it with --keyring, for example --keyring file:/etc/waxseal/keyring.json"));
        }
        resources.open_ring_alone(false).await?;
        let ring = resources.opened_ring()?.ring.ring();
        Ok(Self {
            hash: ring.user(user.as_encoded_bytes()),
            ring: ring.id().to_owned(),
        })
    }

    /// Returns the reason if a receipt is not the one of this user.
    fn refusal(&self, receipt: &Receipt) -> Option<&'static str> {
        if receipt.ring != self.ring {
            return Some(
                "it was signed for another keyring, which knows its users by other hashes",
            );
        }
        (receipt.user != self.hash).then_some("it is the receipt of another user")
    }
}

pub(crate) async fn run(common: &Common, command: &ReceiptCommand) -> Result<Ended, Failure> {
    let ReceiptCommand::Verify { file, key, user } = command;
    let (bytes, shown) = signed::read(file, LIMIT, "the receipt")?;
    let expected = Expected::of(common, key.as_deref()).await?;
    let subject = match user {
        Some(user) => Some(Subject::of(common, user).await?),
        None => None,
    };
    match Receipt::verify(&bytes, expected.key()) {
        Ok(receipt) => {
            if let Some(why) = subject.as_ref().and_then(|it| it.refusal(&receipt)) {
                return of_another(common, &shown, &receipt, why);
            }
            if common.json {
                output::json(&Report {
                    verified: true,
                    expected_signer: expected.key().map(|_| true),
                    error: None,
                    receipt: Some(&receipt),
                    user_matches: subject.map(|_| true),
                })?;
            } else {
                print(&receipt, &expected, subject.is_some())?;
            }
            Ok(Ended::Done)
        }
        Err(error) => refuse(common, &shown, &error),
    }
}

fn refuse(common: &Common, shown: &str, error: &SignedError) -> Result<Ended, Failure> {
    if common.json {
        output::json(&Report {
            verified: false,
            expected_signer: matches!(error, SignedError::Signer).then_some(false),
            error: Some(error.to_string()),
            receipt: None,
            user_matches: None,
        })?;
    }
    output::error(&format!("{shown} does not verify: {error}"));
    output::hint(match error {
        SignedError::Form { .. } => "it must be the whole JSON that waxseal forget printed",
        other => signed::advice(other),
    });
    Ok(Ended::Findings)
}

/// Reports a receipt that verifies and is of another user.
fn of_another(
    common: &Common,
    shown: &str,
    receipt: &Receipt,
    why: &str,
) -> Result<Ended, Failure> {
    if common.json {
        output::json(&Report {
            verified: false,
            expected_signer: None,
            error: Some(why.to_owned()),
            receipt: Some(receipt),
            user_matches: Some(false),
        })?;
    }
    output::error(&format!("{shown} does not verify: {why}"));
    output::hint(
        "the user is what {user} of the patterns stands for, without the rest of the record name; look for \
         the right receipt, or run waxseal forget USER --dry-run",
    );
    Ok(Ended::Findings)
}

fn print(receipt: &Receipt, expected: &Expected, is_of_user: bool) -> Result<(), Failure> {
    let whose = match is_of_user {
        true => "keyed hash of the user that was named",
        false => "keyed hash",
    };
    let names = receipt.names.as_ref().map(|names| {
        let text = format!(
            "sealed: older copies of the store tell them to holders of index key {}, until it is destroyed",
            names.index_keys.join(" or ")
        );
        ("names", text)
    });
    let facts = [
        ("verified", "the receipt is as it was signed".to_owned()),
        ("signed by", expected.describe(&receipt.signer())),
        (
            "keyring",
            format!("{}, version {}", receipt.ring, receipt.ring_version),
        ),
        ("environment", receipt.environment.clone()),
        ("user", format!("{} ({whose})", receipt.user)),
        ("erased", receipt.erased.clone()),
        ("erasures", receipt.erasure.to_string()),
        (
            "key",
            if receipt.key_destroyed {
                "destroyed"
            } else {
                "there was none"
            }
            .to_owned(),
        ),
        ("records", format!("{} deleted", receipt.records_deleted)),
        ("store", receipt.store.clone()),
    ];
    for (word, text) in facts.into_iter().chain(names) {
        output::line(format!(
            "{word:<12} {}",
            output::sanitize_for_terminal(&text)
        ))?;
    }
    expected.warn();
    Ok(())
}
