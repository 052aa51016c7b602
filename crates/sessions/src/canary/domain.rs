//! The value of the canary, and the domain that it records. Values of version 3 are bound to a domain: a process with
//! another one could not open them. With a keyring the domain is the ring's environment, which the ring itself guards;
//! without one the canary records it.

use waxseal_core::{EnvelopeVersion, Sealer};

use super::Canary;
use crate::error::GuardError;

/// The value of a canary that records no domain.
const BARE: &[u8] = b"waxseal canary v1";
/// The beginning of the value of one that does. The domain follows.
const WITH_DOMAIN: &[u8] = b"waxseal canary v2\n";

/// The value of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanaryValue {
    domain: Option<Vec<u8>>,
}

impl CanaryValue {
    /// Parses the opened value; `None` if it is something else.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let domain = match value.strip_prefix(WITH_DOMAIN) {
            Some(domain) => Some(domain.to_vec()),
            None if value == BARE => None,
            None => return None,
        };
        Some(Self { domain })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match &self.domain {
            Some(domain) => [WITH_DOMAIN, domain].concat(),
            None => BARE.to_vec(),
        }
    }

    pub(super) fn records_domain(&self) -> bool {
        self.domain.is_some()
    }

    /// Refuses a canary that records another domain than the one of this process.
    pub(super) fn check_domain(&self, sealer: &Sealer) -> Result<(), GuardError> {
        let Some(recorded) = &self.domain else {
            return Ok(());
        };
        let configured = domain(sealer);
        match *recorded == configured {
            true => Ok(()),
            false => Err(GuardError::OtherDomain {
                recorded: shown(recorded),
                configured: shown(&configured),
            }),
        }
    }
}

impl Canary {
    /// True if the canary must record the domain: without a ring, if there is one, or if values are bound to it.
    #[must_use]
    pub fn must_record_domain(&self, sealer: &Sealer) -> bool {
        let is_bound = sealer.written_version() >= EnvelopeVersion::V3;
        self.ring.is_none() && (is_bound || !domain(sealer).is_empty())
    }

    /// The value of a new canary.
    pub(super) fn value(&self, sealer: &Sealer) -> CanaryValue {
        let must_record = self.must_record_domain(sealer);
        CanaryValue {
            domain: must_record.then(|| domain(sealer)),
        }
    }
}

fn domain(sealer: &Sealer) -> Vec<u8> {
    let keyring = sealer.keyring();
    keyring.map_or_else(Vec::new, |keyring| keyring.domain().to_vec())
}

/// A domain as a text names it.
fn shown(domain: &[u8]) -> String {
    match domain.is_empty() {
        true => "no domain".to_owned(),
        false => format!("the domain \"{}\"", String::from_utf8_lossy(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_parsed_as_written() {
        for domain in [None, Some(Vec::new()), Some(b"production".to_vec())] {
            let value = CanaryValue { domain };
            assert_eq!(CanaryValue::parse(&value.to_bytes()), Some(value));
        }
        for other in [&b""[..], b"waxseal canary v1\n", b"waxseal canary v2", b"x"] {
            assert_eq!(CanaryValue::parse(other), None);
        }
    }
}
