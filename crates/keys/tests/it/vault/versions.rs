//! Rotation of the key in the service, and the end of its old versions.

use serde_json::json;

use super::{CONTEXT, Set, bao, is_refused, unwrap_error, works};

#[tokio::test]
async fn a_renewed_wrap_uses_the_newest_version_and_old_wraps_open_until_their_version_ends() {
    let bao = bao();
    let custodian = Set::with_token(&bao).open();
    let old = works(&*custodian).await;
    assert_eq!(old.bytes[..4], [0, 0, 0, 1]);
    bao.rotate_transit_key("wax");
    bao.rotate_transit_key("wax");
    let new = custodian.rewrap(&old, &CONTEXT).await.unwrap();
    assert_eq!(new.bytes[..4], [0, 0, 0, 3]);
    assert_eq!(new.mechanism, None);
    assert_eq!(works(&*custodian).await.bytes[..4], [0, 0, 0, 3]);
    let from_old = custodian.unwrap(&old, &CONTEXT).await.unwrap();
    let from_new = custodian.unwrap(&new, &CONTEXT).await.unwrap();
    assert!(from_old.expose_bytes() == from_new.expose_bytes());
    let least = json!({"min_decryption_version": 3});
    bao.api("POST", "transit/keys/wax/config", &least);
    let error = unwrap_error(&*custodian, &old).await;
    assert!(is_refused(&error), "{error}");
    let error = custodian.rewrap(&old, &CONTEXT).await.unwrap_err();
    assert!(is_refused(&error), "{error}");
    assert!(custodian.unwrap(&new, &CONTEXT).await.is_ok());
}
