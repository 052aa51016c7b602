//! Reports: each process that uses a ring reports about itself, and the last audit its results. One
//! document, changed by compare-and-set. No key depends on it: write access to it can delay or hasten a
//! rotation, no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use waxseal_core::KeyId;

use crate::backoff::retry_delay;
use crate::document_store::Document;
use crate::error::RingError;
use crate::live::LiveRing;
use crate::rotation::Audit;

/// The number of attempts at a change of the document.
const MAX_ATTEMPTS: u32 = 50;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of process: `proxy`, `keeper`, `library`, ….
    pub what: String,
    /// The time of the report, by its own clock (milliseconds since the Unix epoch).
    pub at: u64,
    /// The version of the ring that it uses.
    pub version: u64,
    /// Values that it has sealed, by key id.
    pub seals: BTreeMap<String, u64>,
}

impl Reports {
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

impl LiveRing {
    /// All reports.
    pub async fn reports(&self) -> Result<Reports, RingError> {
        let bytes = self.document_store().read(&Document::Reports).await?;
        Ok(Reports::parse(bytes.as_deref()))
    }

    /// Reports the kind of this process and what it has sealed, under the id that it chose.
    pub async fn report(&self, process: &str, what: &str) -> Result<(), RingError> {
        let ring = self.ring();
        let report = Report {
            what: what.to_owned(),
            at: self.now_ms(),
            version: ring.version(),
            seals: self.seal_counts(),
        };
        let silent = ring.settings().refresh_ms.saturating_mul(GONE_INTERVALS);
        let silent = silent.max(MIN_GONE_MS);
        let keys: Vec<String> = ring.keys().iter().map(|key| key.id.to_string()).collect();
        self.change_reports(|reports| reports.add(process, report.clone(), silent, &keys))
            .await
    }

    /// Values that this process has sealed so far, by key id.
    #[must_use]
    pub fn seal_counts(&self) -> BTreeMap<String, u64> {
        let keyring = self.keyring().current();
        let usage = keyring.usage().map(|usage| {
            let seals = usage.classic_seals.saturating_add(usage.sealed_seals);
            (usage.id.to_string(), seals)
        });
        usage.filter(|(_, seals)| *seals > 0).collect()
    }

    /// Adds seals of a short-lived process, which does not report.
    pub async fn add_seals(&self, seals: &BTreeMap<String, u64>) -> Result<(), RingError> {
        self.change_reports(|reports| {
            for (id, count) in seals {
                let past = reports.past_seals.entry(id.clone()).or_default();
                *past = past.saturating_add(*count);
            }
        })
        .await
    }

    /// Stores the results of an audit, for the next leader and for operators.
    pub async fn report_audit(&self, audit: &Audit) -> Result<(), RingError> {
        self.change_reports(|reports| reports.audit = Some(audit.clone()))
            .await
    }

    async fn change_reports(&self, change: impl Fn(&mut Reports)) -> Result<(), RingError> {
        for attempt in 0..MAX_ATTEMPTS {
            let bytes = self.document_store().read(&Document::Reports).await?;
            let mut reports = Reports::parse(bytes.as_deref());
            change(&mut reports);
            let (store, new) = (self.document_store(), reports.to_bytes());
            if store
                .replace(&Document::Reports, bytes.as_deref(), &new)
                .await?
            {
                return Ok(());
            }
            sleep(retry_delay(attempt)).await;
        }
        Err(RingError::Contended(MAX_ATTEMPTS))
    }
}
