//! Reports: each process that uses a ring reports about itself, and the last audit its results. One
//! document, changed by compare-and-set. No key depends on it: write access to it can delay or hasten a
//! rotation, no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waxseal_core::KeyId;

use crate::audit::Audit;
use crate::custodian::sanitize_for_terminal;
use crate::document_format::DocumentFormat;
use crate::error::{ChangeError, FormerProcess};
use crate::settings::Settings;

/// A process that has not reported for so many refresh intervals has ended.
const GONE_INTERVALS: u64 = 10;
/// The shortest time until a process counts as ended: clocks differ.
const MIN_GONE_MS: u64 = 30 * 60_000;

/// All reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// By the id of the process.
    #[serde(default)]
    pub processes: BTreeMap<String, Report>,
    /// Values sealed by processes that have ended, by key id.
    #[serde(default)]
    pub past_seals: BTreeMap<String, u64>,
    /// The newest audit.
    #[serde(default)]
    pub audit: Option<Audit>,
}

/// The report of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of process: `proxy`, `keeper`, `library`, ….
    pub what: String,
    /// The time of the report, by its own clock (milliseconds since the Unix epoch).
    pub at: u64,
    /// The version of the ring that it uses.
    pub version: u64,
    /// The newest format of keyring documents that it reads. Former versions do not report it, and drop it from the
    /// reports of others when they write theirs: these say it again with their next report.
    #[serde(default = "format_1")]
    pub reads: u32,
    /// Values that it has sealed, by key id.
    pub seals: BTreeMap<String, u64>,
    /// True if it writes members as the ring has it: sealed, and configured as recorded. Former versions do not report
    /// it.
    #[serde(default)]
    pub writes_one_form: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            what: String::new(),
            at: 0,
            version: 0,
            reads: format_1(),
            seals: BTreeMap::new(),
            writes_one_form: false,
        }
    }
}

fn format_1() -> u32 {
    DocumentFormat::V1.as_u32()
}

/// The time after which a process that has not reported counts as ended, in milliseconds.
pub(crate) fn gone_ms(settings: &Settings) -> u64 {
    let silent = settings.refresh_ms.saturating_mul(GONE_INTERVALS);
    silent.max(MIN_GONE_MS)
}

impl Reports {
    /// The processes that do not say that they read this format, those that have ended left out.
    #[must_use]
    pub fn not_reading(
        &self,
        format: DocumentFormat,
        now_ms: u64,
        settings: &Settings,
    ) -> Vec<FormerProcess> {
        self.running_that(now_ms, settings, |report| report.reads < format.as_u32())
    }

    /// The processes that use the ring, those that have ended left out: a process counts as ended some time after its last
    /// report.
    #[must_use]
    pub fn running(&self, now_ms: u64, settings: &Settings) -> Vec<FormerProcess> {
        self.running_that(now_ms, settings, |_| true)
    }

    fn running_that(
        &self,
        now_ms: u64,
        settings: &Settings,
        is_meant: impl Fn(&Report) -> bool,
    ) -> Vec<FormerProcess> {
        let gone_ms = gone_ms(settings);
        let is_former = |report: &Report| {
            let has_ended = report.at.saturating_add(gone_ms) < now_ms;
            is_meant(report) && !has_ended
        };
        let processes = self.processes.iter();
        let former = processes.filter(|(_, report)| is_former(report));
        let former = former.map(|(id, report)| FormerProcess {
            id: shown_id(id),
            kind: sanitize_for_terminal(&report.what),
            silent_s: now_ms.saturating_sub(report.at) / 1000,
        });
        former.collect()
    }

    /// Refuses a change that needs all processes to read this format while some do not say that they do.
    pub fn check_reading(
        &self,
        format: DocumentFormat,
        now_ms: u64,
        settings: &Settings,
    ) -> Result<(), ChangeError> {
        let processes = self.not_reading(format, now_ms, settings);
        match processes.is_empty() {
            true => Ok(()),
            false => Err(ChangeError::FormerProcesses {
                format,
                processes,
                dropped_s: gone_ms(settings) / 1000,
            }),
        }
    }

    /// Refuses the return to format 1 while values may be under these index keys, which it destroys: some are reported, or
    /// a process that reads format 2 may seal one at any time, also after an audit.
    pub(crate) fn check_no_index_seals<'k>(
        &self,
        index_keys: impl Iterator<Item = &'k KeyId>,
        now_ms: u64,
        settings: &Settings,
    ) -> Result<(), ChangeError> {
        let gone_ms = gone_ms(settings);
        let may_seal = |report: &&Report| {
            let has_ended = report.at.saturating_add(gone_ms) < now_ms;
            report.reads >= DocumentFormat::V2.as_u32() && !has_ended
        };
        let processes = self.processes.values().filter(may_seal).count();
        let values = index_keys.fold(0, |all: u64, id| all.saturating_add(self.seals(*id)));
        match (values, processes) {
            (0, 0) => Ok(()),
            (values, processes) => Err(ChangeError::IndexKeysInUse { values, processes }),
        }
    }

    /// True if some process may write members in another form than the ring has them, those that have ended left out.
    #[must_use]
    pub fn may_write_other_forms(&self, now_ms: u64, settings: &Settings) -> bool {
        let gone_ms = gone_ms(settings);
        let has_ended = |report: &Report| report.at.saturating_add(gone_ms) < now_ms;
        let mut processes = self.processes.values();
        processes.any(|report| !report.writes_one_form && !has_ended(report))
    }

    /// True if all processes know this version of the ring, those that have ended left out.
    #[must_use]
    pub fn all_know(&self, version: u64, now_ms: u64, settings: &Settings) -> bool {
        let gone_ms = gone_ms(settings);
        let has_ended = |report: &Report| report.at.saturating_add(gone_ms) < now_ms;
        let mut processes = self.processes.values();
        processes.all(|report| report.version >= version || has_ended(report))
    }

    /// The number of values sealed under a key, by all processes together.
    #[must_use]
    pub fn seals(&self, id: KeyId) -> u64 {
        let id = id.to_string();
        let count = |seals: &BTreeMap<String, u64>| seals.get(&id).copied().unwrap_or_default();
        let live = self.processes.values().map(|report| count(&report.seals));
        live.fold(count(&self.past_seals), u64::saturating_add)
    }

    /// Parses the document; an unreadable one counts as empty.
    #[must_use]
    pub fn parse(bytes: Option<&[u8]>) -> Self {
        let parsed = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        parsed.unwrap_or_default()
    }

    /// The document.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: writing them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Adds one report. Removes processes that have been silent for too long, and seals under keys that are
    /// no longer in the ring.
    pub fn add(&mut self, process: &str, report: Report, silent_ms: u64, keys: &[String]) {
        let at = report.at;
        self.processes.insert(process.to_owned(), report);
        let has_ended = |other: &Report| other.at.saturating_add(silent_ms) < at;
        for seals in self
            .processes
            .extract_if(.., |_, other| has_ended(other))
            .map(|(_, other)| other.seals)
        {
            for (id, count) in seals {
                let past = self.past_seals.entry(id).or_default();
                *past = past.saturating_add(count);
            }
        }
        self.past_seals.retain(|id, _| keys.contains(id));
    }
}

/// The id of a process for messages: reports are not authenticated.
fn shown_id(id: &str) -> String {
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { id } else { "unknown" }.to_owned()
}
