//! A custodian whose key-encryption key is in AWS KMS: a symmetric key, named by its ARN or by that
//! of an alias. The key never leaves the service. Credentials and the endpoint are left to the SDK:
//! its whole chain of sources, and its own environment variables, as AWS documents them.

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

use super::{Context, Custodian, CustodianScheme, Wrapped};
use crate::custodian::CustodianError;

mod arn;
mod failure;

use failure::{Cause, cause};

/// The time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of an operation with all its attempts, and with obtaining credentials.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// The total number of attempts.
const MAX_ATTEMPTS: u32 = 3;
/// The limit of `Decrypt` ("CiphertextBlob", AWS KMS API Reference).
const MAX_CIPHERTEXT_LEN: usize = 6144;
/// The only algorithm for symmetric keys.
const ALGORITHM: EncryptionAlgorithmSpec = EncryptionAlgorithmSpec::SymmetricDefault;

/// A key in AWS KMS.
pub struct AwsKmsCustodian {
    url: String,
    arn: String,
    region: String,
    /// The endpoint and credentials, if given: the SDK finds both otherwise.
    endpoint_override: Option<(String, Credentials)>,
    /// Created by the first call.
    client: OnceCell<Client>,
}

impl AwsKmsCustodian {
    /// The custodian of a key's or an alias's ARN, such as
    /// `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`. Its region
    /// is the ARN's.
    ///
    /// Everything else comes from the SDK's credential chain and variables ("AWS SDKs and Tools
    /// Reference Guide": `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_KMS` and so on),
    /// which are read when it is used.
    pub fn open(arn: &str) -> Result<Self, CustodianError> {
        let region = arn::region(arn).map_err(|cause| CustodianError::Url {
            scheme: CustodianScheme::AwsKms,
            cause: cause.to_owned(),
        })?;
        Ok(Self {
            url: CustodianScheme::AwsKms.url(arn),
            arn: arn.to_owned(),
            region: region.to_owned(),
            endpoint_override: None,
            client: OnceCell::new(),
        })
    }

    /// Uses this endpoint and these credentials: for a local substitute of KMS.
    #[must_use]
    pub fn with_endpoint(
        mut self,
        endpoint: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "waxseal");
        self.endpoint_override = Some((endpoint.to_owned(), credentials));
        self
    }

    async fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS));
        if let Some((endpoint, credentials)) = &self.endpoint_override {
            loader = loader
                .endpoint_url(endpoint)
                .credentials_provider(credentials.clone());
        }
        Client::new(&loader.load().await)
    }

    /// Runs an operation of the SDK within a time limit, and maps its error.
    async fn run<T>(
        &self,
        operation: &'static str,
        request: impl AsyncFnOnce(&Client) -> Result<T, Cause>,
    ) -> Result<T, CustodianError> {
        let answered = async { request(self.client.get_or_init(|| self.client()).await).await };
        // The SDK's own limits exclude what it reads before the first request.
        let answer = tokio::time::timeout(OPERATION_TIMEOUT, answered).await;
        let cause = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(cause)) => cause,
            Err(_) => Cause::Transient("no answer within 10 s".to_owned()),
        };
        let custodian = self.url.clone();
        Err(match cause {
            // There was no ciphertext that could be damaged: the request itself is rejected.
            Cause::Refused if operation == "wrap" => CustodianError::Denied {
                custodian,
                operation,
                cause: "it rejects the request".to_owned(),
            },
            Cause::Refused => CustodianError::Refused { custodian },
            Cause::Denied(cause) => CustodianError::Denied {
                custodian,
                operation,
                cause: cause.to_owned(),
            },
            Cause::Transient(cause) => CustodianError::Unavailable { custodian, cause },
        })
    }

    /// The ciphertext, if the service could accept it: it would refuse any other, after a request.
    fn ciphertext(&self, wrapped: &Wrapped) -> Result<Blob, CustodianError> {
        let len = wrapped.bytes.len();
        if wrapped.mechanism.is_some() || len == 0 || len > MAX_CIPHERTEXT_LEN {
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

    /// `Encrypt`. The SDK's copies of the key, in its request and on the wire, are not wiped: it
    /// offers no way to.
    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let answer = self
            .run("wrap", async |client| {
                let request = client
                    .encrypt()
                    .key_id(&self.arn)
                    .encryption_algorithm(ALGORITHM)
                    .set_encryption_context(Some(encryption_context(context)))
                    .plaintext(Blob::new(key.expose_bytes().as_slice()));
                let answer = request.send().await.map_err(cause)?;
                bounded_bytes(answer.ciphertext_blob)
            })
            .await?;
        Ok(Wrapped::bytes(answer))
    }

    /// `Decrypt`, by this key and no other: without the ARN the service would accept any key that
    /// the ciphertext names, even a stranger's.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let ciphertext = self.ciphertext(wrapped)?;
        let plaintext = self
            .run("unwrap", async |client| {
                let request = client
                    .decrypt()
                    .key_id(&self.arn)
                    .encryption_algorithm(ALGORITHM)
                    .set_encryption_context(Some(encryption_context(context)))
                    .ciphertext_blob(ciphertext);
                let answer = request.send().await.map_err(cause)?;
                // Our copy is wiped. The SDK's buffers are not: it offers no way to.
                bounded_bytes(answer.plaintext).map(Zeroizing::new)
            })
            .await?;
        // This key wrapped it, but it is not a data key of ours.
        let refused = || CustodianError::Refused {
            custodian: self.url.clone(),
        };
        let bytes = plaintext.as_slice().try_into().map_err(|_| refused())?;
        SecretKey::from_bytes(bytes).map_err(|_| refused())
    }

    /// `ReEncrypt` from this key to this key, in the same context: the service rotates the material
    /// of a key under its one ARN, and wraps with the newest. The data key stays there.
    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let ciphertext = self.ciphertext(wrapped)?;
        let answer = self
            .run("rewrap", async |client| {
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
                bounded_bytes(answer.ciphertext_blob)
            })
            .await?;
        Ok(Wrapped::bytes(answer))
    }
}

/// The context as the service authenticates it, and writes it to its own log (CloudTrail): names
/// and ids, nothing secret.
fn encryption_context(context: &Context<'_>) -> HashMap<String, String> {
    let parts = [
        ("waxseal:environment", context.environment),
        ("waxseal:ring", context.ring),
        ("waxseal:key", context.key),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    parts.map(owned).into_iter().collect()
}

/// The bytes of a response that has any, no more than could be sent back.
fn bounded_bytes(blob: Option<Blob>) -> Result<Vec<u8>, Cause> {
    let bytes = blob.map(Blob::into_inner).unwrap_or_default();
    match bytes.len() {
        1..=MAX_CIPHERTEXT_LEN => Ok(bytes),
        _ => Err(Cause::Transient(
            "answers without what was asked for".to_owned(),
        )),
    }
}
