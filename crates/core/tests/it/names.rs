//! Sealed names of records: their form, what opens and what does not, and the keys that they are under.

mod damaged;
mod keys;

use std::sync::Arc;

use waxseal_core::{
    Keyring, NameError, NamePrefix, NameSealer, PadNames, PreparedNames, SealError, SecretKey,
};
use waxseal_topology::{slot, tag_of};

use crate::KEY;
use crate::oracle::{Keys, Place, unhex};

/// The key and the domain of the worked examples in `docs/reference/formats.md`.
const DOCUMENTED: &str = "8f1d6a2c4b7e9035d1c6f8a20e5b3974a6c2e8f01b4d7953c0a1e6f28d5b3947";
const NAME: &[u8] = b"wa:5215512345678";

fn ring() -> Keyring {
    let ring = Keyring::from_hex(KEY, "").unwrap();
    ring.with_domain(*b"production")
}

fn pad(multiple: u16) -> PadNames {
    PadNames::new(multiple).unwrap()
}

fn names(ring: Keyring, prefix: NamePrefix) -> PreparedNames {
    NameSealer::new(Arc::new(ring), vec![prefix]).load()
}

fn plain_prefix(prefix: &[u8]) -> NamePrefix {
    NamePrefix::new(prefix, PadNames::default())
}

fn on_cluster(prefix: &[u8]) -> NamePrefix {
    plain_prefix(prefix).on_cluster().unwrap()
}

fn sealed(names: &PreparedNames, form: usize, name: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    names.seal(0, form, name, &mut stored).unwrap();
    stored
}

fn opened(names: &PreparedNames, stored: &[u8]) -> Result<Vec<u8>, NameError> {
    // What is there already stays.
    let mut out = b"before".to_vec();
    let result = names.open(0, stored, &mut out);
    let (before, name) = out.split_at(6);
    assert_eq!(before, b"before");
    assert!(result.is_ok() || name.is_empty());
    result.map(|_| name.to_vec())
}

#[test]
fn the_vectors_hold() {
    let vector = |prefix: NamePrefix, domain: &'static [u8], name: &[u8], stored: &str| {
        let ring = Keyring::from_hex(DOCUMENTED, "").unwrap();
        let names = names(ring.with_domain(domain), prefix);
        assert_eq!(sealed(&names, 0, name), stored.as_bytes());
        assert_eq!(opened(&names, stored.as_bytes()).unwrap(), name);
    };
    let domain = b"production";
    let first = "9VcDERRe2pu4nc2ODaTe9rcpupgZwW4RLvwo--C16mdxMXyn_Ts";
    vector(plain_prefix(b"wa:"), domain, NAME, &format!("wa:~{first}"));
    let tagged = format!("wa:~{{0cV}}{first}");
    vector(on_cluster(b"wa:"), domain, NAME, &tagged);
    let padded = "wa:~9VcDERRe2pupv_ORc8Re1mzFwsNMCCu10NSLmtD2TpBAtpRx5koFbw";
    let prefix = NamePrefix::new(*b"wa:", pad(16));
    vector(prefix, domain, NAME, padded);
    let of_nothing = "wa:~9VcDERRe2psow-5KdG45TsoZt_Ap1Kd3aQ";
    vector(plain_prefix(b"wa:"), domain, b"wa:", of_nothing);
    let of_all = "~9VcDERRe2pv8J_471ONAZlRgvDoNQjn4uYKQ9h6PYQ";
    vector(plain_prefix(b""), b"", b"sess:1", of_all);
}

