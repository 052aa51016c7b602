//! The inspection of a stored value: its format, key and binding, and the result of opening it. The value itself is
//! never part of an inspection.

use waxseal_core::{Binding, Defect, EnvelopeVersion, KeyId, OpenError, Sealer, Shape};

/// The format of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// No bytes.
    Empty,
    /// Plaintext.
    Plain,
    /// The classic format, under a key that opens it.
    Classic,
    /// Base64 of the form of the classic format that no key opens.
    PerhapsClassic,
    /// The sealed format.
    Sealed {
        /// True in its text form.
        armored: bool,
    },
    /// The sealed format with a defect.
    Malformed(Defect),
}

/// The kind of key that a value is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectedKey {
    /// A key of the keyring or of the environment.
    Ring,
    /// The key of a user.
    User,
    /// The key of a user that does not exist.
    UnknownUser,
    /// The destroyed key of an erased user.
    Erased,
}

/// The result of an inspection.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The format.
    pub format: StoredFormat,
    /// The key that the value is under, as far as it is known.
    pub key: Option<(KeyId, InspectedKey)>,
    /// True if the envelope is bound to its record.
    pub is_bound_to_record: bool,
    /// True if the envelope is bound to its field as well.
    pub is_bound_to_field: bool,
    /// True if the envelope is bound to a group in place of its record.
    pub is_bound_to_group: bool,
    /// The version of a sealed envelope.
    pub version: Option<EnvelopeVersion>,
    /// True if equal values have equal envelopes.
    pub is_deterministic: bool,
    /// The number of stored bytes.
    pub size: usize,
    /// The size of the opened value (`None`: there is no value), or the error.
    pub opened: Result<Option<usize>, OpenError>,
}

impl Inspection {
    /// Inspects stored bytes in the place of this binding.
    #[must_use]
    pub fn new(sealer: &Sealer, stored: &[u8], binding: Binding<'_>) -> Self {
        let opened = sealer.open(stored, binding);
        let shape = Shape::of(stored);
        let header = match shape {
            Shape::Sealed { header, .. } => Some(header),
            _ => None,
        };
        let opened_under = match &opened {
            Ok(Some(opened)) => opened.form.key(),
            _ => None,
        };
        let format = match shape {
            Shape::Empty => StoredFormat::Empty,
            Shape::Plain => StoredFormat::Plain,
            Shape::MaybeClassic if opened_under.is_some() => StoredFormat::Classic,
            Shape::MaybeClassic => StoredFormat::PerhapsClassic,
            Shape::Sealed { armored, .. } => StoredFormat::Sealed { armored },
            Shape::Malformed(defect) => StoredFormat::Malformed(defect),
        };
        let key = match &opened {
            Ok(Some(_)) => opened_under,
            _ => header.map(|header| header.key),
        };
        let is_of_user = header.is_some_and(|header| header.flags.per_user_key());
        let kind = match (&opened, is_of_user) {
            (Err(OpenError::Erased { .. }), _) => InspectedKey::Erased,
            (Err(OpenError::UnknownKey { .. }), true) => InspectedKey::UnknownUser,
            (_, true) => InspectedKey::User,
            (_, false) => InspectedKey::Ring,
        };
        Self {
            format,
            key: key.map(|id| (id, kind)),
            is_bound_to_record: header.is_some_and(|header| header.flags.bound_to_record()),
            is_bound_to_field: header.is_some_and(|header| header.flags.bound_to_field()),
            is_bound_to_group: header.is_some_and(|header| header.flags.bound_to_group()),
            version: header.map(|header| header.version),
            is_deterministic: header.is_some_and(|header| header.flags.deterministic()),
            size: stored.len(),
            opened: opened.map(|opened| opened.map(|it| it.value.len())),
        }
    }

