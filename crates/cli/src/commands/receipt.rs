//! `receipt verify`: whether a receipt is as it was signed, and by whom.

use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use waxseal_keys::{Receipt, ReceiptError};

use crate::args::{Common, ReceiptCommand};
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::Setup;

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
    let (bytes, shown) = read(file)?;
    let expected = match key {
        Some(key) => Some(key.clone()),
        None => key_of_ring(common).await?,
    };
    match Receipt::verify(&bytes, expected.as_deref()) {
        Ok(receipt) => {
            if common.json {
                output::json(&Report {
                    verified: true,
                    expected_signer: expected.is_some().then_some(true),
                    error: None,
                    receipt: Some(&receipt),
                })?;
            } else {
                print(&receipt, expected.is_some())?;
            }
            Ok(Ended::Done)
        }
        Err(error) => refuse(common, &shown, &error),
    }
}

fn refuse(common: &Common, shown: &str, error: &ReceiptError) -> Result<Ended, Failure> {
    if common.json {
        output::json(&Report {
            verified: false,
            expected_signer: matches!(error, ReceiptError::Signer).then_some(false),
            error: Some(error.to_string()),
            receipt: None,
        })?;
    }
    output::complain("error", &format!("{shown} does not verify: {error}"));
    output::advise(match error {
        ReceiptError::Form { .. } => "it must be the JSON that waxseal forget printed, whole",
        ReceiptError::Signer => {
            "compare with the receipt key that waxseal keyring status tells for its keyring"
        }
        ReceiptError::Kind => "a newer waxseal may know it",
        _ => "do not rely on it: ask whoever issued it for the original",
    });
    Ok(Ended::Findings)
}

/// The key of the keyring, where one is configured.
async fn key_of_ring(common: &Common) -> Result<Option<String>, Failure> {
    let mut setup = Setup::read(common)?;
    if !setup.follows_ring() {
        return Ok(None);
    }
    setup.open_ring_alone(false).await?;
    Ok(Some(setup.opened_ring()?.ring.ring().receipt_key()))
}

fn read(file: &Path) -> Result<(Vec<u8>, String), Failure> {
    let mut bytes = Vec::new();
    let shown = if file == Path::new("-") {
        io::stdin().lock().take(LIMIT).read_to_end(&mut bytes)?;
        "the receipt".to_owned()
    } else {
        let shown = file.display().to_string();
        let opened = std::fs::File::open(file);
        let read = opened.and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
        read.map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}")))?;
        shown
    };
    Ok((bytes, shown))
}

fn print(receipt: &Receipt, expected: bool) -> Result<(), Failure> {
    let signer = if expected {
        format!("{} (the expected one)", receipt.signer())
    } else {
        receipt.signer()
    };
    for (word, text) in [
        ("verified", "the receipt is as it was signed".to_owned()),
        ("signed by", signer),
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
    if !expected {
        output::complain("warning", "nothing says that this signer is the right one");
        output::advise(
            "give the receipt key that waxseal keyring status told with --key, or the keyring with \
             --keyring",
        );
    }
    Ok(())
}
