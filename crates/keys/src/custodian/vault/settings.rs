//! An operator's settings of a Vault or OpenBao: the key in the URL, and the address and trust of
//! the service in variables. Authentication is in `login`; nothing is contacted here.

use reqwest::Url;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::custodian::CustodianError;
use crate::custodian::local::variable;
use crate::custodian::{CustodianScheme, Variables};

const ADDRESS: [&str; 2] = ["VAULT_ADDR", "BAO_ADDR"];
const NAMESPACE: [&str; 2] = ["VAULT_NAMESPACE", "BAO_NAMESPACE"];
const ALLOW_HTTP: &str = "VAULT_ALLOW_HTTP";
/// The longest URL.
const MAX_URL_LEN: usize = 512;

/// A key of the transit engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TransitKey {
    mount: String,
    key: String,
}

impl TransitKey {
    /// Parses `MOUNT/KEY`; the mount may have several parts.
    pub(super) fn parse(path: &str) -> Result<Self, CustodianError> {
        let malformed = |cause: &str| CustodianError::Url {
            scheme: CustodianScheme::Vault,
            cause: cause.to_owned(),
        };
        let Some((mount, key)) = path.rsplit_once('/') else {
            return Err(malformed(
                "vault: is followed by MOUNT/KEY, such as transit/waxseal",
            ));
        };
        if !is_path(mount) || !is_path(key) || path.len() > MAX_URL_LEN {
            return Err(malformed(
                "the parts of MOUNT/KEY consist of letters, digits, dots, - and _",
            ));
        }
        Ok(Self {
            mount: mount.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The URL of the custodian.
    pub(super) fn url(&self) -> String {
        CustodianScheme::Vault.url(format_args!("{}/{}", self.mount, self.key))
    }

    /// The path of an operation of transit: `encrypt`, `decrypt`, `rewrap`.
    pub(super) fn path(&self, operation: &str) -> String {
        format!("{}/{operation}/{}", self.mount, self.key)
    }
}

/// True if these are names, separated by `/`, that need no escape in a path.
pub(super) fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.split('/')
        .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(fits))
}

/// The address of a service.
#[derive(Debug)]
pub(super) struct Service {
    /// The address, without a trailing `/`.
    pub(super) address: String,
    /// The namespace with the key and the logins.
    pub(super) namespace: Option<HeaderValue>,
    /// True if it is reached without TLS.
    pub(super) is_plain: bool,
}

impl Service {
    /// Reads the variables.
    pub(super) fn from_variables(variables: &Variables) -> Result<Self, CustodianError> {
        let (name, address) =
            first_set(&ADDRESS, variables)?.ok_or_else(|| not_set("VAULT_ADDR"))?;
        let wrong = |cause: &str| Err(invalid_variable(name, cause));
        let Ok(url) = Url::parse(&address) else {
            return wrong("it is not a URL such as https://vault.example:8200");
        };
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            return wrong("a URL with more than a host, a port and a path is refused");
        }
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return wrong("it does not start with https://"),
        };
        if is_plain && !is_loopback(&url) && !allows_http(variables)? {
            return wrong("http:// is only for this machine, unless VAULT_ALLOW_HTTP is true");
        }
        Ok(Self {
            address: url.as_str().trim_end_matches('/').to_owned(),
            namespace: namespace(variables)?,
            is_plain,
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    }
}

fn allows_http(variables: &Variables) -> Result<bool, CustodianError> {
    match read_variable(ALLOW_HTTP, variables)?
        .as_deref()
        .map(String::as_str)
    {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid_variable(ALLOW_HTTP, "it is true or false")),
    }
}

fn namespace(variables: &Variables) -> Result<Option<HeaderValue>, CustodianError> {
    let Some((name, namespace)) = first_set(&NAMESPACE, variables)? else {
        return Ok(None);
    };
    let is_name = is_path(namespace.trim_matches('/'));
    match HeaderValue::from_str(&namespace) {
        Ok(value) if is_name => Ok(Some(value)),
        _ => Err(invalid_variable(
            name,
            "it is not a path of letters, digits, dots, - and _",
        )),
    }
}

/// A variable that is set and not blank, trimmed.
pub(super) fn read_variable(
    name: &str,
    variables: &Variables,
) -> Result<Option<Zeroizing<String>>, CustodianError> {
    let value = variable(name, variables)?;
    Ok(value.map(|value| Zeroizing::new(value.trim().to_owned())))
}

