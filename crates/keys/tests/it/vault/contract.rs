//! The contract of every custodian, and the additions of this one.

use serde_json::json;
use waxseal_keys::{Context, Wrapped, conformance};
use waxseal_testing::HttpRelay;

use super::{CONTEXT, Set, URL, bao, is_denied, is_refused, unwrap_error, works, wrap_error};

#[tokio::test]
async fn it_keeps_the_contract_with_no_more_rights_than_it_needs() {
    let bao = bao();
    let set = Set::with_token(&bao);
    let custodian = set.open();
    assert_eq!(custodian.url(), URL);
    conformance::custodian(&*custodian, &[&set.get("VAULT_TOKEN")]).await;
}

#[tokio::test]
async fn it_keeps_the_contract_with_keys_of_other_kinds() {
    let bao = bao();
    for kind in [
        "chacha20-poly1305",
        "xchacha20-poly1305",
        "aes128-gcm96",
        "rsa-2048",
    ] {
        bao.delete_transit_key("wax");
        bao.api("POST", "transit/keys/wax", &json!({"type": kind}));
        let set = Set::with_token(&bao);
        conformance::custodian(&*set.open(), &[&set.get("VAULT_TOKEN")]).await;
    }
}

#[tokio::test]
async fn a_key_that_cannot_wrap_bytes_is_reported() {
    let bao = bao();
    for options in [json!({"type": "ed25519"}), json!({"derived": true})] {
        bao.delete_transit_key("wax");
        bao.api("POST", "transit/keys/wax", &options);
        let error = wrap_error(&*Set::with_token(&bao).open()).await;
        assert!(
            is_denied(&error, "wrap", "it rejects the request"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_it_cannot_have_wrapped_is_refused_without_a_request() {
    let bao = bao();
    let relay = HttpRelay::start(bao.port());
    let custodian = Set::with_token(&bao).through(&relay).open();
    let strange = [
        Wrapped::bytes(Vec::new()),
        Wrapped::bytes(vec![0, 0, 0, 1]),
        Wrapped::bytes(vec![0; 100]),
        Wrapped::bytes(vec![1; 100_000]),
        Wrapped {
            mechanism: Some("transit".to_owned()),
            bytes: vec![0, 0, 0, 1, 5],
        },
    ];
    for wrapped in strange {
        assert!(is_refused(&unwrap_error(&*custodian, &wrapped).await));
        let error = custodian.rewrap(&wrapped, &CONTEXT).await.unwrap_err();
        assert!(is_refused(&error));
    }
    assert_eq!(relay.requests(), 0);
}

#[tokio::test]
async fn a_renewed_wrap_still_opens_in_its_own_context_only() {
    let bao = bao();
    let custodian = Set::with_token(&bao).open();
    let wrapped = works(&*custodian).await;
    let elsewhere = Context {
        ring: "fedcba9876543210",
        ..CONTEXT
    };
    let renewed = custodian.rewrap(&wrapped, &elsewhere).await.unwrap();
    let error = custodian.unwrap(&renewed, &elsewhere).await.err().unwrap();
    assert!(is_refused(&error), "{error}");
    assert!(custodian.unwrap(&renewed, &CONTEXT).await.is_ok());
}

#[tokio::test]
async fn what_another_client_encrypted_is_refused() {
    let bao = bao();
    let custodian = Set::with_token(&bao).open();
    let answer = bao.api(
        "POST",
        "transit/encrypt/wax",
        &json!({"plaintext": "aGVsbG8="}),
    );
    let text = answer["data"]["ciphertext"].as_str().unwrap();
    let sealed = text.strip_prefix("vault:v1:").unwrap();
    let sealed = base64_simd::STANDARD.decode_to_vec(sealed).unwrap();
    let wrapped = Wrapped::bytes([&[0, 0, 0, 1][..], &sealed].concat());
    let error = unwrap_error(&*custodian, &wrapped).await;
    assert!(is_refused(&error), "{error}");
}

#[tokio::test]
async fn a_deleted_key_does_not_count_as_damage_and_is_not_created_again() {
    let bao = bao();
    let custodian = Set::with_token(&bao).open();
    let wrapped = works(&*custodian).await;
    bao.delete_transit_key("wax");
    let words = "there is no such key or mount";
    let error = unwrap_error(&*custodian, &wrapped).await;
    assert!(is_denied(&error, "unwrap", words), "{error}");
    let error = custodian.rewrap(&wrapped, &CONTEXT).await.unwrap_err();
    assert!(is_denied(&error, "rewrap", words), "{error}");
    // Encrypting would create a key; the rights do not suffice for that.
    let error = wrap_error(&*custodian).await;
    assert!(is_denied(&error, "wrap", "permission denied"), "{error}");
    bao.api("DELETE", "sys/mounts/transit", &serde_json::Value::Null);
    let set = Set::with_token(&bao);
    set.put("VAULT_TOKEN", bao.root_token());
    let error = unwrap_error(&*set.open(), &wrapped).await;
    assert!(is_denied(&error, "unwrap", words), "{error}");
}
