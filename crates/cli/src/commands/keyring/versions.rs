//! `keyring configure` for the document's format and the versions of the sealed format, `protect`, `rotate-index`, and
//! `destroy` of an index key.

use std::sync::Arc;

use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::{Change, DocumentFormat, IndexKeyState, RecordNames, Ring};
use waxseal_service::configuration::protected::shown_pattern;
use waxseal_service::keyring_change::{self, IndexRotation};
use waxseal_service::resources::{Resources, scopes};
use waxseal_service::{Ended, Failure};

use super::tell;
use crate::args::{ConfigureArgs, NamesArg};
use crate::output;
use crate::signals::stop_on_signal;

/// Changes the format and the versions, the format first. Returns the ring, or `None` if neither was given.
pub(super) async fn configure(
    resources: &Resources,
    args: &ConfigureArgs,
) -> Result<Option<Arc<Ring>>, Failure> {
    let stop = stop_on_signal()?;
    let mut ring = None;
    if let Some(to) = args.document_format {
        let to = DocumentFormat::try_from(to).map_err(Failure::usage)?;
        ring = Some(keyring_change::change_format(resources, to, args.force, &stop).await?);
    }
    let versions = (args.write_version, args.accept_version);
    if versions != (None, None) {
        ring = Some(keyring_change::change_versions(resources, versions, args.force, &stop).await?);
    }
    Ok(ring)
}

/// Warns of records that are configured here otherwise than the keyring records: no process starts so.
pub(super) fn warn_of_differences(resources: &Resources) {
    for difference in scopes::differences(resources) {
        let failure = Failure::from(difference);
        output::warn(failure.text());
        if let Some(advice) = failure.advice() {
            output::hint(advice);
        }
    }
}

/// Returns what comes after a change of the format or of the versions.
pub(super) fn next(ring: &Ring) -> &'static str {
    let envelopes = ring.envelopes();
    match (ring.format(), envelopes.write, envelopes.accept) {
        (DocumentFormat::V1, ..) => "",
        (_, EnvelopeVersion::V2, _) => {
            "waxseal keyring configure --write-version 3, once every process knows the index key"
        }
        (_, EnvelopeVersion::V3, EnvelopeVersion::V2) => {
            "waxseal rotate reseals older values; once waxseal audit --require-version 3 finds nothing older, \
             waxseal keyring configure --accept-version 3"
        }
        (_, EnvelopeVersion::V3, EnvelopeVersion::V3) => {
            "every process refuses older values from its next poll on"
        }
    }
}

/// Describes format and versions: `format 2; version 3 is written, versions 2 and 3 are accepted`.
pub(super) fn describe(ring: &Ring) -> String {
    let envelopes = ring.envelopes();
    let accepted = match envelopes.accept {
        EnvelopeVersion::V2 => "version 2 and newer are accepted",
        EnvelopeVersion::V3 => "version 3 alone is accepted",
    };
    format!(
        "format {}; version {} is written, {accepted}",
        ring.format(),
        envelopes.write
    )
}

pub(super) async fn protect(
    resources: &Resources,
    records: &str,
    (names, now): (Option<NamesArg>, bool),
) -> Result<Ended, Failure> {
    let before = resources.opened_ring()?.ring.ring().version();
    let names = names.map(RecordNames::from);
    let ring = keyring_change::protect(resources, records, (names, now)).await?;
    let shown = shown_pattern(records);
    if ring.version() == before {
        let done = format!("the keyring records what waxseal.toml says about {shown} already");
        return tell(resources, &ring, &done, "");
    }
    let done = format!(
        "the keyring records what waxseal.toml says about {shown} (version {})",
        ring.version()
    );
    let next = "give all processes this waxseal.toml and restart them: one with another does not start; then \
                waxseal rotate binds values as it says, and waxseal migrate seals what is excepted no more";
    tell(resources, &ring, &done, next)
}

pub(super) async fn rotate_index(resources: &Resources, now: bool) -> Result<Ended, Failure> {
    let live = &resources.opened_ring()?.ring;
    let rotation = keyring_change::rotate_index(live, now).await?;
    let (done, next) = match rotation {
        IndexRotation::Added { id, activates } => (
            format!("index key {id} is pending"),
            format!(
                "waxseal keyring rotate-index again, from {} on, lets it write",
                output::point_in_time(activates)
            ),
        ),
        IndexRotation::Waiting { id, activates } => (
            format!("index key {id} is pending: it may write from {} on", output::point_in_time(activates)),
            "waxseal keyring rotate-index then, or with --now if every process was started after it was added"
                .to_owned(),
        ),
        IndexRotation::Promoted { id, previous } => (
            match previous {
                Some(previous) => format!("index key {id} writes from now on; {previous} only opens"),
                None => format!("index key {id} writes from now on"),
            },
            match previous {
                Some(previous) => format!(
                    "waxseal rotate brings older values under it; then waxseal keyring destroy {previous}"
                ),
                None => String::new(),
            },
        ),
    };
    tell(resources, &live.ring(), &done, &next)
}

/// Destroys an index key. `None` if it is none.
pub(super) async fn destroy_index_key(
    resources: &Resources,
    id: KeyId,
    force: bool,
) -> Result<Option<Ended>, Failure> {
    let ring = resources.opened_ring()?.ring.ring();
    let Some(entry) = ring.index_entry(id) else {
        return Ok(None);
    };
    if entry.state == IndexKeyState::Destroyed {
        let done = format!("index key {id} is destroyed already");
        return tell(resources, &ring, &done, "").map(Some);
    }
    let change = Change::DestroyIndexKey { id, force };
    let ring = keyring_change::change_proven(resources, &change, &stop_on_signal()?).await?;
    let done = format!("index key {id} is destroyed: only its id and its dates are kept");
    let next = "older copies of the keyring (backups of its place, copies of other machines until \
                they look again) may still hold it";
    tell(resources, &ring, &done, next).map(Some)
}
