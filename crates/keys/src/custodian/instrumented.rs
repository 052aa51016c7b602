//! A custodian whose calls are counted and timed, and otherwise forwarded unchanged.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use waxseal_core::SecretKey;
use waxseal_metrics::record_custodian_call;

use super::{Context, Custodian, CustodianScheme, Wrapped};
use crate::custodian::CustodianError;

/// A custodian whose calls are counted.
pub(super) struct Instrumented {
    custodian: Arc<dyn Custodian>,
    /// The label of its metrics; `other` for a custodian that is not one of ours.
    scheme: &'static str,
}

impl Instrumented {
    pub(super) fn new(custodian: Arc<dyn Custodian>) -> Self {
        let scheme = CustodianScheme::of(custodian.url()).map_or("other", CustodianScheme::as_str);
        Self { custodian, scheme }
    }

    fn record<T>(
        &self,
        operation: &'static str,
        since: Instant,
        result: Result<T, CustodianError>,
    ) -> Result<T, CustodianError> {
        let outcome = match &result {
            Ok(_) => "ok",
            Err(CustodianError::Unavailable { .. }) => "unavailable",
            Err(CustodianError::Refused { .. }) => "refused",
            Err(CustodianError::Denied { .. } | CustodianError::Pin { .. }) => "denied",
            Err(_) => "other",
        };
        record_custodian_call(self.scheme, operation, outcome, since.elapsed());
        result
    }
}

#[async_trait]
impl Custodian for Instrumented {
    fn url(&self) -> &str {
        self.custodian.url()
    }

    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let since = Instant::now();
        self.record("wrap", since, self.custodian.wrap(key, context).await)
    }

    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let since = Instant::now();
        self.record(
            "unwrap",
            since,
            self.custodian.unwrap(wrapped, context).await,
        )
    }

    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let since = Instant::now();
        self.record(
            "rewrap",
            since,
            self.custodian.rewrap(wrapped, context).await,
        )
    }
}
