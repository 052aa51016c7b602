//! Logins that return a token.

use std::time::{SystemTime, UNIX_EPOCH};

use base64_simd::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::json;
use waxseal_keys::{CustodianError, conformance};
use waxseal_testing::tls::Certificates;
use waxseal_testing::{Bao, Behaviour, HttpRelay};

use super::{Set, bao, is_denied, works, wrap_error};

/// A server that issues tokens to an AppRole.
fn with_role(bao: &Bao, ttl: &str) -> Set {
    let (role, secret) = bao.enable_approle("wax", "wax", ttl);
    Set::of(&[
        ("VAULT_ADDR", &bao.address()),
        ("VAULT_ROLE_ID", &role),
        ("VAULT_SECRET_ID", &secret),
    ])
}

/// The answer of the service to a login, with this token.
fn login_answer(token: &str) -> String {
    json!({"auth": {"client_token": token, "lease_duration": 3600, "renewable": true}}).to_string()
}

#[tokio::test]
async fn an_approle_logs_in_automatically() {
    let bao = bao();
    let set = with_role(&bao, "1h");
    let secret = set.get("VAULT_SECRET_ID");
    conformance::custodian(&*set.open(), &[&secret]).await;
    // Also if another method is configured as well.
    set.put("VAULT_TOKEN", "no-token");
    set.put("VAULT_AUTH", "approle");
    works(&*set.open()).await;
    // Mounted under another path.
    set.put("VAULT_AUTH_MOUNT", "team/roles");
    let error = wrap_error(&*set.open()).await;
    let words = "it rejects the credentials, or nothing is mounted for them";
    assert!(is_denied(&error, "login", words), "{error}");
    bao.api("POST", "sys/auth/team/roles", &json!({"type": "approle"}));
    let role = json!({"token_policies": ["wax"], "role_id": "wax-role"});
    bao.api("POST", "auth/team/roles/role/wax", &role);
    let secret = bao.api("POST", "auth/team/roles/role/wax/secret-id", &json!({}));
    set.put("VAULT_ROLE_ID", "wax-role");
    set.put(
        "VAULT_SECRET_ID",
        secret["data"]["secret_id"].as_str().unwrap(),
    );
    works(&*set.open()).await;
}

#[tokio::test]
async fn a_wrong_secret_is_denied_and_a_corrected_one_is_accepted() {
    let bao = bao();
    let set = with_role(&bao, "1h");
    let secret = set.get("VAULT_SECRET_ID");
    set.put("VAULT_SECRET_ID", "a-secret-\"\\-of-nobody");
    let custodian = set.open();
    let error = wrap_error(&*custodian).await;
    set.text_without_secrets(&error);
    assert!(
        is_denied(&error, "login", "it rejects the credentials"),
        "{error}"
    );
    set.put("VAULT_SECRET_ID", &format!(" {secret}\n"));
    works(&*custodian).await;
}

#[tokio::test]
async fn a_service_account_of_kubernetes_logs_in_with_its_file() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let file = tempfile::NamedTempFile::new().unwrap();
    let set = Set::of(&[
        ("VAULT_ADDR", &relay.url()),
        ("VAULT_K8S_ROLE", "wax"),
        ("VAULT_K8S_TOKEN_PATH", file.path().to_str().unwrap()),
    ]);
    let custodian = set.open();
    // OpenBao would ask the API of Kubernetes, which is not available: the relay answers instead, and only
    // to the expected request.
    let token = bao.create_token(&["wax"], "1h");
    let expected = r#"{"role":"wax","jwt":"first.jwt"}"#;
    relay.set_behaviour(Behaviour::matching(expected, 200, &login_answer(&token)));
    std::fs::write(file.path(), "first.jwt\n").unwrap();
    works(&*custodian).await;
    assert_eq!(relay.failed(), 1);
    // The file is read again.
    bao.revoke_token(&token);
    std::fs::write(file.path(), "second.jwt").unwrap();
    let token = bao.create_token(&["wax"], "1h");
    let expected = r#"{"role":"wax","jwt":"second.jwt"}"#;
    relay.set_behaviour(Behaviour::matching(expected, 200, &login_answer(&token)));
    works(&*custodian).await;
    assert_eq!(relay.failed(), 1);
    // By default from the path where Kubernetes mounts it.
    bao.revoke_token(&token);
    let token = bao.create_token(&["wax"], "1h");
    let path = "POST /v1/auth/kubernetes/login ";
    relay.set_behaviour(Behaviour::matching(path, 200, &login_answer(&token)));
    works(&*custodian).await;
    bao.revoke_token(&token);
    drop(file);
    let error = wrap_error(&*custodian).await;
    assert!(matches!(error, CustodianError::File { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_accepted_by_a_server_that_reviews_it_with_kubernetes() {
    let bao = bao();
    let token_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token_file.path(), service_account("waxseal")).unwrap();
    // The only request of the server to Kubernetes: the review of this token.
    let review = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "status": {
            "authenticated": true,
            "user": { "username": "system:serviceaccount:default:waxseal", "uid": "u1" }
        }
    });
    let kubernetes = HttpRelay::start(bao.port());
    kubernetes.set_behaviour(Behaviour::status(201, &review.to_string()));
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path());
    let authority = std::fs::read_to_string(certificates.ca()).unwrap();
    bao.api("POST", "sys/auth/k8s", &json!({"type": "kubernetes"}));
    let config = json!({
        "kubernetes_host": kubernetes.url(),
        "kubernetes_ca_cert": authority,
        "token_reviewer_jwt": "reviewer",
        "disable_local_ca_jwt": true
    });
    bao.api("POST", "auth/k8s/config", &config);
    let role = json!({
        "bound_service_account_names": ["waxseal"],
        "bound_service_account_namespaces": ["default"],
        "token_policies": ["wax"]
    });
    bao.api("POST", "auth/k8s/role/wax", &role);
    let set = Set::of(&[
        ("VAULT_ADDR", &bao.address()),
        ("VAULT_AUTH_MOUNT", "k8s"),
        ("VAULT_K8S_ROLE", "wax"),
        ("VAULT_K8S_TOKEN_PATH", token_file.path().to_str().unwrap()),
    ]);
    works(&*set.open()).await;
    assert_eq!(kubernetes.requests(), 1);

    // Another account is refused.
    std::fs::write(token_file.path(), service_account("another")).unwrap();
    let error = wrap_error(&*set.open()).await;
    let denied = matches!(
        error,
        CustodianError::Denied {
            operation: "login",
            ..
        }
    );
    assert!(denied, "{error}");
}

