//! PKCS#11 URIs (RFC 7512): the token and the key, and how this machine reaches them. The part
//! before the question mark is the same everywhere and is stored in the keyring; the part after it
//! applies to this machine alone.

use std::fmt;

use crate::custodian::CustodianError;
use crate::custodian::CustodianScheme;

/// Attributes that identify a token, a slot or a key, in the order in which they are written.
const NAMES: [&str; 9] = [
    "token",
    "manufacturer",
    "model",
    "serial",
    "slot-id",
    "slot-description",
    "object",
    "id",
    "type",
];
/// Characters of an attribute's value that need no escape (RFC 7512, 2.3, except those that would
/// need quoting in a shell or in a list).
const PLAIN: &[u8] = b"-._~:[]@!$'()*+,=&/";

/// A PKCS#11 URI that names an AES key.
///
/// ```
/// # use waxseal_keys::Pkcs11Uri;
/// let uri = Pkcs11Uri::parse("pkcs11:object=ring;token=waxseal?module-path=/usr/lib/hsm.so").unwrap();
/// assert_eq!(uri.to_string(), "pkcs11:token=waxseal;object=ring");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The values of `NAMES`, as bytes.
    values: [Option<Vec<u8>>; NAMES.len()],
    pub(super) module: Option<String>,
    pub(super) pin: Option<PinSource>,
}

/// The source of a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PinSource {
    File(String),
    Variable(String),
}

impl Pkcs11Uri {
    /// Parses a URI. Unknown attributes are refused: one that was meant to narrow the choice must
    /// not be ignored. So is a PIN in the URI itself.
    pub fn parse(url: &str) -> Result<Self, CustodianError> {
        let Some((CustodianScheme::Pkcs11, attributes)) = CustodianScheme::split(url) else {
            return Err(malformed("it starts with pkcs11:"));
        };
        let (path, query) = attributes.split_once('?').unwrap_or((attributes, ""));
        let mut this = Self::default();
        for attribute in path.split(';').filter(|it| !it.is_empty()) {
            this.name(attribute)?;
        }
        for attribute in query.split('&').filter(|it| !it.is_empty()) {
            this.way(attribute)?;
        }
        if this.value("object").is_none() && this.value("id").is_none() {
            return Err(malformed(
                "it names no key: object=NAME or id=%01… is missing",
            ));
        }
        if this.value("type").is_some_and(|it| it != b"secret-key") {
            return Err(malformed("type can only be secret-key"));
        }
        if this.value("slot-id").is_some() && this.slot().is_none() {
            return Err(malformed("slot-id is not a number"));
        }
        Ok(this)
    }

    /// Parses a part that identifies the token or the key.
    fn name(&mut self, attribute: &str) -> Result<(), CustodianError> {
        let (name, value) = attribute
            .split_once('=')
            .ok_or_else(|| malformed("an attribute is written name=value"))?;
        let known = NAMES.iter().position(|known| *known == name);
        let place = known.and_then(|known| self.values.get_mut(known));
        let Some(place) = place else {
            return Err(malformed(&format!("unknown attribute {}", shown(name))));
        };
        if place.is_some() {
            return Err(malformed(&format!("{name} is repeated")));
        }
        *place = Some(unescape(value).ok_or_else(|| malformed("a % escape is broken"))?);
        Ok(())
    }

    /// Parses a part that says how this machine reaches it.
    fn way(&mut self, attribute: &str) -> Result<(), CustodianError> {
        let (name, value) = attribute
            .split_once('=')
            .ok_or_else(|| malformed("an attribute is written name=value"))?;
        let text = || {
            let value = unescape(value).and_then(|value| String::from_utf8(value).ok());
            value.ok_or_else(|| malformed("a % escape is broken"))
        };
        match name {
            "module-path" if self.module.is_none() => self.module = Some(text()?),
            "pin-source" if self.pin.is_none() => self.pin = Some(PinSource::parse(&text()?)?),
            "module-path" | "pin-source" => {
                return Err(malformed(&format!("{name} is repeated")));
            }
            "pin-value" => {
                return Err(malformed(
                    "a PIN is never given in a URL: use pin-source=file:PATH, or the variable PKCS11_PIN",
                ));
            }
            "module-name" => {
                return Err(malformed("module-name is not supported: give module-path"));
            }
            other => {
                return Err(malformed(&format!("unknown attribute {}", shown(other))));
            }
        }
        Ok(())
    }

    /// The requested value of an attribute.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let place = NAMES.iter().position(|known| *known == name)?;
        self.values.get(place)?.as_deref()
    }

    /// True if a token's text matches the requested attribute, if there is one.
    pub(super) fn allows(&self, name: &str, found: &str) -> bool {
        let asked = self.value(name);
        // The standard pads these texts with blanks.
        asked.is_none_or(|asked| asked == found.trim_end_matches([' ', '\0']).as_bytes())
    }

    /// The requested slot.
    pub(super) fn slot(&self) -> Option<u64> {
        std::str::from_utf8(self.value("slot-id")?)
            .ok()?
            .parse()
            .ok()
    }
}

