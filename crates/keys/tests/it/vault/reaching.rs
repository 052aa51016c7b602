//! The address of the service, and the authorities that are trusted there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use waxseal_keys::CustodianError;
use waxseal_keys::secret_file::SecretFileError;
use waxseal_testing::{Bao, Certificates};

use super::{Set, bao, is_denied, is_unavailable, with_key, works, wrap_error};

fn allow(path: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).unwrap();
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_it_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path());
    let bao = with_key(Bao::with_tls(&certificates));
    let set = Set::with_token(&bao);
    set.put("VAULT_ADDR", &bao.tls_address());
    let untrusted = "its certificate is not trusted";
    let error = wrap_error(&*set.open()).await;
    assert!(is_unavailable(&error, untrusted), "{error}");
    set.put("VAULT_CACERT", certificates.ca().to_str().unwrap());
    works(&*set.open()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let others = Certificates::create_in(elsewhere.path());
    set.put("VAULT_CACERT", others.ca().to_str().unwrap());
    let error = wrap_error(&*set.open()).await;
    assert!(is_unavailable(&error, untrusted), "{error}");
    set.put("VAULT_ADDR", &bao.address().replace("http:", "https:"));
    let error = wrap_error(&*set.open()).await;
    assert!(
        is_unavailable(&error, "the TLS handshake failed"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_certificate_is_used_if_its_key_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path());
    let bao = with_key(Bao::with_tls(&certificates));
    let set = Set::with_token(&bao);
    set.put("VAULT_ADDR", &bao.tls_address());
    set.put("VAULT_CACERT", certificates.ca().to_str().unwrap());
    set.put(
        "VAULT_CLIENT_CERT",
        certificates.client_certificate().to_str().unwrap(),
    );
    let error = set.try_open().err().unwrap();
    assert!(matches!(error, CustodianError::NotSet { variable } if variable == "VAULT_CLIENT_KEY"));
    let key = certificates.client_key();
    set.put("VAULT_CLIENT_KEY", key.to_str().unwrap());
    allow(&key, 0o640);
    let error = set.try_open().err().unwrap();
    assert!(
        matches!(
            error,
            CustodianError::File {
                error: SecretFileError::Exposed { mode: 0o640, .. },
                ..
            }
        ),
        "{error}"
    );
    allow(&key, 0o600);
    works(&*set.open()).await;
    let other = certificates.server_key();
    allow(&other, 0o600);
    for (name, path) in [
        ("VAULT_CLIENT_KEY", other),
        ("VAULT_CLIENT_KEY", certificates.ca()),
        ("VAULT_CLIENT_CERT", key.clone()),
        ("VAULT_CACERT", key),
    ] {
        allow(&path, 0o600);
        let before = set.get(name);
        set.put(name, path.to_str().unwrap());
        let error = set.try_open().err().unwrap();
        assert!(matches!(&error, CustodianError::Variable { variable, .. } if variable == name));
        assert!(!error.to_string().contains("BEGIN"), "{error}");
        set.put(name, &before);
    }
    set.put("VAULT_CACERT", "/no/such/file");
    let error = set.try_open().err().unwrap();
    assert!(matches!(error, CustodianError::File { .. }), "{error}");
}

#[test]
fn tokens_are_sent_in_plaintext_only_if_that_is_allowed() {
    // Without a runtime: opening sends no request.
    let set = Set::of(&[
        ("VAULT_ADDR", "http://vault.example:8200"),
        ("VAULT_TOKEN", "a-token-of-nobody"),
    ]);
    let error = set.try_open().err().unwrap();
    assert!(
        set.text_without_secrets(&error)
            .contains("VAULT_ALLOW_HTTP"),
        "{error}"
    );
    set.put("VAULT_ALLOW_HTTP", "true");
    assert!(set.try_open().is_ok());
    set.remove("VAULT_ALLOW_HTTP");
    set.put("VAULT_ADDR", "https://vault.example:8200");
    assert!(set.try_open().is_ok());
}

#[tokio::test]
async fn a_key_in_a_namespace_is_found_there_and_only_there() {
    let bao = Bao::start();
    bao.create_namespace("team");
    bao.api(
        "POST",
        "team/sys/mounts/transit",
        &json!({"type": "transit"}),
    );
    bao.api("POST", "team/transit/keys/wax", &json!({}));
    let set = Set::with_token(&bao);
    set.put("VAULT_TOKEN", bao.root_token());
    let error = wrap_error(&*set.open()).await;
    set.text_without_secrets(&error);
    assert!(
        is_denied(&error, "wrap", "there is no such key or mount"),
        "{error}"
    );
    for (name, value) in [("BAO_NAMESPACE", "team"), ("VAULT_NAMESPACE", "team/")] {
        set.put(name, value);
        works(&*set.open()).await;
        set.remove(name);
    }
    set.put("VAULT_NAMESPACE", "another");
    let error = wrap_error(&*set.open()).await;
    assert!(matches!(error, CustodianError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn the_alternative_names_of_the_variables_work() {
    let bao = bao();
    let set = Set::of(&[
        ("BAO_ADDR", &format!("{}/", bao.address())),
        ("BAO_TOKEN", &bao.create_token(&["wax"], "1h")),
    ]);
    works(&*set.open()).await;
}