/// The token of a service account, as Kubernetes mounts it into a pod. Its signature is not checked here.
fn service_account(name: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = json!({"alg": "RS256", "kid": "test"});
    let claims = json!({
        "iss": "https://kubernetes.default.svc",
        "sub": format!("system:serviceaccount:default:{name}"),
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": { "name": name, "uid": "u1" }
        }
    });
    let parts = [
        header.to_string(),
        claims.to_string(),
        "signature".repeat(20),
    ];
    parts
        .map(|part| URL_SAFE_NO_PAD.encode_to_string(part))
        .join(".")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_log_in_once() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let set = with_role(&bao, "1h").through(&relay);
    let custodian = set.open();
    for _ in 0..2 {
        let token = bao.create_token(&["wax"], "1h");
        relay.set_behaviour(Behaviour::matching(
            "/approle/login",
            200,
            &login_answer(&token),
        ));
        join_all((0..16).map(|_| works(&*custodian))).await;
        assert_eq!(relay.failed(), 1);
        bao.revoke_token(&token);
    }
}

#[tokio::test]
async fn a_garbled_answer_to_a_login_is_an_outage() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let custodian = with_role(&bao, "1h").through(&relay).open();
    for body in ["{}", "null", "<html>", &login_answer("")] {
        relay.set_behaviour(Behaviour::matching("/approle/login", 200, body));
        assert!(wrap_error(&*custodian).await.is_transient(), "{body}");
    }
    relay.set_behaviour(Behaviour::matching("/approle/login", 500, ""));
    assert!(wrap_error(&*custodian).await.is_transient());
    relay.set_behaviour(Behaviour::Pass);
    works(&*custodian).await;
}

#[tokio::test]
async fn the_variables_of_a_login_are_checked_when_opened() {
    let address = ("VAULT_ADDR", "https://vault.example");
    for (set, variable) in [
        (&[("VAULT_TOKEN", "t")][..], "VAULT_ADDR"),
        (&[address], "VAULT_TOKEN"),
        (&[address, ("VAULT_TOKEN", " \n")], "VAULT_TOKEN"),
        (&[address, ("VAULT_AUTH", "token")], "VAULT_TOKEN"),
        (&[address, ("VAULT_AUTH", "approle")], "VAULT_ROLE_ID"),
        (&[address, ("VAULT_ROLE_ID", "a")], "VAULT_SECRET_ID"),
        (&[address, ("VAULT_AUTH", "kubernetes")], "VAULT_K8S_ROLE"),
    ] {
        let error = Set::of(set).try_open().err().unwrap();
        let expected = CustodianError::NotSet {
            variable: variable.to_owned(),
        };
        assert_eq!(error, expected);
    }
    for (name, value) in [
        ("VAULT_AUTH", "ldap"),
        ("VAULT_AUTH_MOUNT", "../sys"),
        ("VAULT_TOKEN", "two words"),
    ] {
        let set = Set::of(&[address, ("VAULT_TOKEN", "a-token")]);
        set.put(name, value);
        let error = set.try_open().err().unwrap();
        set.text_without_secrets(&error);
        assert!(matches!(error, CustodianError::Variable { variable, .. } if variable == name));
    }
}
