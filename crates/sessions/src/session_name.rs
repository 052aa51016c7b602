//! The record name of a login session. Which framework the session belongs to is not known here.

use waxseal_core::fingerprint;
use waxseal_stores::RecordName;

use crate::records::SealedRecords;

const LABEL: &str = "waxseal session name v1";

/// The record of the session with this id.
///
/// A session id is a bearer secret: whoever reads it in the store can take the session over. So the
/// name holds only its hash. Session ids are random, of 128 bits and more, so nobody can try them all,
/// and the hash needs no key: one that changed with the keyring would lose every session at a
/// rotation.
pub(crate) fn record_name(records: &SealedRecords, id: &str) -> RecordName {
    records.name(&fingerprint(LABEL, id.as_bytes()))
}
