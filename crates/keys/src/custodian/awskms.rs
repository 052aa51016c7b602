//! A custodian whose key-encryption key is in AWS KMS: a symmetric key, named by its ARN or by that of
//! an alias. The key never leaves the service. Credentials, and where the service is found, are the
//! SDK's business: its whole chain of places, and its own variables of the environment, go by the
//! service's documents.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::Credentials;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::EncryptionAlgorithmSpec;
use tokio::sync::OnceCell;
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::{Context, Custodian, Wrapped};
use crate::custodian::CustodianError;

mod arn;
mod failure;

use failure::{Cause, cause};

/// For a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// For one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// For an operation with all its attempts, and with whatever credentials need.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an operation is tried in all.
const ATTEMPTS: u32 = 3;
/// What `Decrypt` takes at most ("CiphertextBlob", AWS KMS API Reference).
const MOST: usize = 6144;
/// How this service wraps data keys; the only way for symmetric keys.
const ALGORITHM: EncryptionAlgorithmSpec = EncryptionAlgorithmSpec::SymmetricDefault;

/// A key in AWS KMS.
pub struct AwsKmsCustodian {
    url: String,
    arn: String,
    region: String,
    /// Where it is and who asks, if that is given: the SDK finds both by itself.
    stand_in: Option<(String, Credentials)>,
    /// Made when it is asked for the first time.
    client: OnceCell<Client>,
}

impl AwsKmsCustodian {
    /// The custodian of a key's or an alias's ARN, such as
    /// `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`. Its region is
    /// the ARN's.
    ///
    /// Everything else goes by the SDK's credential chain and variables ("AWS SDKs and Tools Reference
    /// Guide": `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_KMS` and so on), which are read when
    /// it is used.
    pub fn open(arn: &str) -> Result<Self, CustodianError> {
        let region = arn::region(arn).map_err(|cause| CustodianError::Url {
            scheme: "awskms",
            cause: cause.to_owned(),
        })?;
        Ok(Self {
            url: format!("awskms:{arn}"),
            arn: arn.to_owned(),
            region: region.to_owned(),
            stand_in: None,
            client: OnceCell::new(),
        })
    }

    /// The same at an endpoint and with credentials that are given: for a local stand-in of KMS.
    #[must_use]
    pub fn with_endpoint(
        mut self,
        endpoint: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "waxseal");
        self.stand_in = Some((endpoint.to_owned(), credentials));
        self
    }

    async fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(PATIENCE)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        if let Some((endpoint, credentials)) = &self.stand_in {
            loader = loader
                .endpoint_url(endpoint)
                .credentials_provider(credentials.clone());
        }
        Client::new(&loader.load().await)
    }

    /// What an operation of the SDK answers, within bounds and in our words.
    async fn ask<T>(
        &self,
        operation: &'static str,
        request: impl AsyncFnOnce(&Client) -> Result<T, Cause>,
    ) -> Result<T, CustodianError> {
        let answered = async { request(self.client.get_or_init(|| self.client()).await).await };
        // The SDK's own bounds leave out what it reads before the first request.
        let answer = tokio::time::timeout(PATIENCE, answered).await;
        let cause = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(cause)) => cause,
            Err(_) => Cause::Passing("no answer within 10 s".to_owned()),
        };
        let custodian = self.url.clone();
        Err(match cause {
            // Nothing was given that could be damaged: it is the request that is not taken.
            Cause::Refused if operation == "wrap" => CustodianError::Denied {
                custodian,
                operation,
                cause: "it does not take the request".to_owned(),
            },
            Cause::Refused => CustodianError::Refused { custodian },
            Cause::Denied(cause) => CustodianError::Denied {
                custodian,
                operation,
                cause: cause.to_owned(),
            },
            Cause::Passing(cause) => CustodianError::Unavailable { custodian, cause },
        })
    }

    /// What may be asked about at all: the service would refuse the rest, after a request.
    fn ciphertext(&self, wrapped: &Wrapped) -> Result<Blob, CustodianError> {
        let len = wrapped.bytes.len();
        if wrapped.mechanism.is_some() || len == 0 || len > MOST {
            return Err(CustodianError::Refused {
                custodian: self.url.clone(),
            });
        }
        Ok(Blob::new(wrapped.bytes.clone()))
    }
}

#[async_trait]
impl Custodian for AwsKmsCustodian {
    fn url(&self) -> &str {
        &self.url
    }

    /// `Encrypt`. The SDK's copies of the key, in its request and in what it sends, are not wiped: it
    /// has no way to.
    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let answer = self
            .ask("wrap", async |client| {
                let request = client
                    .encrypt()
                    .key_id(&self.arn)
                    .encryption_algorithm(ALGORITHM)
                    .set_encryption_context(Some(encryption_context(context)))
                    .plaintext(Blob::new(key.expose_bytes().as_slice()));
                let answer = request.send().await.map_err(cause)?;
                taken(answer.ciphertext_blob)
            })
            .await?;
        Ok(Wrapped::bytes(answer))
    }

    /// `Decrypt`, by this key and no other: without the ARN the service would take any key that the
    /// ciphertext names, also one of a stranger.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let ciphertext = self.ciphertext(wrapped)?;
        let plaintext = self
            .ask("unwrap", async |client| {
                let request = client
                    .decrypt()
                    .key_id(&self.arn)
                    .encryption_algorithm(ALGORITHM)
                    .set_encryption_context(Some(encryption_context(context)))
                    .ciphertext_blob(ciphertext);
                let answer = request.send().await.map_err(cause)?;
                // Ours is wiped. What the SDK received and decoded it from is not: it has no way to.
                taken(answer.plaintext).map(Zeroizing::new)
            })
            .await?;
        // Something that this key wrapped, and no data key of ours.
        let refused = || CustodianError::Refused {
            custodian: self.url.clone(),
        };
        let bytes = plaintext.as_slice().try_into().map_err(|_| refused())?;
        SecretKey::from_bytes(bytes).map_err(|_| refused())
    }

    /// `ReEncrypt` from this key to this key, context to the same context: the service rotates the
    /// material of a key under its one ARN, and wraps by the newest. The data key stays there.
    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let ciphertext = self.ciphertext(wrapped)?;
        let answer = self
            .ask("rewrap", async |client| {
                let request = client
                    .re_encrypt()
                    .source_key_id(&self.arn)
                    .source_encryption_algorithm(ALGORITHM)
                    .set_source_encryption_context(Some(encryption_context(context)))
                    .destination_key_id(&self.arn)
                    .destination_encryption_algorithm(ALGORITHM)
                    .set_destination_encryption_context(Some(encryption_context(context)))
                    .ciphertext_blob(ciphertext);
                let answer = request.send().await.map_err(cause)?;
                taken(answer.ciphertext_blob)
            })
            .await?;
        Ok(Wrapped::bytes(answer))
    }
}

/// The context as the service authenticates it, and writes it into its own log (CloudTrail): names and
/// ids, nothing secret.
fn encryption_context(context: &Context<'_>) -> HashMap<String, String> {
    let parts = [
        ("waxseal:environment", context.environment),
        ("waxseal:ring", context.ring),
        ("waxseal:key", context.key),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    parts.map(owned).into_iter().collect()
}

/// The bytes of an answer that holds any, no more than could be given back.
fn taken(blob: Option<Blob>) -> Result<Vec<u8>, Cause> {
    let bytes = blob.map(Blob::into_inner).unwrap_or_default();
    match bytes.len() {
        1..=MOST => Ok(bytes),
        _ => Err(Cause::Passing(
            "answers without what was asked for".to_owned(),
        )),
    }
}
