//! `seal` and `open`: one value from stdin to stdout, without a store.

use std::io::{self, Read};

use waxseal_service::resources::Resources;
use waxseal_service::values::envelope::{self, EnvelopeForm, EnvelopeLocation};
use waxseal_service::{Ended, Failure};

use crate::args::{OpenArgs, PlaceArgs, SealArgs, typed_bytes};
use crate::output;

/// The largest value that Redis can store.
pub(super) const LIMIT: u64 = 512 * 1024 * 1024;

pub(crate) async fn seal(resources: &Resources, args: &SealArgs) -> Result<Ended, Failure> {
    let form = EnvelopeForm {
        format: args.format.into(),
        is_armored: args.armor,
        is_deterministic: args.deterministic,
        version: args.envelope_version,
    };
    let sealed = envelope::seal(resources, &location(&args.place), form, read_value).await?;
    output::bytes(&sealed)?;
    Ok(Ended::Done)
}

pub(crate) async fn open(resources: &Resources, args: &OpenArgs) -> Result<Ended, Failure> {
    let value = envelope::open(resources, &location(&args.place), read_value).await?;
    output::bytes(&value)?;
    Ok(Ended::Done)
}

fn location(args: &PlaceArgs) -> EnvelopeLocation {
    EnvelopeLocation {
        record: typed_bytes(args.record.as_ref(), args.record_hex.as_ref()),
        field: typed_bytes(args.field.as_ref(), args.field_hex.as_ref()),
        kind: args.kind.map(Into::into),
        group: args.group.as_ref().map(|id| id.clone().into_bytes()),
    }
}

/// Reads stdin to its end.
pub(crate) fn read_value() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    io::stdin().lock().take(LIMIT + 1).read_to_end(&mut value)?;
    within_limit(&value)?;
    Ok(value)
}

/// Fails if the value is longer than Redis can store.
pub(super) fn within_limit(value: &[u8]) -> Result<(), Failure> {
    if value.len() as u64 > LIMIT {
        return Err(Failure::failed(
            "the value is longer than the 512 MB that Redis can hold",
        ));
    }
    Ok(())
}
