//! A service that is unreachable, slow, busy or garbled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waxseal_core::SecretKey;
use waxseal_keys::{Custodian, CustodianError, Wrapped};
use waxseal_testing::{Behaviour, HttpRelay};

use super::{CONTEXT, Set, bao, is_denied, is_unavailable, unwrap_error, works, wrap_error};

/// The errors of every operation, one after the other.
async fn all_errors(custodian: &dyn Custodian, wrapped: &Wrapped) -> [CustodianError; 3] {
    [
        wrap_error(custodian).await,
        unwrap_error(custodian, wrapped).await,
        custodian.rewrap(wrapped, &CONTEXT).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn transient_failures_are_outages_and_recover() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let set = Set::with_token(&bao).through(&relay);
    let custodian = set.open();
    let wrapped = works(&*custodian).await;
    let broken = "the connection broke, or what answers is not HTTP";
    let unreadable = "the answer cannot be read";
    let sealed = r#"{"errors":["Vault is sealed"]}"#;
    for (behaviour, words, asked) in [
        (Behaviour::Down, broken, 9),
        (Behaviour::NotHttp, broken, 9),
        (Behaviour::Garbage, unreadable, 3),
        (Behaviour::status(200, ""), unreadable, 3),
        (Behaviour::status(200, r#"{"data":{}}"#), unreadable, 3),
        (Behaviour::status(200, &"{".repeat(100_000)), unreadable, 3),
        (Behaviour::status(418, "teapot"), unreadable, 3),
        (Behaviour::status(429, ""), "rate-limited", 9),
        (Behaviour::status(503, sealed), "it is sealed, or starts", 9),
        (
            Behaviour::status(500, ""),
            "an internal error of the service",
            9,
        ),
        (
            Behaviour::status(502, "<html>"),
            "an internal error of the service",
            9,
        ),
        (Behaviour::status(473, ""), "it is a standby", 3),
        (
            Behaviour::status(412, ""),
            "it has not caught up with the others of its cluster",
            3,
        ),
    ] {
        relay.set_behaviour(behaviour.clone());
        for error in all_errors(&*custodian, &wrapped).await {
            set.text_without_secrets(&error);
            assert!(is_unavailable(&error, words), "{behaviour:?}: {error}");
        }
        // If a kept connection ends before the answer, the HTTP client itself may repeat the request.
        let again = if matches!(behaviour, Behaviour::Down) {
            3
        } else {
            0
        };
        let requests = relay.requests();
        assert!(
            (asked..=asked + again).contains(&requests),
            "{behaviour:?}: {requests}"
        );
        relay.set_behaviour(Behaviour::Pass);
        works(&*custodian).await;
    }
}

#[tokio::test]
async fn a_closed_port_is_an_outage() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let set = Set::with_token(&bao).through(&relay);
    let custodian = set.open();
    drop(relay);
    let error = wrap_error(&*custodian).await;
    assert!(is_unavailable(&error, "no connection"), "{error}");
}

#[tokio::test]
async fn a_silent_service_times_out() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let (role, secret) = bao.enable_approle("wax", "wax", "1h");
    let by_token = Set::with_token(&bao).through(&relay).open();
    let by_login = Set::of(&[
        ("VAULT_ADDR", &relay.url()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let by_login = by_login.open();
    let wrapped = works(&*by_token).await;
    relay.set_behaviour(Behaviour::Stall);
    let since = Instant::now();
    let (first, second, third) = tokio::join!(
        unwrap_error(&*by_token, &wrapped),
        unwrap_error(&*by_login, &wrapped),
        unwrap_error(&*by_login, &wrapped),
    );
    for error in [first, second, third] {
        assert!(is_unavailable(&error, "no answer in time"), "{error}");
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(11), "{took:?}");
    relay.set_behaviour(Behaviour::Pass);
    works(&*by_token).await;
    works(&*by_login).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let elsewhere = HttpRelay::start(bao.port());
    let custodian = Set::with_token(&bao).through(&relay).open();
    let wrapped = works(&*custodian).await;
    relay.set_behaviour(Behaviour::Status {
        code: 307,
        headers: vec![("Location".to_owned(), elsewhere.url())],
        body: String::new(),
    });
    for error in all_errors(&*custodian, &wrapped).await {
        assert!(
            is_unavailable(&error, "it redirects, which is not followed"),
            "{error}"
        );
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn a_busy_service_is_retried_after_its_delay_for_a_bounded_time() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let custodian = Set::with_token(&bao).through(&relay).open();
    works(&*custodian).await;
    for (after, attempts, least) in [("1", 3, 2), ("60", 1, 0), ("soon", 3, 0)] {
        relay.set_behaviour(Behaviour::Status {
            code: 429,
            headers: vec![("Retry-After".to_owned(), after.to_owned())],
            body: String::new(),
        });
        let since = Instant::now();
        let error = wrap_error(&*custodian).await;
        assert!(is_unavailable(&error, "rate-limited"), "{error}");
        assert_eq!(relay.requests(), attempts, "{after}");
        let took = since.elapsed();
        assert!(took >= Duration::from_secs(least), "{after}: {took:?}");
        // A delay of a minute is not waited for; how long the rest takes is the machine's.
        assert!(took < Duration::from_secs(60), "{after}: {took:?}");
    }
}

#[tokio::test]
async fn a_short_outage_is_not_noticed() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let custodian = Set::with_token(&bao).through(&relay).open();
    works(&*custodian).await;
    relay.set_behaviour(Behaviour::status(503, ""));
    let key = SecretKey::generate().unwrap();
    let recover = async {
        while relay.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        relay.set_behaviour(Behaviour::Pass);
    };
    let (wrapped, ()) = tokio::join!(custodian.wrap(&key, &CONTEXT), recover);
    assert!(wrapped.is_ok());
}

#[tokio::test]
async fn rights_to_one_operation_are_not_rights_to_another() {
    let bao = bao();
    bao.write_policy(
        "seals",
        r#"path "transit/encrypt/wax" { capabilities = ["update"] }"#,
    );
    let all = Set::with_token(&bao).open();
    let wrapped = works(&*all).await;
    let set = Set::with_token(&bao);
    set.put("VAULT_TOKEN", &bao.create_token(&["seals"], "1h"));
    let custodian = set.open();
    let key = SecretKey::generate().unwrap();
    assert!(custodian.wrap(&key, &CONTEXT).await.is_ok());
    let error = unwrap_error(&*custodian, &wrapped).await;
    set.text_without_secrets(&error);
    assert!(is_denied(&error, "unwrap", "permission denied"), "{error}");
    let error = custodian.rewrap(&wrapped, &CONTEXT).await.unwrap_err();
    assert!(is_denied(&error, "rewrap", "permission denied"), "{error}");
    assert!(custodian.wrap(&key, &CONTEXT).await.is_ok());
}

#[tokio::test]
async fn a_lasting_denial_is_reported_after_one_more_login() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let (role, secret) = bao.enable_approle("wax", "wax", "1h");
    let set = Set::of(&[
        ("VAULT_ADDR", &relay.url()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    let wrapped = works(&*custodian).await;
    relay.set_behaviour(Behaviour::matching("/decrypt/", 403, ""));
    let error = unwrap_error(&*custodian, &wrapped).await;
    set.text_without_secrets(&error);
    assert!(is_denied(&error, "unwrap", "permission denied"), "{error}");
    assert_eq!((relay.requests(), relay.failed()), (3, 2));
    // And not with one more login for each request.
    let error = unwrap_error(&*custodian, &wrapped).await;
    assert!(is_denied(&error, "unwrap", "permission denied"), "{error}");
    assert_eq!((relay.requests(), relay.failed()), (4, 3));
    assert!(custodian.rewrap(&wrapped, &CONTEXT).await.is_ok());
}

#[tokio::test]
async fn a_server_that_echoes_secrets_is_not_quoted() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let set = Set::with_token(&bao).through(&relay);
    let custodian = set.open();
    let wrapped = works(&*custodian).await;
    let body = json!({"errors": [set.get("VAULT_TOKEN")]}).to_string();
    for code in [400, 403, 404, 418, 429, 500] {
        relay.set_behaviour(Behaviour::status(code, &body));
        for error in all_errors(&*custodian, &wrapped).await {
            set.text_without_secrets(&error);
        }
    }
}

#[tokio::test]
async fn a_sealed_server_is_an_outage() {
    let bao = bao();
    let custodian = Set::with_token(&bao).open();
    let wrapped = works(&*custodian).await;
    bao.api("PUT", "sys/seal", &Value::Null);
    for error in all_errors(&*custodian, &wrapped).await {
        assert!(is_unavailable(&error, "it is sealed, or starts"), "{error}");
    }
}