#[test]
fn names_of_every_length_are_sealed_as_the_second_implementation_does() {
    let id = SecretKey::from_hex(KEY).ok().unwrap().id();
    let id = id.to_u32().to_be_bytes();
    let oracle = Keys {
        data: vec![(id, unhex(KEY).try_into().unwrap())],
        domain: b"production".to_vec(),
        ..Keys::default()
    };
    let place = Place {
        kind: 7,
        record: Some("wa:"),
        group: None,
        field: None,
    };
    let [a, b, c, d] = id;
    for multiple in [1, 16, 64] {
        let prefix = NamePrefix::new(*b"wa:", pad(multiple));
        let cluster = names(ring(), prefix.clone().on_cluster().unwrap());
        let names = names(ring(), prefix);
        for len in 0..=300 {
            let rest: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
            let name = [b"wa:", &rest[..]].concat();
            let mut text = [&rest[..], &[0x80]].concat();
            text.resize(text.len().next_multiple_of(multiple.into()), 0);
            let header = [0xf5, 0x57, 3, 0x11, a, b, c, d];
            let (envelope, _) = oracle.seal(header, None, place, &text);
            let envelope = base64_simd::URL_SAFE_NO_PAD.encode_to_string(envelope);
            let stored = format!("wa:~{envelope}");
            assert_eq!(sealed(&names, 0, &name), stored.as_bytes(), "{len}");
            assert_eq!(opened(&names, stored.as_bytes()).unwrap(), name, "{len}");
            let tag = String::from_utf8(tag_of(slot(&name)).to_vec()).unwrap();
            let stored = format!("wa:~{{{tag}}}{envelope}");
            assert_eq!(slot(stored.as_bytes()), slot(&name));
            assert_eq!(sealed(&cluster, 0, &name), stored.as_bytes(), "{len}");
            assert_eq!(opened(&cluster, stored.as_bytes()).unwrap(), name, "{len}");
        }
    }
}

#[test]
fn all_bytes_can_be_in_a_name_and_a_sealed_name_is_sealed_like_any_other() {
    let names = names(ring(), plain_prefix(b"wa:"));
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let twice = sealed(&names, 0, NAME);
    for name in [
        &[b"wa:", &all[..]].concat()[..],
        b"wa:\x80",
        b"wa:\0",
        &twice,
    ] {
        let stored = sealed(&names, 0, name);
        assert_eq!(opened(&names, &stored).unwrap(), name);
        let is_text = |byte: &u8| byte.is_ascii_graphic();
        assert!(stored.iter().all(is_text), "{stored:?}");
    }
}

#[test]
fn a_name_that_cannot_be_sealed_is_refused() {
    let names = names(ring(), plain_prefix(b"wa:"));
    let refused = |prefix, form, name: &[u8]| {
        let mut out = b"before".to_vec();
        let error = names.seal(prefix, form, name, &mut out).err();
        assert_eq!(out, b"before");
        error.unwrap()
    };
    assert_eq!(refused(0, 0, b"wb:1"), SealError::OtherPrefix);
    assert_eq!(refused(0, 0, b"wa"), SealError::OtherPrefix);
    assert_eq!(refused(1, 0, NAME), SealError::OtherPrefix);
    assert_eq!(refused(0, 1, NAME), SealError::NoKey);
    let longest = [b"wa:", &vec![b'n'; 65_533][..]].concat();
    let too_long = [&longest[..], b"n"].concat();
    assert_eq!(refused(0, 0, &too_long), SealError::TooLong);
    let stored = sealed(&names, 0, &longest);
    assert_eq!(opened(&names, &stored).unwrap(), longest);
    assert_eq!(names.forms(0), 1);
    assert_eq!(names.forms(1), 0);
}

#[test]
fn padding_is_from_1_to_256_and_hides_lengths() {
    assert_eq!(PadNames::new(0), None);
    assert_eq!(PadNames::new(257), None);
    assert_eq!(PadNames::new(256).map(PadNames::get), Some(256));
    assert_eq!(PadNames::default().get(), 1);
    let names = names(ring(), NamePrefix::new(*b"wa:", pad(16)));
    let len = |rest: usize| sealed(&names, 0, &[b"wa:", &vec![b'1'; rest][..]].concat()).len();
    assert!((0..16).all(|rest| len(rest) == len(0)));
    assert!(len(16) > len(15));
}

