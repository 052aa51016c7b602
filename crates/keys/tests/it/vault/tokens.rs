//! Tokens expire, are revoked and are renewed.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use waxseal_testing::{Behaviour, HttpRelay};

use super::{Set, bao, is_denied, unwrap_error, works, wrap_error};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[tokio::test]
async fn a_replaced_token_is_read_from_its_variable() {
    let bao = bao();
    let set = Set::with_token(&bao);
    let custodian = set.open();
    let wrapped = works(&*custodian).await;
    let old = set.get("VAULT_TOKEN");
    set.put("VAULT_TOKEN", &bao.create_token(&["wax"], "1h"));
    bao.revoke_token(&old);
    works(&*custodian).await;
    let last = set.get("VAULT_TOKEN");
    bao.revoke_token(&last);
    let error = unwrap_error(&*custodian, &wrapped).await;
    set.text_without_secrets(&error);
    assert!(is_denied(&error, "unwrap", "permission denied"), "{error}");
    set.put("VAULT_TOKEN", "a-token-of-nobody");
    let error = unwrap_error(&*custodian, &wrapped).await;
    set.text_without_secrets(&error);
    assert!(is_denied(&error, "unwrap", "permission denied"), "{error}");
    set.remove("VAULT_TOKEN");
    set.put("BAO_TOKEN", &bao.create_token(&["wax"], "1h"));
    works(&*custodian).await;
}

#[tokio::test]
async fn an_unusable_token_is_tried_once() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    bao.write_policy("nothing", "path \"none\" { capabilities = [\"deny\"] }");
    let set = Set::with_token(&bao).through(&relay);
    set.put("VAULT_TOKEN", &bao.create_token(&["nothing"], "1h"));
    let custodian = set.open();
    relay.set_behaviour(Behaviour::matching(
        "/transit/encrypt/",
        403,
        r#"{"errors":["permission denied"]}"#,
    ));
    let error = wrap_error(&*custodian).await;
    assert!(is_denied(&error, "wrap", "permission denied"), "{error}");
    assert_eq!(relay.failed(), 1);
    relay.set_behaviour(Behaviour::Pass);
    let error = wrap_error(&*custodian).await;
    assert!(is_denied(&error, "wrap", "permission denied"), "{error}");
}

#[tokio::test]
async fn a_revoked_token_is_replaced_without_an_error() {
    let bao = bao();
    let (role, secret) = bao.enable_approle("wax", "wax", "1h");
    let set = Set::of(&[
        ("VAULT_ADDR", &bao.address()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    for _ in 0..3 {
        works(&*custodian).await;
        bao.api("POST", "sys/leases/revoke-prefix/auth/approle", &json!({}));
    }
    works(&*custodian).await;
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_replaced_after_it_expired() {
    let bao = bao();
    let (role, secret) = bao.enable_approle("wax", "wax", "1s");
    bao.api(
        "POST",
        "auth/approle/role/wax",
        &json!({"token_type": "batch"}),
    );
    let set = Set::of(&[
        ("VAULT_ADDR", &bao.address()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    for _ in 0..3 {
        works(&*custodian).await;
        sleep(seconds(1.5)).await;
    }
    works(&*custodian).await;
}

#[tokio::test]
async fn the_token_of_a_login_is_renewed_while_idle() {
    let bao = bao();
    let (role, secret) = bao.enable_approle("wax", "wax", "2s");
    let set = Set::of(&[
        ("VAULT_ADDR", &bao.address()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    works(&*custodian).await;
    // Only the present token still has access.
    set.put("VAULT_SECRET_ID", "a-secret-of-nobody");
    sleep(seconds(6.0)).await;
    works(&*custodian).await;
}

#[tokio::test]
async fn a_configured_token_is_renewed_while_idle() {
    let bao = bao();
    let set = Set::with_token(&bao);
    set.put("VAULT_TOKEN", &bao.create_token(&["wax"], "3s"));
    let custodian = set.open();
    works(&*custodian).await;
    sleep(seconds(8.0)).await;
    works(&*custodian).await;
}

#[tokio::test]
async fn an_outage_of_renewals_is_bridged() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let (role, secret) = bao.enable_approle("wax", "wax", "4s");
    let set = Set::of(&[
        ("VAULT_ADDR", &relay.url()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    works(&*custodian).await;
    set.put("VAULT_SECRET_ID", "a-secret-of-nobody");
    relay.set_behaviour(Behaviour::Down);
    sleep(seconds(2.7)).await;
    assert!(relay.failed() > 0);
    relay.set_behaviour(Behaviour::Pass);
    sleep(seconds(4.0)).await;
    works(&*custodian).await;
}

#[tokio::test]
async fn a_token_near_its_maximum_lifetime_is_replaced_in_time() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let (role, secret) = bao.enable_approle("wax", "wax", "2s");
    let ends = json!({"token_max_ttl": "3s"});
    bao.api("POST", "auth/approle/role/wax", &ends);
    let set = Set::of(&[
        ("VAULT_ADDR", &relay.url()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ]);
    let custodian = set.open();
    works(&*custodian).await;
    relay.set_behaviour(Behaviour::Pass);
    sleep(seconds(6.0)).await;
    // Without a login in the meantime, this would need a denial, a login and another attempt.
    relay.set_behaviour(Behaviour::matching("/approle/login", 500, ""));
    works(&*custodian).await;
    assert_eq!(relay.failed(), 0);
}

#[tokio::test]
async fn nothing_is_renewed_for_a_custodian_that_is_dropped() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let set = Set::with_token(&bao).through(&relay);
    set.put("VAULT_TOKEN", &bao.create_token(&["wax"], "3s"));
    let custodian = set.open();
    works(&*custodian).await;
    sleep(seconds(2.0)).await;
    relay.set_behaviour(Behaviour::Pass);
    sleep(seconds(2.0)).await;
    assert!(relay.requests() > 0);
    drop(custodian);
    sleep(seconds(0.1)).await;
    relay.set_behaviour(Behaviour::Pass);
    sleep(seconds(4.0)).await;
    assert_eq!(relay.requests(), 0);
}
