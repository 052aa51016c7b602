//! The planted secrets, and every form in which they could leak.

use std::fmt::Write as _;

/// Something that no output may hold, unless the table of what is shown on purpose says so.
pub(super) struct Secret {
    pub(super) what: &'static str,
    pub(super) text: &'static str,
}

const fn secret(what: &'static str, text: &'static str) -> Secret {
    Secret { what, text }
}

pub(super) const VALUE: &str = "Zafiro7kQ2mXw9LpTr4Vb";
pub(super) const FIELD: &str = "Topacio3nHs8YcJd6GfRz1";
pub(super) const ELEMENT: &str = "Rubi5tWq1MbXk7NvPa2Lc";
pub(super) const MEMBER: &str = "Opalo8dKm4XzQr7HyBt3Fn";
pub(super) const NUMBER: &str = "5219918273645";
pub(super) const LETTERS: &str = "usuarioQk83ZtVbWm";
pub(super) const SESSION: &str = "Bearer9xKw2QmTz6Lp";
pub(super) const OUTSIDE: &str = "fuera4nVq7YdXs2Gk";
pub(super) const TYPED: &str = "Tecleado4mWz8QyRf";
pub(super) const KEY: &str = "b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfef";
pub(super) const OLD_KEY: &str = "3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c8";
pub(super) const WRONG_KEY: &str =
    "9e3779b97f4a7c15f39cc0605cedc8341082276bf3a27251f86c6a11d0c18e95";
pub(super) const KEK: &str = "6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1";
pub(super) const OFFLINE: &str = "510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179";
pub(super) const TRAIL: &str = "428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc";
pub(super) const MAIN_PASSWORD: &str = "Principal3vTn8WqZx5Jd";
pub(super) const PASSWORD: &str = "Clave6hTzP0qWn2RvYk";
pub(super) const LITTLE_PASSWORD: &str = "Poca9vKx1MdQs7ZtHw";
pub(super) const TOKEN: &str = "Ficha4mNb7KpXz2QwVy";
pub(super) const PIN: &str = "918273645546372819";
/// An age identity for tests alone, as age-keygen writes it.
pub(super) const IDENTITY_FILE: &str =
    include_str!("../../../../keys/tests/vectors/backup/identity.txt");
const IDENTITY: &str = "AGE-SECRET-KEY-1EPWGEYQDS5C2HQJLC6PJJ2E2P4QYMYPEX05PKPW805KXHKCQ533SMU0XK7";

pub(super) const SECRETS: [Secret; 21] = [
    secret("a value", VALUE),
    secret("a field's value", FIELD),
    secret("an element", ELEMENT),
    secret("a value of another type", MEMBER),
    secret("a user, and so a record name", NUMBER),
    secret("another user", LETTERS),
    secret("a session's record name", SESSION),
    secret("the name of a record that is not protected", OUTSIDE),
    secret("what was typed in the wrong place", TYPED),
    secret("the environment's key", KEY),
    secret("a previous key", OLD_KEY),
    secret("a wrong key", WRONG_KEY),
    secret("a custodian's secret", KEK),
    secret("the machine's offline key", OFFLINE),
    secret("the audit log's key", TRAIL),
    secret("the server's password", MAIN_PASSWORD),
    secret("a user's password", PASSWORD),
    secret("another user's password", LITTLE_PASSWORD),
    secret("a key service's token", TOKEN),
    secret("a token's PIN", PIN),
    secret("an age identity", IDENTITY),
];

/// Everything that is searched for.
pub(super) struct Search(Vec<(&'static str, String)>);

impl Search {
    pub(super) fn new() -> Self {
        let mut this = Self(Vec::new());
        for secret in &SECRETS {
            this.plant(secret.what, secret.text);
        }
        this
    }

    /// Looks for one thing more.
    pub(super) fn plant(&mut self, what: &'static str, text: &str) {
        let mut forms = forms(text.as_bytes());
        forms.push(text.to_owned());
        // Half of it is too much as well.
        forms.push(text[..text.len() / 2 + 1].to_owned());
        forms.push(text[text.len() / 2 - 1..].to_owned());
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            forms.push(text.to_ascii_uppercase());
            forms.extend(self::forms(&unhex(text)));
        }
        self.0.extend(forms.into_iter().map(|form| (what, form)));
    }

    /// The planted secrets in a text.
    pub(super) fn found_in(&self, text: &str) -> Option<&'static str> {
        self.found_in_but(text, &[])
    }

    /// The same, but for what is shown on purpose.
    pub(super) fn found_in_but(&self, text: &str, shown: &[&str]) -> Option<&'static str> {
        let hidden = |what: &str| {
            let secret = SECRETS.iter().find(|it| it.what == what);
            secret.is_none_or(|secret| !shown.contains(&secret.text))
        };
        let mut looked_for = self.0.iter().filter(|(what, _)| hidden(what));
        looked_for
            .find(|(_, form)| text.contains(form.as_str()))
            .map(|(what, _)| *what)
    }
}

/// Bytes as hexadecimal, Base64, escapes of URLs, JSON and Rust, and a list of numbers.
fn forms(bytes: &[u8]) -> Vec<String> {
    let each = |form: &dyn Fn(&mut String, u8)| {
        let mut text = String::new();
        bytes.iter().for_each(|byte| form(&mut text, *byte));
        text
    };
    let mut forms = vec![
        each(&|text, byte| write!(text, "{byte:02x}").unwrap()),
        each(&|text, byte| write!(text, "{byte:02X}").unwrap()),
        each(&|text, byte| write!(text, "%{byte:02x}").unwrap()),
        each(&|text, byte| write!(text, "%{byte:02X}").unwrap()),
        each(&|text, byte| write!(text, "\\u{byte:04x}").unwrap()),
        each(&|text, byte| write!(text, "\\u{byte:04X}").unwrap()),
        each(&|text, byte| write!(text, "\\x{byte:02x}").unwrap()),
        each(&|text, byte| write!(text, "{byte}, ").unwrap()),
    ];
    for before in 0..3 {
        let standard = base64(before, bytes);
        forms.push(standard.replace('+', "-").replace('/', "_"));
        forms.push(standard);
    }
    forms
}

/// The part of a Base64 text that only these bytes decide, with so many others before them.
pub(crate) fn base64(before: usize, bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    // Those that share a letter with what is before.
    let shared = (6 - before * 8 % 6) % 6;
    let whole = bits[shared..].chunks_exact(6);
    whole
        .map(|six| six.iter().fold(0, |index, bit| index << 1 | bit))
        .map(|index| char::from(LETTERS[usize::from(index)]))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn every_planted_thing_is_found_in_every_form() {
    let search = Search::new();
    let long = format!("{{\"a\":\"{VALUE}\"}}");
    for text in [
        long.clone(),
        long[..long.len() - 6].to_owned(),
        forms(long.as_bytes())[0].clone(),
        forms(long.as_bytes())[3].clone(),
        forms(long.as_bytes())[7].clone(),
        base64(0, long.as_bytes()),
        base64(0, format!("x{long}").as_bytes()),
        base64(0, format!("xx{long}").as_bytes()),
    ] {
        assert_eq!(search.found_in(&text), Some("a value"), "{text}");
    }
    let raw = base64(0, &[b"ws".as_slice(), &unhex(KEY)].concat());
    assert_eq!(search.found_in(&raw), Some("the environment's key"));
    assert_eq!(base64(0, b"Waxseal"), "V2F4c2VhbA"[..9]);
    assert_eq!(search.found_in_but(&long, &[VALUE]), None);
    assert_eq!(search.found_in("wa:#1f0c77ab in Redis"), None);
}