#[test]
fn names_of_the_former_padding_are_found_and_not_written() {
    let former = names(ring(), plain_prefix(b"wa:"));
    let prefix = NamePrefix::new(*b"wa:", pad(16));
    let strict = names(ring(), prefix.clone());
    let both = names(ring(), prefix.with_former_pad(pad(1)));
    assert_eq!((strict.forms(0), both.forms(0)), (1, 2));
    assert_eq!(sealed(&both, 0, NAME), sealed(&strict, 0, NAME));
    assert_eq!(sealed(&both, 1, NAME), sealed(&former, 0, NAME));
    let of_former = sealed(&former, 0, NAME);
    assert_eq!(opened(&both, &of_former).unwrap(), NAME);
    assert_eq!(opened(&strict, &of_former), Err(NameError::OtherPadding));
    let of_strict = sealed(&strict, 0, NAME);
    assert_eq!(opened(&former, &of_strict), Err(NameError::OtherPadding));
    // Where both have the same form, it is one of both.
    let fits = b"wa:fifteen letters";
    assert_eq!(sealed(&former, 0, fits), sealed(&strict, 0, fits));
    assert_eq!(opened(&strict, &sealed(&former, 0, fits)).unwrap(), fits);
    let same = NamePrefix::new(*b"wa:", pad(16)).with_former_pad(pad(16));
    assert_eq!(names(ring(), same).forms(0), 1);
}

#[test]
fn on_a_cluster_stored_names_stay_in_their_slot() {
    for prefix in [&b"wa:"[..], b"", b"a}b", b"bull:{q}:"] {
        let names = names(ring(), on_cluster(prefix));
        for rest in ["5215512345678", "", "{tag}", "a{}b", "}x{", "~{000}"] {
            let name = [prefix, rest.as_bytes()].concat();
            let stored = sealed(&names, 0, &name);
            assert_eq!(slot(&stored), slot(&name), "{name:?}");
            assert_eq!(opened(&names, &stored).unwrap(), name);
        }
    }
    // With a tag in the prefix there is no other.
    let in_prefix = names(ring(), on_cluster(b"bull:{q}:"));
    assert!(sealed(&in_prefix, 0, b"bull:{q}:1").starts_with(b"bull:{q}:~9VcDE"));
    for impossible in [&b"a{"[..], b"a{}", b"{}{b}"] {
        assert_eq!(plain_prefix(impossible).on_cluster(), None);
        let elsewhere = names(ring(), plain_prefix(impossible));
        let name = [impossible, b"}1"].concat();
        assert_eq!(
            opened(&elsewhere, &sealed(&elsewhere, 0, &name)).unwrap(),
            name
        );
    }
}

#[test]
fn sealed_names_are_recognized_without_a_key() {
    let id = SecretKey::from_hex(KEY).ok().unwrap().id();
    for prefix in [plain_prefix(b"wa:"), on_cluster(b"wa:")] {
        let stored = sealed(&names(ring(), prefix), 0, NAME);
        assert!(PreparedNames::may_be_sealed(b"wa:", &stored));
        assert!(!PreparedNames::may_be_sealed(b"wb:", &stored));
        assert!(!PreparedNames::may_be_sealed(b"", &stored));
        assert_eq!(PreparedNames::key_of(&stored[3..]), Some(id));
        // Without the key's id in it.
        let short = &stored[3..stored.len() - 45];
        assert!(short.len() < 17 && PreparedNames::key_of(short).is_none());
    }
    for other in [
        "wa:",
        "wa:~",
        "wa:~9VcD",
        "wa:~{0c}9VcDE",
        "wa:9VcDERRe2pu4nc2O",
        "wa:~ws2:9VcDE",
    ] {
        assert!(
            !PreparedNames::may_be_sealed(b"wa:", other.as_bytes()),
            "{other}"
        );
    }
    for other in [
        "~9VcDE",
        "~9VcDC",
        "~9VcDERRe2p!4nc2O",
        "~9VcDEgRe2pu4nc2O",
        "~9VcDEfRe2pu4nc2O",
    ] {
        let key = PreparedNames::key_of(other.as_bytes());
        assert_eq!(key.is_some(), other == "~9VcDEfRe2pu4nc2O", "{other}");
    }
}
