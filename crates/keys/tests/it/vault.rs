//! The custodian for the transit engine, against OpenBao, and against a relay that causes faults.

mod contract;
mod faults;
mod logins;
mod reaching;
mod tokens;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use waxseal_core::SecretKey;
use waxseal_keys::{Context, Custodian, CustodianError, Custodians, Variables, Wrapped, variables};
use waxseal_testing::{Bao, HttpRelay};

const URL: &str = "vault:transit/wax";
/// The policy with the rights that the custodian needs.
const POLICY: &str = r#"
path "transit/encrypt/wax" { capabilities = ["update"] }
path "transit/decrypt/wax" { capabilities = ["update"] }
path "transit/rewrap/wax" { capabilities = ["update"] }
"#;
const CONTEXT: Context<'static> = Context {
    environment: "production",
    ring: "0123456789abcdef",
    key: "89abcdef",
};

/// A server with the key `wax` and a policy of that name.
fn bao() -> Bao {
    with_key(Bao::start())
}

fn with_key(bao: Bao) -> Bao {
    bao.enable_transit();
    bao.create_transit_key("wax");
    bao.write_policy("wax", POLICY);
    bao
}

/// Variables that can be changed while a custodian reads them.
#[derive(Clone, Default)]
struct Set(Arc<Mutex<BTreeMap<String, String>>>);

impl Set {
    fn of(values: &[(&str, &str)]) -> Self {
        let set = Self::default();
        for (name, value) in values {
            set.put(name, value);
        }
        set
    }

    /// The variables for a server, with a token of one hour and no more rights than needed.
    fn with_token(bao: &Bao) -> Self {
        let token = bao.create_token(&["wax"], "1h");
        Self::of(&[("VAULT_ADDR", &bao.address()), ("VAULT_TOKEN", &token)])
    }

    /// The same variables through a relay.
    fn through(self, relay: &HttpRelay) -> Self {
        self.put("VAULT_ADDR", &relay.url());
        self
    }

    fn put(&self, name: &str, value: &str) {
        let mut values = self.0.lock().unwrap();
        values.insert(name.to_owned(), value.to_owned());
    }

    fn get(&self, name: &str) -> String {
        self.0.lock().unwrap()[name].clone()
    }

    fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    fn variables(&self) -> Variables {
        let set = self.clone();
        variables(move |name| set.0.lock().unwrap().get(name).cloned())
    }

    fn try_open(&self) -> Result<Arc<dyn Custodian>, CustodianError> {
        Custodians::open(URL, &self.variables())
    }

    fn open(&self) -> Arc<dyn Custodian> {
        self.try_open().unwrap()
    }

    /// Returns the text of an error. Panics if it contains the value of a secret variable.
    fn text_without_secrets(&self, error: &CustodianError) -> String {
        let shown = format!("{error} {error:?}");
        for name in ["VAULT_TOKEN", "BAO_TOKEN", "VAULT_SECRET_ID"] {
            let values = self.0.lock().unwrap();
            let secret = values.get(name).filter(|value| !value.is_empty());
            assert!(
                secret.is_none_or(|secret| !shown.contains(secret.as_str())),
                "{name}: {shown}"
            );
        }
        error.to_string()
    }
}

/// Wraps a key and checks that it can be unwrapped.
async fn works(custodian: &dyn Custodian) -> Wrapped {
    try_to_work(custodian).await.unwrap()
}

async fn try_to_work(custodian: &dyn Custodian) -> Result<Wrapped, CustodianError> {
    let key = SecretKey::generate().unwrap();
    let wrapped = custodian.wrap(&key, &CONTEXT).await?;
    let back = custodian.unwrap(&wrapped, &CONTEXT).await?;
    assert!(back.expose_bytes() == key.expose_bytes());
    Ok(wrapped)
}

async fn wrap_error(custodian: &dyn Custodian) -> CustodianError {
    let key = SecretKey::generate().unwrap();
    custodian.wrap(&key, &CONTEXT).await.unwrap_err()
}

async fn unwrap_error(custodian: &dyn Custodian, wrapped: &Wrapped) -> CustodianError {
    custodian.unwrap(wrapped, &CONTEXT).await.err().unwrap()
}

fn is_denied(error: &CustodianError, expected: &str, words: &str) -> bool {
    match error {
        CustodianError::Denied {
            operation, cause, ..
        } => *operation == expected && cause == words,
        _ => false,
    }
}

fn is_refused(error: &CustodianError) -> bool {
    matches!(error, CustodianError::Refused { .. })
}

fn is_unavailable(error: &CustodianError, words: &str) -> bool {
    matches!(error, CustodianError::Unavailable { cause, .. } if cause == words)
}
