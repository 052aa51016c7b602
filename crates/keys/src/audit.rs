//! Audits of the protected records: what one counted, and what it lacks as evidence for a change that gives
//! something up. Which change needs one is decided in `ring` and `rotation`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use waxseal_core::{EnvelopeVersion, KeyId};

use crate::protected_scope::ProtectedScope;

/// Values in the classic format, in [`Audit::versions`].
const CLASSIC: &str = "classic";
/// Plain values, in [`Audit::versions`].
const PLAIN: &str = "plain";

/// The results of an audit of the protected records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The time at which it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Values under each key, by the key's id.
    pub values: BTreeMap<String, u64>,
    /// Values that the preceding pass resealed from each key, by the key's id.
    #[serde(default)]
    pub resealed: BTreeMap<String, u64>,
    /// Values in quarantine under each key, by the key's id: they open again if they are restored.
    #[serde(default)]
    pub quarantined: BTreeMap<String, u64>,
    /// Names of records under each index key, by the key's id; `None` if they were not counted.
    #[serde(default)]
    pub names: Option<BTreeMap<String, u64>>,
    /// Protected records of other processes that it could not read.
    #[serde(serialize_with = "bare")]
    pub uncovered: Vec<ProtectedScope>,
    /// Values that do not open, and do not name their key.
    pub unreadable: u64,
    /// Records that could not be read completely: they may be under any key.
    #[serde(default)]
    pub unseen: u64,
    /// True if the classic format, whose values name no key, is written or was found.
    pub classic: bool,
    /// Values in each version of the sealed format (`2`, `3`), in the classic one (`classic`), and plain ones
    /// (`plain`). Empty in an audit by a former version of Waxseal.
    #[serde(default)]
    pub versions: BTreeMap<String, u64>,
    /// What it found of members. Not in reports: only a process that has counted them itself records it.
    #[serde(skip)]
    pub members: Vec<MemberFinding>,
}

/// What a complete pass over protected records found of their members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFinding {
    /// The records, as the process is configured that read them.
    pub scope: ProtectedScope,
    /// The index key that wrote when the pass began.
    pub key: KeyId,
    /// The time at which it began (milliseconds since the Unix epoch).
    pub began_ms: u64,
    /// True if it counted elements of lists.
    pub elements: bool,
    /// True if all were in the form that is written. False if one was not, or could be written in another form.
    pub in_one_form: bool,
}

/// Writes scopes without their settings: a former version that finds anything else in the reports takes all of
/// them for unreadable.
fn bare<S: Serializer>(scopes: &[ProtectedScope], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(ProtectedScope::bare))
}

/// What a change that gives something up is based on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// An audit. Whether one from the reports will do is for the caller to decide: other processes can write
    /// those.
    pub audit: Option<&'a Audit>,
    /// Make the change without an audit, and without waiting until every process has seen the change before it.
    pub force: bool,
}

/// What an audit lacks as evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditGap {
    /// There is none, or it began too early.
    #[error("none has begun since the last process must have seen the change before it")]
    Missing,
    /// It does not say in which versions values are.
    #[error("the last one was made by a former version of waxseal, which does not count versions")]
    NoVersions,
    /// Values are in a version of the sealed format that would not open any more.
    #[error("it counted {} in version {version} of the sealed format", counted(.values))]
    Version {
        /// The version.
        version: EnvelopeVersion,
        /// Their number.
        values: u64,
    },
    /// Values are in the classic format.
    #[error("it counted {} in the classic format", counted(.0))]
    Classic(u64),
    /// Values are written in the classic format.
    #[error("the classic format is written where it was made")]
    ClassicWritten,
    /// Values are under the key.
    #[error("it counted {} under key {id}", counted(.values))]
    InUse {
        /// The key.
        id: KeyId,
        /// Their number.
        values: u64,
    },
    /// Values in quarantine are under the key.
    #[error("it counted {} in quarantine under key {id}", counted(.values))]
    Quarantined {
        /// The key.
        id: KeyId,
        /// Their number.
        values: u64,
    },
    /// Names of records are under the key.
    #[error("it counted {} of records under key {id}", match .names { 1 => "1 name".to_owned(), names => format!("{names} names") })]
    Names {
        /// The key.
        id: KeyId,
        /// Their number.
        names: u64,
    },
    /// Names of records are sealed, and were not counted.
    #[error("it did not count the names of the records {}, which are sealed", .0.shown_records())]
    NoNames(Box<ProtectedScope>),
    /// Records could not be read.
    #[error("{} could not be read completely", match .0 { 1 => "1 record".to_owned(), count => format!("{count} records") })]
    Unseen(u64),
    /// Records that another process protects were not checked.
    #[error("it did not cover {} at {}", .0.shown_records(), .0.store)]
    Uncovered(Box<ProtectedScope>),
}