    /// Describes the result of opening the value.
    #[must_use]
    pub fn describe_result(&self) -> String {
        let error = match self.opened {
            Ok(None) => return "none".to_owned(),
            Ok(Some(1)) => return "a value of 1 byte".to_owned(),
            Ok(Some(bytes)) => return format!("a value of {bytes} bytes"),
            Err(error) => error,
        };
        let causes = match (error, self.format) {
            (OpenError::Refused, StoredFormat::Sealed { .. }) => {
                ": damaged, tampered with, or sealed for another record, field, kind of value, group or domain"
            }
            (OpenError::Refused, StoredFormat::PerhapsClassic) => {
                ": damaged, or sealed under a key that is not configured, or never sealed"
            }
            (OpenError::Refused, _) => ": neither sealed nor what a plain value looks like here",
            _ => "",
        };
        format!("{error}{causes}")
    }
}

impl std::fmt::Display for StoredFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Plain => f.write_str("plain"),
            Self::Classic => f.write_str("classic"),
            Self::PerhapsClassic => f.write_str("Base64, perhaps classic"),
            Self::Sealed { .. } => f.write_str("sealed"),
            Self::Malformed(defect) => write!(f, "sealed, malformed ({defect})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxseal_core::{Format, Keyring, Mode, PlainValues};

    use super::*;

    const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn sealer(format: Format) -> Sealer {
        let keyring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
        Sealer::new(keyring, Mode::On, format).plain_values(PlainValues::Json)
    }

    fn record() -> Binding<'static> {
        Binding::record(b"wa:1")
    }

    #[test]
    fn a_sealed_value_shows_its_key_and_binding_and_not_itself() {
        let sealer = sealer(Format::Sealed);
        let stored = sealer.seal(b"{\"a\":1}", record()).unwrap();
        let inspection = Inspection::new(&sealer, &stored, record());
        assert_eq!(inspection.format, StoredFormat::Sealed { armored: false });
        let sealing = sealer.sealing_id().unwrap();
        assert_eq!(inspection.key, Some((sealing, InspectedKey::Ring)));
        assert!(inspection.is_bound_to_record && !inspection.is_bound_to_field);
        assert_eq!(inspection.version, Some(EnvelopeVersion::V2));
        assert!(!inspection.is_bound_to_group && !inspection.is_deterministic);
        assert_eq!(inspection.size, stored.len());
        assert_eq!(inspection.describe_result(), "a value of 7 bytes");
    }

    #[test]
    fn a_value_of_version_3_shows_its_group_and_that_it_is_deterministic() {
        let version = EnvelopeVersion::V3;
        let sealer = sealer(Format::Sealed).rules(waxseal_core::EnvelopeRules {
            write: version,
            accept: version,
        });
        let place = Binding::element(b"wa:1").in_group(b"bots", true);
        let stored = sealer.seal_deterministic(b"{}", place).unwrap();
        let inspection = Inspection::new(&sealer, &stored, place);
        assert_eq!(inspection.version, Some(version));
        assert!(inspection.is_bound_to_group && inspection.is_deterministic);
        assert!(!inspection.is_bound_to_record);
        assert_eq!(inspection.describe_result(), "a value of 2 bytes");
    }

    #[test]
    fn a_value_of_another_record_is_refused_with_the_possible_causes() {
        let sealer = sealer(Format::Sealed);
        let stored = sealer.seal(b"{\"a\":1}", record()).unwrap();
        let inspection = Inspection::new(&sealer, &stored, Binding::record(b"wa:2"));
        assert_eq!(inspection.opened, Err(OpenError::Refused));
        let result = inspection.describe_result();
        assert!(result.contains("sealed for another record"), "{result}");
    }

    #[test]
    fn formats_are_recognized() {
        let sealer = sealer(Format::Classic);
        let classic = sealer.seal(b"{\"a\":1}", record()).unwrap();
        let format = |stored: &[u8]| {
            Inspection::new(&sealer, stored, record())
                .format
                .to_string()
        };
        assert_eq!(format(&classic), "classic");
        assert_eq!(format(b""), "empty");
        assert_eq!(format(b"{\"a\":1}"), "plain");
        let mut damaged = classic.clone();
        let last = damaged.len() - 5;
        damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
        assert_eq!(format(&damaged), "Base64, perhaps classic");
        assert_eq!(
            Inspection::new(&sealer, b"", record()).describe_result(),
            "none"
        );
    }
}
