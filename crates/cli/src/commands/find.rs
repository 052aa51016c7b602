//! `find`: the record behind a stored name, or behind a mask.

use serde::Serialize;
use waxseal_service::names::find::{self, FoundRecord};
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use crate::args::{FindArgs, to_hex};
use crate::output;

/// A record for `--json`.
#[derive(Serialize)]
struct Shown<'a> {
    name: String,
    name_hex: String,
    mask: &'a str,
    /// The key that its name is sealed under; `null` if it was found by its mask.
    key: Option<String>,
}

pub(crate) async fn run(resources: &Resources, args: &FindArgs) -> Result<Ended, Failure> {
    let found = find::find(resources, args.name.name().as_bytes()).await?;
    if output::is_json() {
        output::json(&found.iter().map(shown).collect::<Vec<_>>())?;
    } else {
        for record in &found {
            output::line(find::printable(&record.name))?;
        }
    }
    if found.is_empty() {
        output::error("no record has this mask");
        output::hint(
            "it may have expired or been deleted; masks depend on the keys: check --keyring, or the key",
        );
        return Ok(Ended::Findings);
    }
    Ok(Ended::Done)
}

fn shown(record: &FoundRecord) -> Shown<'_> {
    Shown {
        name: find::printable(&record.name),
        name_hex: to_hex(record.name.as_bytes()),
        mask: &record.mask,
        key: record.key.map(|key| key.to_string()),
    }
}