fn counted(values: &u64) -> String {
    match values {
        1 => "1 value".to_owned(),
        values => format!("{values} values"),
    }
}

impl Audit {
    /// An audit that has counted nothing yet. Its versions are there, with 0: an audit by a former version has none.
    #[must_use]
    pub fn begun(began_ms: u64) -> Self {
        let sealed = [EnvelopeVersion::V2, EnvelopeVersion::V3].map(|it| it.to_string());
        let others = [CLASSIC, PLAIN].map(str::to_owned);
        let versions = sealed.into_iter().chain(others);
        Self {
            began_ms,
            versions: versions.map(|version| (version, 0)).collect(),
            ..Self::default()
        }
    }

    /// The number of values in a version of the sealed format.
    #[must_use]
    pub fn in_version(&self, version: EnvelopeVersion) -> u64 {
        self.of(&version.to_string())
    }

    /// The number of values in the classic format.
    #[must_use]
    pub fn in_classic(&self) -> u64 {
        self.of(CLASSIC)
    }

    fn of(&self, version: &str) -> u64 {
        self.versions.get(version).copied().unwrap_or_default()
    }

    /// What it lacks to show that every value is in version 3, among the records that a ring protects.
    pub(crate) fn gap_for_version_3(&self, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        let gap = self.gap_of_coverage(scopes);
        let (version, classic) = (EnvelopeVersion::V2, self.in_classic());
        match self.in_version(version) {
            _ if gap.is_some() => gap,
            0 if classic > 0 => Some(AuditGap::Classic(classic)),
            // There may be none just now: what is written next would be refused.
            0 if self.classic => Some(AuditGap::ClassicWritten),
            0 => None,
            values => Some(AuditGap::Version { version, values }),
        }
    }

    /// What it lacks to show that no value is in version 3.
    pub(crate) fn gap_for_version_2(&self, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        let version = EnvelopeVersion::V3;
        let gap = self.gap_of_coverage(scopes);
        gap.or_else(|| match self.in_version(version) {
            0 => None,
            values => Some(AuditGap::Version { version, values }),
        })
    }

    /// What it lacks to show that no value is under this index key.
    pub(crate) fn gap_for_key(&self, id: KeyId, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        let count = |counts: &BTreeMap<String, u64>| {
            let count = counts.get(&id.to_string()).copied();
            count.filter(|count| *count > 0)
        };
        if let Some(values) = count(&self.values) {
            return Some(AuditGap::InUse { id, values });
        }
        if let Some(values) = count(&self.quarantined) {
            return Some(AuditGap::Quarantined { id, values });
        }
        self.gap_of_names(id, scopes)
            .or_else(|| self.gap_of_reading(scopes))
    }

    /// What it lacks to show that no name of a record is under this index key.
    fn gap_of_names(&self, id: KeyId, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        if let Some(names) = self.names_under(id).filter(|names| *names > 0) {
            return Some(AuditGap::Names { id, names });
        }
        let mut scopes = scopes.iter();
        let uncounted = scopes.find(|it| self.names.is_none() && it.has_sealed_names());
        uncounted.map(|scope| AuditGap::NoNames(Box::new(scope.clone())))
    }

    /// The number of names of records that it counted under a key.
    pub(crate) fn names_under(&self, id: KeyId) -> Option<u64> {
        let names = self.names.as_ref()?;
        names.get(&id.to_string()).copied()
    }

    fn gap_of_coverage(&self, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        if self.versions.is_empty() && !self.values.is_empty() {
            return Some(AuditGap::NoVersions);
        }
        self.gap_of_reading(scopes)
    }

    fn gap_of_reading(&self, scopes: &[ProtectedScope]) -> Option<AuditGap> {
        if self.unseen > 0 {
            return Some(AuditGap::Unseen(self.unseen));
        }
        let is_known = |scope: &&ProtectedScope| scopes.iter().any(|it| it.is_same_as(scope));
        let mut uncovered = self.uncovered.iter().filter(is_known);
        uncovered
            .next()
            .map(|scope| AuditGap::Uncovered(Box::new(scope.clone())))
    }
}
