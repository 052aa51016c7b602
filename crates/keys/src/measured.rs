//! What became of values, in the words of metrics: the results of a sealer on one side, words without
//! any name or id on the other. Counts nothing itself.

use std::borrow::Cow;

use waxseal_core::{Form, OpenError, Opened, SealError, Sealer, Shape, fingerprint};
use waxseal_metrics::{Format, Opening, Sealing};

/// What a key is called in metrics: the beginning of a fingerprint of its id, never the id, which is in
/// each value.
#[must_use]
pub fn key_name(id: u32) -> String {
    let mut name = fingerprint("waxseal key id in metrics", &id.to_be_bytes());
    name.truncate(8);
    name
}

/// What came of a value that this sealer was to seal.
#[must_use]
pub fn sealing(sealed: &Result<Cow<'_, [u8]>, SealError>, sealer: &Sealer) -> Sealing {
    match sealed {
        Ok(Cow::Borrowed(_)) => Sealing::Left,
        Ok(Cow::Owned(stored)) => match Shape::of_header(stored) {
            Some(header) if header.flags.per_user_key() => Sealing::OfUser,
            Some(header) => Sealing::Done(Format::Sealed, header.key.to_u32()),
            None => sealer.sealing_id().map_or(Sealing::Other, |id| {
                Sealing::Done(Format::Classic, id.to_u32())
            }),
        },
        Err(SealError::NoKey) => Sealing::NoKey,
        Err(SealError::KeyExhausted { .. }) => Sealing::KeyExhausted,
        Err(SealError::TooLong) => Sealing::TooLong,
        Err(SealError::Erased) => Sealing::Erased,
        Err(_) => Sealing::Other,
    }
}

/// What came of stored bytes that were to be opened. `None` where there was no value.
#[must_use]
pub fn opening(stored: &[u8], opened: &Result<Option<Opened<'_>>, OpenError>) -> Option<Opening> {
    let header = || Shape::of_header(stored);
    let of_user = || header().is_some_and(|header| header.flags.per_user_key());
    Some(match opened {
        Ok(None) => return None,
        Ok(Some(opened)) => match opened.form {
            Form::Plain => Opening::Plain,
            Form::Classic { key } => Opening::Done(Format::Classic, key.to_u32()),
            Form::Sealed { .. } if of_user() => Opening::OfUser,
            Form::Sealed { key, .. } => Opening::Done(Format::Sealed, key.to_u32()),
        },
        Err(OpenError::Refused) => match header() {
            Some(header) if header.flags.per_user_key() => Opening::RefusedOfUser,
            // The ring holds it: else it were unknown.
            Some(header) => Opening::Refused(header.key.to_u32()),
            None => Opening::RefusedUnnamed,
        },
        Err(OpenError::UnknownKey { .. }) if of_user() => Opening::UnknownKeyOfUser,
        Err(OpenError::UnknownKey { .. }) => Opening::UnknownKey,
        Err(OpenError::Compromised { .. }) => Opening::Compromised,
        Err(OpenError::Plaintext) => Opening::Plaintext,
        Err(OpenError::Malformed(_)) => Opening::Malformed,
        Err(OpenError::Erased { .. }) => Opening::Erased,
        Err(_) => Opening::Other,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxseal_core::{Binding, Keyring, Mode, SecretKey};

    use super::*;

    fn keyring(keys: [&SecretKey; 1]) -> Arc<Keyring> {
        Arc::new(Keyring::from_hex(&keys[0].expose_hex(), "").unwrap())
    }

    #[test]
    fn a_value_is_counted_under_the_format_and_key_that_it_is_in() {
        let (key, other) = (
            SecretKey::generate().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let id = key.id().to_u32();
        for (word, format) in [
            (Format::Classic, waxseal_core::Format::Classic),
            (Format::Sealed, waxseal_core::Format::Sealed),
        ] {
            let sealer = Sealer::new(keyring([&key]), Mode::Required, format);
            let place = Binding::record(b"wa:1");
            let sealed = sealer.to_store(b"{}", place);
            assert_eq!(sealing(&sealed, &sealer), Sealing::Done(word, id));
            let stored = sealed.unwrap().into_owned();
            let opened = |sealer: &Sealer, stored: &[u8], name: &[u8]| {
                opening(stored, &sealer.open(stored, Binding::record(name)))
            };
            assert_eq!(
                opened(&sealer, &stored, b"wa:1"),
                Some(Opening::Done(word, id))
            );
            assert_eq!(opened(&sealer, b"{}", b"wa:1"), Some(Opening::Plaintext));
            assert_eq!(opened(&sealer, b"", b"wa:1"), None);
            let stranger = Sealer::new(keyring([&other]), Mode::Required, format);
            let (moved, unknown) = match word {
                Format::Classic => (Opening::Done(word, id), Opening::RefusedUnnamed),
                Format::Sealed => (Opening::Refused(id), Opening::UnknownKey),
            };
            assert_eq!(opened(&sealer, &stored, b"wa:2"), Some(moved));
            assert_eq!(opened(&stranger, &stored, b"wa:1"), Some(unknown));
        }
        let off = Sealer::new(keyring([&key]), Mode::Off, waxseal_core::Format::Classic);
        let left = off.to_store(b"{}", Binding::record(b"wa:1"));
        assert_eq!(sealing(&left, &off), Sealing::Left);
        assert_eq!(
            opening(b"{}", &off.open(b"{}", Binding::record(b"wa:1"))),
            Some(Opening::Plain)
        );
    }

    #[test]
    fn the_name_of_a_key_is_not_its_id() {
        let name = key_name(0x1234_5678);
        assert_eq!(name.len(), 8);
        assert_ne!(name, "12345678");
        assert_ne!(name, key_name(0x1234_5679));
    }
}
