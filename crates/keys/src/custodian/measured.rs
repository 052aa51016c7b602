//! A custodian whose calls are counted and timed. What it is asked for and answers is passed on as it is.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use waxseal_core::SecretKey;
use waxseal_metrics::record_custodian_call;

use super::{Context, Custodian, Wrapped};
use crate::custodian::CustodianError;

/// A custodian whose calls are counted.
pub(super) struct Measured(pub(super) Arc<dyn Custodian>);

impl Measured {
    fn told<T>(
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
        record_custodian_call(self.url(), operation, outcome, since.elapsed());
        result
    }
}

#[async_trait]
impl Custodian for Measured {
    fn url(&self) -> &str {
        self.0.url()
    }

    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let since = Instant::now();
        self.told("wrap", since, self.0.wrap(key, context).await)
    }

    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let since = Instant::now();
        self.told("unwrap", since, self.0.unwrap(wrapped, context).await)
    }

    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let since = Instant::now();
        self.told("rewrap", since, self.0.rewrap(wrapped, context).await)
    }
}
