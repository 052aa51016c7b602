//! `receipt verify`: whether a receipt is as it was signed, and by whom.

use serde::Serialize;
use waxseal_keys::{Receipt, Signed, SignedError};

use super::signed::{self, Expected};
use crate::args::{Common, ReceiptCommand};
use crate::error::{Ended, Failure};
use crate::output;

/// No receipt is longer.
const LIMIT: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Report<'a> {
    verified: bool,
    /// Whether the signer is the expected one; `null` where none was expected.
    expected_signer: Option<bool>,
    error: Option<String>,
    receipt: Option<&'a Receipt>,
}

pub(crate) async fn run(common: &Common, command: &ReceiptCommand) -> Result<Ended, Failure> {
    let ReceiptCommand::Verify { file, key } = command;
    let (bytes, shown) = signed::read(file, LIMIT, "the receipt")?;
    let expected = Expected::of(common, key.as_deref()).await?;
    match Receipt::verify(&bytes, expected.key()) {
        Ok(receipt) => {
            if common.json {
                output::json(&Report {
                    verified: true,
                    expected_signer: expected.key().map(|_| true),
                    error: None,
                    receipt: Some(&receipt),
                })?;
            } else {
                print(&receipt, &expected)?;
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
        })?;
    }
    output::complain("error", &format!("{shown} does not verify: {error}"));
    output::advise(match error {
        SignedError::Form { .. } => "it must be the JSON that waxseal forget printed, whole",
        other => signed::advice(other),
    });
    Ok(Ended::Findings)
}

fn print(receipt: &Receipt, expected: &Expected) -> Result<(), Failure> {
    for (word, text) in [
        ("verified", "the receipt is as it was signed".to_owned()),
        ("signed by", expected.describe(&receipt.signer())),
        (
            "keyring",
            format!("{}, version {}", receipt.ring, receipt.ring_version),
        ),
        ("environment", receipt.environment.clone()),
        ("user", format!("{} (keyed hash)", receipt.user)),
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
    ] {
        output::line(format!("{word:<12} {}", output::harmless(&text)))?;
    }
    expected.warn();
    Ok(())
}