/// A required variable.
pub(super) fn required(
    name: &str,
    variables: &Variables,
) -> Result<Zeroizing<String>, CustodianError> {
    read_variable(name, variables)?.ok_or_else(|| not_set(name))
}

/// The first of these variables that is set, and its name.
pub(super) fn first_set(
    names: &[&'static str],
    variables: &Variables,
) -> Result<Option<(&'static str, Zeroizing<String>)>, CustodianError> {
    for name in names {
        if let Some(value) = read_variable(name, variables)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

pub(super) fn not_set(variable: &str) -> CustodianError {
    CustodianError::NotSet {
        variable: variable.to_owned(),
    }
}

/// The error of a variable whose value cannot be used.
pub(super) fn invalid_variable(variable: &str, cause: &str) -> CustodianError {
    CustodianError::Variable {
        variable: variable.to_owned(),
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::custodian::variables;

    fn service(set: &[(&str, &str)]) -> Result<Service, CustodianError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let set: BTreeMap<_, _> = set.iter().map(owned).collect();
        Service::from_variables(&variables(move |name| set.get(name).cloned()))
    }

    #[test]
    fn a_key_is_named_by_its_mount_and_its_name() {
        for (text, path) in [
            ("transit/wax", "transit/decrypt/wax"),
            (
                "team/a/transit/wax-1_b.c",
                "team/a/transit/decrypt/wax-1_b.c",
            ),
        ] {
            let key = TransitKey::parse(text).unwrap();
            assert_eq!(key.path("decrypt"), path);
            assert_eq!(key.url(), format!("vault:{text}"));
        }
        for path in [
            "", "wax", "/wax", "transit/", "a//b", "./b", "a/..", "../a/b", "a b/c", "a/b?c",
            "a/b#c", "a/%2e", "ä/b", "a/b\n", "/a/b", "a/b/",
        ] {
            let error = TransitKey::parse(path).unwrap_err();
            assert!(matches!(error, CustodianError::Url { .. }), "{path}");
        }
        assert!(TransitKey::parse(&format!("a/{}", "b".repeat(MAX_URL_LEN))).is_err());
    }

    #[test]
    fn an_address_is_https_or_of_this_machine() {
        for (address, expected) in [
            ("https://vault.example:8200/", "https://vault.example:8200"),
            (
                "https://vault.example/behind/",
                "https://vault.example/behind",
            ),
            ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
            ("http://[::1]:8200", "http://[::1]:8200"),
            (" http://localhost \n", "http://localhost"),
        ] {
            let found = service(&[("VAULT_ADDR", address)]);
            assert_eq!(found.unwrap().address, expected);
        }
        for (address, word) in [
            ("vault.example", "not a URL"),
            ("vault.example:8200", "https://"),
            ("unix:///run/vault", "https://"),
            ("https://me@vault.example", "more than"),
            ("https://vault.example?a=b", "more than"),
            ("http://vault.example:8200", "VAULT_ALLOW_HTTP"),
            ("http://10.0.0.1", "VAULT_ALLOW_HTTP"),
            ("http://localhost.example", "VAULT_ALLOW_HTTP"),
            ("http://127.0.0.1.example", "VAULT_ALLOW_HTTP"),
        ] {
            let found = service(&[("BAO_ADDR", address)]);
            let error = found.unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("BAO_ADDR"),
                "{error}"
            );
        }
    }

    #[test]
    fn http_elsewhere_and_namespaces_have_to_be_asked_for() {
        let far = ("VAULT_ADDR", "http://vault.example");
        let allowed = service(&[far, ("VAULT_ALLOW_HTTP", "true")]);
        assert!(allowed.unwrap().is_plain);
        assert!(service(&[far, ("VAULT_ALLOW_HTTP", "false")]).is_err());
        assert!(service(&[far, ("VAULT_ALLOW_HTTP", "1")]).is_err());
        let near = ("VAULT_ADDR", "https://vault.example");
        assert_eq!(service(&[near]).unwrap().namespace, None);
        for name in ["team", "team/", "team/a"] {
            let found = service(&[near, ("BAO_NAMESPACE", name)]);
            assert_eq!(found.unwrap().namespace.unwrap(), name);
        }
        assert!(service(&[near, ("VAULT_NAMESPACE", "a\nb")]).is_err());
        assert_eq!(service(&[]).unwrap_err(), not_set("VAULT_ADDR"));
    }
}
