//! The contract of [`Custodian`].

use waxseal_core::SecretKey;

use crate::custodian::CustodianError;
use crate::custodian::{Context, Custodian, Wrapped};

/// Runs the suite. `secrets` are texts that no error may hold, such as the custodian's own key.
///
/// # Panics
///
/// With the sentence of the contract that the custodian violates.
pub async fn custodian(custodian: &dyn Custodian, secrets: &[&str]) {
    let key = SecretKey::generate().unwrap();
    let hex = key.expose_hex();
    let context = Context {
        environment: "conformance",
        ring: "0123456789abcdef",
        key: "89abcdef",
    };
    assert!(custodian.url().contains(':'), "a custodian has a URL");
    let wrapped = custodian.wrap(&key, &context).await.unwrap();
    let back = custodian.unwrap(&wrapped, &context).await.unwrap();
    assert!(
        back.expose_bytes() == key.expose_bytes(),
        "a wrapped key can be unwrapped"
    );
    let again = custodian.wrap(&key, &context).await.unwrap();
    let back = custodian.unwrap(&again, &context).await.unwrap();
    assert!(back.expose_bytes() == key.expose_bytes(), "and once more");
    let bytes = key.expose_bytes();
    let holds = wrapped
        .bytes
        .windows(8)
        .any(|window| bytes.windows(8).any(|part| part == window));
    assert!(!holds, "what is wrapped does not show the key");
    let mut shown = vec![custodian.url().to_owned()];
    for context in others(&context) {
        shown.push(refusal(custodian, &wrapped, &context, "another context").await);
    }
    for len in 0..wrapped.bytes.len() {
        let mut part = wrapped.clone();
        part.bytes.truncate(len);
        shown.push(refusal(custodian, &part, &context, "a part").await);
    }
    for store in 0..wrapped.bytes.len() {
        let mut flipped = wrapped.clone();
        flipped.bytes[store] ^= 1;
        shown.push(refusal(custodian, &flipped, &context, "a flipped bit").await);
    }
    let mut longer = wrapped.clone();
    longer.bytes.push(0);
    shown.push(refusal(custodian, &longer, &context, "one byte more").await);
    let mut otherwise = wrapped.clone();
    otherwise.mechanism = Some("by magic".to_owned());
    if wrapped.mechanism.is_some() {
        shown.push(refusal(custodian, &otherwise, &context, "another mechanism").await);
    }
    let rewrapped = custodian.rewrap(&wrapped, &context).await.unwrap();
    let back = custodian.unwrap(&rewrapped, &context).await.unwrap();
    assert!(
        back.expose_bytes() == key.expose_bytes(),
        "a rewrapped key can be unwrapped"
    );
    let back = custodian.unwrap(&wrapped, &context).await.unwrap();
    assert!(
        back.expose_bytes() == key.expose_bytes(),
        "and the earlier wrap still can"
    );
    for text in shown {
        for secret in secrets.iter().copied().chain([hex.as_str()]) {
            // Even a part of one would be too much.
            let part = secret.get(..16).unwrap_or(secret);
            assert!(!text.contains(part), "no error and no URL holds a secret");
        }
    }
}

/// Contexts that differ in one part, or in where one part ends.
fn others<'a>(context: &Context<'a>) -> [Context<'a>; 5] {
    [
        Context {
            environment: "another",
            ..*context
        },
        Context {
            ring: "0123456789abcdee",
            ..*context
        },
        Context {
            key: "89abcdee",
            ..*context
        },
        Context {
            key: "names",
            ..*context
        },
        Context {
            environment: "conformance0",
            ring: "123456789abcdef",
            ..*context
        },
    ]
}

async fn refusal(
    custodian: &dyn Custodian,
    wrapped: &Wrapped,
    context: &Context<'_>,
    what: &str,
) -> String {
    match custodian.unwrap(wrapped, context).await {
        Ok(_) => panic!("{what} is unwrapped"),
        Err(error) => {
            let unavailable = matches!(error, CustodianError::Unavailable { .. });
            assert!(!unavailable, "{what} is refused, not taken for an outage");
            format!("{error} {error:?}")
        }
    }
}