impl PinSource {
    fn parse(text: &str) -> Result<Self, CustodianError> {
        let path = text.strip_prefix("file:");
        let path = path.map(|path| path.strip_prefix("//").unwrap_or(path));
        match (path, text.strip_prefix("env:")) {
            (Some(path), _) => Ok(Self::File(path.to_owned())),
            (None, Some(name)) => Ok(Self::Variable(name.to_owned())),
            (None, None) if text.starts_with('/') => Ok(Self::File(text.to_owned())),
            (None, None) => Err(malformed("pin-source is file:PATH or env:NAME")),
        }
    }
}

/// Without the part that applies to this machine alone.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", CustodianScheme::Pkcs11)?;
        let set = NAMES.iter().zip(&self.values);
        let set = set.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in set.enumerate() {
            if index > 0 {
                f.write_str(";")?;
            }
            write!(f, "{name}=")?;
            for byte in value {
                match *byte {
                    // An id is bytes: escaped throughout, as RFC 7512 recommends.
                    byte if *name != "id" && is_plain(byte) => write!(f, "{}", char::from(byte))?,
                    byte => write!(f, "%{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || PLAIN.contains(&byte)
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut nibble = || waxseal_core::hex::nibble(bytes.next()?);
                nibble()? << 4 | nibble()?
            }
            byte => byte,
        });
    }
    Some(plain)
}

/// Untrusted text, as a message may show it.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn malformed(cause: &str) -> CustodianError {
    CustodianError::Url {
        scheme: CustodianScheme::Pkcs11,
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(url: &str) -> String {
        match Pkcs11Uri::parse(url) {
            Err(CustodianError::Url { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_key_has_one_url_however_it_is_written() {
        let ways = [
            "pkcs11:token=The%20Ring;object=kek;type=secret-key",
            "pkcs11:object=kek;type=secret-key;token=%54he%20Ring",
            "pkcs11:type=secret-key;object=kek;token=The Ring?module-path=/m.so&pin-source=file:/p",
        ];
        for way in ways {
            let uri = Pkcs11Uri::parse(way).unwrap();
            let url = "pkcs11:token=The%20Ring;object=kek;type=secret-key";
            assert_eq!(uri.to_string(), url);
            assert_eq!(Pkcs11Uri::parse(url).unwrap().values, uri.values);
        }
        let id = Pkcs11Uri::parse("pkcs11:id=%0a%ff;slot-id=3").unwrap();
        assert_eq!(id.to_string(), "pkcs11:slot-id=3;id=%0A%FF");
        assert_eq!(id.value("id"), Some(&[0x0a, 0xff][..]));
        assert_eq!(id.slot(), Some(3));
    }

    #[test]
    fn tells_the_way_of_this_machine_and_does_not_write_it_out() {
        let uri =
            Pkcs11Uri::parse("pkcs11:object=k?pin-source=env:PIN&module-path=/a%20b.so").unwrap();
        assert_eq!(uri.module.as_deref(), Some("/a b.so"));
        assert_eq!(uri.pin, Some(PinSource::Variable("PIN".to_owned())));
        assert_eq!(uri.to_string(), "pkcs11:object=k");
        let file = Pkcs11Uri::parse("pkcs11:object=k?pin-source=file:///run/pin").unwrap();
        assert_eq!(file.pin, Some(PinSource::File("/run/pin".to_owned())));
    }

    #[test]
    fn refuses_a_pin_and_whatever_it_does_not_know_and_repeats_no_value() {
        let text = cause("pkcs11:object=k?pin-value=123456");
        assert!(
            text.contains("pin-source") && !text.contains("123456"),
            "{text}"
        );
        assert!(cause("pkcs11:token=t").contains("names no key"));
        assert!(cause("pkcs11:objekt=k").contains("unknown attribute objekt"));
        assert!(cause("pkcs11:object=k?x-y=1").contains("unknown attribute x-y"));
        assert!(cause("pkcs11:object=k;object=l").contains("repeated"));
        assert!(cause("pkcs11:object=%4").contains("escape"));
        assert!(cause("pkcs11:object=%zz").contains("escape"));
        assert!(cause("pkcs11:object=k;type=private").contains("secret-key"));
        assert!(cause("pkcs11:object=k;slot-id=x").contains("number"));
        assert!(cause("pkcs11:object=k?module-name=softhsm").contains("module-path"));
        assert!(cause("pkcs11:object").contains("name=value"));
    }

    #[test]
    fn texts_of_tokens_are_compared_without_their_padding() {
        let uri = Pkcs11Uri::parse("pkcs11:token=ring;object=k").unwrap();
        assert!(uri.allows("token", "ring      "));
        assert!(!uri.allows("token", "ring 2"));
        assert!(uri.allows("serial", "anything"));
    }
}
