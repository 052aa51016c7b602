//! Reporting: what this process writes into the reports beside the document, and what it reads there.

use std::collections::BTreeMap;

use tokio::time::sleep;

use super::LiveRing;
use crate::audit::Audit;
use crate::backoff::retry_delay;
use crate::document_format::DocumentFormat;
use crate::document_store::Document;
use crate::error::RingError;
use crate::reports::{Report, Reports, gone_ms};

/// The number of attempts at a change of the document.
const MAX_ATTEMPTS: u32 = 50;

impl LiveRing {
    /// All reports.
    pub async fn reports(&self) -> Result<Reports, RingError> {
        let bytes = self.document_store().read(&Document::Reports).await?;
        Ok(Reports::parse(bytes.as_deref()))
    }

    /// Reports the kind of this process and what it has sealed, under the id that it chose, and whether it writes members
    /// as the ring has it ([`Report::writes_one_form`]).
    pub async fn report(
        &self,
        process: &str,
        what: &str,
        writes_one_form: bool,
    ) -> Result<(), RingError> {
        let ring = self.ring();
        let report = Report {
            what: what.to_owned(),
            at: self.now_ms(),
            version: ring.version(),
            reads: DocumentFormat::NEWEST.as_u32(),
            seals: self.seal_counts(),
            writes_one_form,
        };
        let silent = gone_ms(ring.settings());
        let keys = ring.keys().iter().map(|key| key.id);
        let keys = keys.chain(ring.index_keys().iter().map(|key| key.id));
        let keys: Vec<String> = keys.map(|id| id.to_string()).collect();
        self.change_reports(|reports| reports.add(process, report.clone(), silent, &keys))
            .await
    }

    /// Values that this process has sealed so far, by key id.
    #[must_use]
    pub fn seal_counts(&self) -> BTreeMap<String, u64> {
        let keyring = self.keyring().current();
        let usage = keyring.usage().map(|usage| {
            let seals = [
                usage.classic_seals,
                usage.sealed_seals,
                usage.deterministic_seals,
            ];
            let seals = seals.into_iter().fold(0, u64::saturating_add);
            (usage.id.to_string(), seals)
        });
        let of_index_keys = keyring.index_key_usage();
        let of_index_keys = of_index_keys.map(|usage| (usage.id.to_string(), usage.seals));
        let usage = usage.chain(of_index_keys);
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
