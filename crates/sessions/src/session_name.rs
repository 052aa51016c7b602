//! The record name of a login session, for any web framework.

use waxseal_core::fingerprint;
use waxseal_stores::RecordName;

use crate::records::SealedRecords;

const LABEL: &str = "waxseal session name v1";

/// Returns the record of the session with this id.
///
/// A session id is a bearer secret: anyone who reads it in the store can take the session over. So the name holds only
/// its hash. Session ids are random, of 128 bits and more, so they cannot be found by trying, and the hash needs no key:
/// with a key that changes with the keyring every session would be lost at a rotation.
pub(crate) fn record_name(records: &SealedRecords, id: &str) -> RecordName {
    records.name(&fingerprint(LABEL, id.as_bytes()))
}
