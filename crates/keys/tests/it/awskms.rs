//! A custodian in AWS KMS, with the server of the Python package moto, and a relay in between that fails
//! as networks and services do.

use std::time::{Duration, Instant};

use waxseal_core::SecretKey;
use waxseal_keys::{AwsKmsCustodian, Context, Custodian, CustodianError, Wrapped, conformance};
use waxseal_testing::{Behaviour, HttpRelay, Moto};

use crate::custodian_process::{self, CustodianProcess};

/// The secret key that signs requests, which must never be shown.
const SECRET: &str = "c2VjcmV0IGFjY2VzcyBrZXkgb2YgYSB0ZXN0";
const HERE: Context<'_> = Context {
    environment: "production",
    ring: "0123456789abcdef",
    key: "89abcdef",
};

/// A key, a relay in front of the service, and something that the key wrapped.
struct World {
    moto: Moto,
    arn: String,
    relay: HttpRelay,
    custodian: AwsKmsCustodian,
    wrapped: Wrapped,
}

impl World {
    async fn new() -> Self {
        let moto = Moto::start();
        let arn = moto.create_key();
        let relay = HttpRelay::start(moto.port());
        let custodian = custodian(&arn, &relay.url());
        let key = SecretKey::generate().unwrap();
        let wrapped = custodian.wrap(&key, &HERE).await.unwrap();
        Self {
            moto,
            arn,
            relay,
            custodian,
            wrapped,
        }
    }

    async fn unwrap(&self) -> Result<SecretKey, CustodianError> {
        self.custodian.unwrap(&self.wrapped, &HERE).await
    }

