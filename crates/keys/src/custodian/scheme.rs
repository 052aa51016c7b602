//! The kinds of custodians, by the scheme of their URLs. Everything that depends on the kind derives
//! from this enum: opening, errors, labels of metrics, and what a text may show of a URL.

use std::fmt;

use super::{DEFAULT_VARIABLE, is_variable};

/// A kind of custodian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CustodianScheme {
    /// The key-encryption key is in a variable of the environment.
    Env,
    /// The key-encryption key is in a file.
    File,
    /// The key-encryption key is in a hardware security module (RFC 7512).
    Pkcs11,
    /// The key-encryption key is in AWS KMS.
    AwsKms,
    /// The key-encryption key is in the transit engine of Vault or OpenBao.
    Vault,
}

impl CustodianScheme {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Env,
        Self::File,
        Self::Pkcs11,
        Self::AwsKms,
        Self::Vault,
    ];

    /// The scheme as a URL has it, without the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Pkcs11 => "pkcs11",
            Self::AwsKms => "awskms",
            Self::Vault => "vault",
        }
    }

    /// The form of its URLs, for documentation.
    #[must_use]
    pub const fn syntax(self) -> &'static str {
        match self {
            Self::Env => "env:NAME",
            Self::File => "file:PATH",
            Self::Pkcs11 => "pkcs11:…",
            Self::AwsKms => "awskms:ARN",
            Self::Vault => "vault:MOUNT/KEY",
        }
    }

    /// The Cargo feature that it needs: of this crate, of `waxseal` and of the command line alike.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Env | Self::File => None,
            Self::Pkcs11 | Self::AwsKms | Self::Vault => Some(self.as_str()),
        }
    }

    /// True if the key-encryption key is in the process itself.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Env | Self::File)
    }

    /// The scheme of a URL, and what follows the colon; `None` for an unknown scheme.
    #[must_use]
    pub fn split(url: &str) -> Option<(Self, &str)> {
        let (scheme, tail) = url.split_once(':')?;
        let known = Self::ALL.into_iter();
        let mut known = known.filter(|known| known.as_str() == scheme);
        known.next().map(|known| (known, tail))
    }

    /// The scheme of a URL; `None` for an unknown one.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        Self::split(url).map(|(scheme, _)| scheme)
    }

    /// The URL of this scheme with this tail.
    #[must_use]
    pub fn url(self, tail: impl fmt::Display) -> String {
        format!("{self}:{tail}")
    }

    /// The URL of the custodian that is used where none is configured.
    #[must_use]
    pub fn default_url() -> String {
        Self::Env.url(DEFAULT_VARIABLE)
    }

    /// The part of a URL that any text may show: all of `env:NAME`, and of the others only the scheme,
    /// since a PIN may follow. `None` for an unknown scheme: the text may be a secret in the wrong place.
    #[must_use]
    pub fn redacted(url: &str) -> Option<String> {
        match Self::split(url)? {
            (Self::Env, name) if is_variable(name) => Some(url.to_owned()),
            (scheme, _) => Some(scheme.url('…')),
        }
    }

    /// All prefixes of URLs, for an error: `env:, file:, pkcs11:, awskms: or vault:`.
    pub(crate) fn prefixes() -> String {
        let [first @ .., last] = Self::ALL.map(|scheme| scheme.url(""));
        format!("{} or {last}", first.join(", "))
    }
}

impl fmt::Display for CustodianScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_recognised_in_its_own_syntax_and_nothing_else_is() {
        for scheme in CustodianScheme::ALL {
            assert_eq!(CustodianScheme::of(scheme.syntax()), Some(scheme));
        }
        for text in ["", "env", "ENV:K", "envx:K", "http://h", "0a5be2d94738"] {
            assert_eq!(CustodianScheme::of(text), None, "{text}");
        }
        let prefixes = "env:, file:, pkcs11:, awskms: or vault:";
        assert_eq!(CustodianScheme::prefixes(), prefixes);
    }

    #[test]
    fn the_documentation_lists_every_scheme() {
        let path = "/../../docs/keys/custodians/README.md";
        let page = std::fs::read_to_string(env!("CARGO_MANIFEST_DIR").to_owned() + path).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows.filter_map(|row| row.split_once("` | in ")).collect();
        let known = CustodianScheme::ALL.map(CustodianScheme::syntax);
        assert!(documented.iter().map(|(syntax, _)| *syntax).eq(known));
        for (scheme, (_, row)) in CustodianScheme::ALL.into_iter().zip(documented) {
            let never_leaves = row.contains("| yes |");
            assert_eq!(never_leaves, !scheme.is_local(), "{scheme}");
        }
    }

    #[test]
    fn a_redacted_url_shows_no_secret() {
        for (url, shown) in [
            ("env:KEK", Some("env:KEK")),
            ("env:", Some("env:…")),
            ("env:0a5be2d94738", Some("env:…")),
            ("file:/etc/key", Some("file:…")),
            ("pkcs11:token=a?pin-value=1234", Some("pkcs11:…")),
            ("0a5be2d94738", None),
            ("0a5be2d94738:x", None),
        ] {
            let redacted = CustodianScheme::redacted(url);
            assert_eq!(redacted.as_deref(), shown, "{url}");
        }
    }

    #[test]
    fn every_scheme_is_a_label_value_of_the_metrics_of_custodians() {
        let metric = waxseal_metrics::TABLE
            .iter()
            .find(|it| it.name == "waxseal_custodian_calls_total")
            .unwrap();
        for scheme in CustodianScheme::ALL.map(CustodianScheme::as_str) {
            assert!(metric.allows("scheme", scheme), "{scheme}");
        }
        assert!(metric.allows("scheme", "other") && !metric.allows("scheme", "another"));
    }
}