    /// The error of unwrapping, which contains nothing secret.
    async fn error(&self) -> CustodianError {
        let error = self.unwrap().await.err().expect("it must fail");
        let shown = format!("{error} {error:?}");
        for secret in [SECRET, &SECRET[..12], "AKIATEST"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        error
    }

    /// Ends all faults, and checks that it works again.
    async fn recovers(&self) {
        self.relay.set_behaviour(Behaviour::Pass);
        self.unwrap().await.unwrap();
    }
}

fn custodian(arn: &str, endpoint: &str) -> AwsKmsCustodian {
    let custodian = AwsKmsCustodian::open(arn).unwrap();
    custodian.with_endpoint(endpoint, "AKIATEST", SECRET)
}

/// An error as the service writes it, whose text must not be passed on.
fn refusal(code: &str) -> Behaviour {
    let body =
        format!("{{\"__type\":\"{code}\",\"message\":\"User: arn:aws:iam::1:user/ana {SECRET}\"}}");
    Behaviour::status(400, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_custodian_in_aws_kms_keeps_the_contract() {
    let moto = Moto::start();
    let arn = moto.create_key();
    let custodian = custodian(&arn, &moto.endpoint());
    assert_eq!(custodian.url(), format!("awskms:{arn}"));
    conformance::custodian(&custodian, &[SECRET]).await;
}

#[test]
fn credentials_region_and_endpoint_come_from_the_sources_of_the_sdk() {
    let moto = Moto::start();
    let url = format!("awskms:{}", moto.create_key_in("eu-central-1"));
    let mut variables = moto.env();
    variables.retain(|(name, _)| name != "AWS_REGION");
    custodian_process::conformance(&url, &[], &variables);

    // From a file with profiles, without variables.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(
        &file,
        format!("[seal]\naws_access_key_id = AKIATEST\naws_secret_access_key = {SECRET}\n"),
    )
    .unwrap();
    variables.retain(|(name, _)| !name.contains("ACCESS_KEY"));
    let mut named = variables.clone();
    for (name, value) in [
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()),
        ("AWS_PROFILE", "seal"),
    ] {
        named.push((name.to_owned(), value.to_owned()));
    }
    let mut process = CustodianProcess::start(&[&url], &named);
    assert_eq!(process.send("wrap"), "ok");
    assert_eq!(process.send("unwrap"), "ok");
    assert_eq!(process.send("rewrap"), "ok");
    assert_eq!(process.send("unwrap"), "ok");
    let answer = process.send("unwrap-elsewhere");
    assert!(answer.contains("does not unwrap this key"), "{answer}");

    // Without any source.
    let answer = CustodianProcess::start(&[&url], &variables).send("wrap");
    assert!(
        answer.contains("denies wrap: there are no credentials"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_names_its_key() {
    let moto = Moto::start();
    let arn = moto.create_key();
    moto.create_alias("alias/waxseal", &arn);
    let (start, _) = arn.split_once(":key/").unwrap();
    let custodian = custodian(&format!("{start}:alias/waxseal"), &moto.endpoint());
    let key = SecretKey::generate().unwrap();
    let wrapped = custodian.wrap(&key, &HERE).await.unwrap();
    let back = custodian.unwrap(&wrapped, &HERE).await.unwrap();
    assert!(back.expose_bytes() == key.expose_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_is_sent_with_each_request() {
    let world = World::new().await;
    for part in [
        r#""waxseal:environment":"production""#,
        r#""waxseal:ring":"0123456789abcdef""#,
        r#""waxseal:key":"89abcdef""#,
        &world.arn,
    ] {
        let missing = Behaviour::matching(part, 400, "{\"__type\":\"AccessDeniedException\"}");
        world.relay.set_behaviour(missing);
        let error = world.error().await;
        assert!(matches!(error, CustodianError::Denied { .. }), "{error}");
        assert_eq!(world.relay.failed(), 1, "a denial is not tried again");
    }
    world.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_or_garbled_service_is_an_outage() {
    let world = World::new().await;
    for behaviour in [
        Behaviour::Down,
        Behaviour::Garbage,
        Behaviour::NotHttp,
        Behaviour::status(500, "{}"),
        Behaviour::status(503, "<html>"),
        Behaviour::status(200, "{}"),
    ] {
        world.relay.set_behaviour(behaviour.clone());
        let error = world.error().await;
        let unavailable = matches!(error, CustodianError::Unavailable { .. });
        assert!(unavailable, "{behaviour:?}: {error}");
        assert!(error.is_transient());
        assert!((1..=3).contains(&world.relay.requests()), "{behaviour:?}");
        world.recovers().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_is_waited_for_for_a_bounded_time() {
    let world = World::new().await;
    world.relay.set_behaviour(Behaviour::Stall);
    let asked = Instant::now();
    let error = world.error().await;
    assert!(
        matches!(error, CustodianError::Unavailable { .. }),
        "{error}"
    );
    assert!(
        asked.elapsed() < Duration::from_secs(60),
        "the wait is bounded"
    );
    world.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_an_outage_that_is_retried_a_few_times() {
    let world = World::new().await;
    for behaviour in [
        refusal("ThrottlingException"),
        Behaviour::status(429, "slow down"),
    ] {
        world.relay.set_behaviour(behaviour);
        let error = world.error().await;
        assert!(
            error
                .to_string()
                .ends_with("cannot be reached: rate-limited"),
            "{error}"
        );
        assert!(world.relay.requests() <= 3);
        world.recovers().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn insufficient_credentials_and_rights_are_reported_and_not_retried() {
    let world = World::new().await;
    for (code, cause) in [
        ("AccessDeniedException", "AccessDeniedException"),
        ("ExpiredTokenException", "the credentials have expired"),
        (
            "UnrecognizedClientException",
            "the credentials are not valid",
        ),
        ("NotFoundException", "there is no such key"),
        ("DisabledException", "the key is disabled"),
    ] {
        world.relay.set_behaviour(refusal(code));
        let error = world.error().await;
        assert!(!error.is_transient());
        assert!(
            error
                .to_string()
                .ends_with(&format!("denies unwrap: {cause}")),
            "{error}"
        );
        assert_eq!(world.relay.requests(), 1, "{code}");
    }
    for code in ["InvalidCiphertextException", "IncorrectKeyException"] {
        world.relay.set_behaviour(refusal(code));
        let error = world.error().await;
        assert!(matches!(error, CustodianError::Refused { .. }), "{error}");
    }
    world.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_can_be_denied_while_others_work() {
    let world = World::new().await;
    let body = "{\"__type\":\"AccessDeniedException\"}";
    world
        .relay
        .set_behaviour(Behaviour::matching("TrentService.Encrypt", 400, body));
    world.unwrap().await.unwrap();
    let key = SecretKey::generate().unwrap();
    let error = world.custodian.wrap(&key, &HERE).await.unwrap_err();
    assert!(
        matches!(
            error,
            CustodianError::Denied {
                operation: "wrap",
                ..
            }
        ),
        "{error}"
    );
    world
        .relay
        .set_behaviour(Behaviour::matching("TrentService.ReEncrypt", 400, body));
    let error = world
        .custodian
        .rewrap(&world.wrapped, &HERE)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            CustodianError::Denied {
                operation: "rewrap",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_disabled_or_about_to_be_deleted_is_reported() {
    let world = World::new().await;
    world.moto.disable_key(&world.arn);
    let error = world.error().await;
    assert!(
        error.to_string().ends_with("the key is disabled"),
        "{error}"
    );
    world.moto.enable_key(&world.arn);
    world.unwrap().await.unwrap();
    world.moto.schedule_deletion(&world.arn);
    let error = world.error().await;
    assert!(
        error
            .to_string()
            .ends_with("the key's state does not allow it"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_key_wrapped_and_what_no_key_wrapped_is_refused() {
    let world = World::new().await;
    let other = custodian(&world.moto.create_key(), &world.relay.url());
    let error = other.unwrap(&world.wrapped, &HERE).await.err().unwrap();
    // AWS answers IncorrectKeyException; this server another code.
    assert!(!error.is_transient(), "{error}");
    // Without a request: the service would refuse them after one.
    world.relay.set_behaviour(Behaviour::Down);
    for bytes in [Vec::new(), vec![0; 6145]] {
        let error = other
            .unwrap(&Wrapped::bytes(bytes), &HERE)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, CustodianError::Refused { .. }), "{error}");
    }
    assert_eq!(world.relay.requests(), 0);
}
