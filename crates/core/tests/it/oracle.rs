//! A second implementation of the sealed format, written from `docs/reference/formats.md` alone and with other
//! libraries than the first: it opens and seals as the document says.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{Aead, KeyInit, Payload};

/// A key and its id.
pub(crate) type Key = ([u8; 4], [u8; 32]);

/// The keys of a reader, and its domain.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    pub(crate) data: Vec<Key>,
    pub(crate) index: Vec<Key>,
    pub(crate) user: Option<Key>,
    pub(crate) domain: Vec<u8>,
}

/// The place that is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place<'a> {
    /// The number of the kind.
    pub(crate) kind: u8,
    pub(crate) record: Option<&'a str>,
    pub(crate) group: Option<&'a str>,
    pub(crate) field: Option<&'a str>,
}

impl Place<'_> {
    fn has_field(self) -> bool {
        matches!(self.kind, 3 | 5)
    }

    /// The associated data of an envelope with this header, or `None` if it cannot be in this place.
    fn associated_data(self, header: &[u8], domain: &[u8]) -> Option<Vec<u8>> {
        let flags = header[3];
        let mut data = header.to_vec();
        let mut add = |part: &[u8]| {
            data.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            data.extend(part);
        };
        match header[2] {
            2 => {
                // Strings, list elements and hash fields.
                if !matches!(self.kind, 1..=3)
                    || (flags & 1 != 0) != self.record.is_some()
                    || (flags & 2 != 0) != self.field.is_some()
                {
                    return None;
                }
                self.record.into_iter().for_each(|it| add(it.as_bytes()));
                self.field.into_iter().for_each(|it| add(it.as_bytes()));
            }
            3 => {
                let scope = if flags & 8 != 0 {
                    self.group
                } else {
                    self.record
                };
                if (flags & 2 != 0) != self.has_field() {
                    return None;
                }
                add(domain);
                add(scope?.as_bytes());
                self.field.into_iter().for_each(|it| add(it.as_bytes()));
                data.insert(8, self.kind);
            }
            _ => return None,
        }
        Some(data)
    }
}

impl Keys {
    /// The value of an envelope in this place, if it opens there.
    pub(crate) fn open(&self, stored: &[u8], place: Place<'_>) -> Option<Vec<u8>> {
        if stored.len() < 24 || stored[..2] != [0xf5, 0x57] {
            return None;
        }
        let (header, body) = stored.split_at(8);
        let (version, flags) = (header[2], header[3]);
        let known = if version == 2 { 0x07 } else { 0x1f };
        let one_scope = (flags & 0x01 != 0) != (flags & 0x08 != 0);
        if flags & !known != 0 || version == 3 && !one_scope {
            return None;
        }
        let data = place.associated_data(header, &self.domain)?;
        if flags & 0x10 != 0 {
            let key = siv_key(&self.find(header)?, flags, place.kind)?;
            return siv_open(&key, &[&data], body);
        }
        let (nonce, sealed) = body.split_at_checked(24)?;
        let cipher = Xaes256Gcm::new(&self.find(header)?.into());
        let nonce: [u8; 24] = nonce.try_into().unwrap();
        let payload = Payload {
            msg: sealed,
            aad: &data,
        };
        cipher.decrypt(&nonce.into(), payload).ok()
    }

    /// The envelope with this header and nonce, deterministic without one, and its associated data.
    pub(crate) fn seal(
        &self,
        header: [u8; 8],
        nonce: Option<&[u8; 24]>,
        place: Place<'_>,
        value: &[u8],
    ) -> (Vec<u8>, Vec<u8>) {
        let data = place.associated_data(&header, &self.domain).unwrap();
        let key = self.find(&header).unwrap();
        let body = match nonce {
            None => siv_seal(
                &siv_key(&key, header[3], place.kind).unwrap(),
                &[&data],
                value,
            ),
            Some(nonce) => {
                let payload = Payload {
                    msg: value,
                    aad: &data,
                };
                let cipher = Xaes256Gcm::new(&key.into());
                let sealed = cipher.encrypt(&(*nonce).into(), payload).unwrap();
                [&nonce[..], &sealed].concat()
            }
        };
        ([&header[..], &body].concat(), data)
    }

    /// The key that a header names.
    fn find(&self, header: &[u8]) -> Option<[u8; 32]> {
        let of_user = self.user.iter();
        let of_ring = self.index.iter().filter(|_| header[3] & 0x10 != 0);
        let of_ring = of_ring.chain(&self.data);
        let mut keys: Box<dyn Iterator<Item = &Key>> = match header[3] & 0x04 {
            0 => Box::new(of_ring),
            _ => Box::new(of_user),
        };
        keys.find(|(id, _)| id[..] == header[4..8])
            .map(|(_, key)| *key)
    }
}

/// The key of AES-SIV for a use.
fn siv_key(parent: &[u8; 32], flags: u8, kind: u8) -> Option<[u8; 64]> {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            64
        }
    }
    let of_use = match (flags & 0x04, kind) {
        (0, 4) => "member",
        (0, 2) => "list element",
        (0, 7) => "name",
        (0, _) => return None,
        _ => "user",
    };
    let mut key = [0; 64];
    Prk::new_less_safe(HKDF_SHA256, parent)
        .expand(&[b"waxseal index key v1 ", of_use.as_bytes()], Length)
        .unwrap()
        .fill(&mut key)
        .unwrap();
    Some(key)
}

/// AES-SIV of RFC 5297, for keys of 256 or 512 bits: `Z = SIV-ENCRYPT(K, P, AD1, ..., ADn)`.
fn siv_seal(key: &[u8], headers: &[&[u8]], value: &[u8]) -> Vec<u8> {
    let (mac_key, ctr_key) = key.split_at(key.len() / 2);
    let iv = s2v(mac_key, headers, value);
    let mut sealed = iv.to_vec();
    sealed.extend(ctr(ctr_key, iv, value));
    sealed
}

fn siv_open(key: &[u8], headers: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
    let (mac_key, ctr_key) = key.split_at(key.len() / 2);
    let (iv, ciphertext) = sealed.split_first_chunk::<16>()?;
    let value = ctr(ctr_key, *iv, ciphertext);
    (s2v(mac_key, headers, &value) == *iv).then_some(value)
}

/// Section 2.4.
fn s2v(key: &[u8], headers: &[&[u8]], value: &[u8]) -> [u8; 16] {
    let mut state = cmac(key, &[0; 16]);
    for header in headers {
        state = xor(double(state), cmac(key, header));
    }
    if value.len() >= 16 {
        let (start, end) = value.split_last_chunk::<16>().unwrap();
        cmac(key, &[start, &xor(*end, state)].concat())
    } else {
        cmac(key, &xor(double(state), padded(value)))
    }
}

/// Section 2.5: the counter begins at the synthetic IV with two bits cleared.
fn ctr(key: &[u8], mut iv: [u8; 16], text: &[u8]) -> Vec<u8> {
    iv[8] &= 0x7f;
    iv[12] &= 0x7f;
    let start = u128::from_be_bytes(iv);
    let blocks = text.chunks(16).zip(0u128..);
    let blocks = blocks.flat_map(|(block, at)| {
        let stream = aes(key, start.wrapping_add(at).to_be_bytes());
        block
            .iter()
            .zip(stream)
            .map(|(a, b)| a ^ b)
            .collect::<Vec<_>>()
    });
    blocks.collect()
}

/// CMAC of NIST SP 800-38B.
fn cmac(key: &[u8], text: &[u8]) -> [u8; 16] {
    let k1 = double(aes(key, [0; 16]));
    let full = text.len().saturating_sub(1) / 16;
    let (start, end) = text.split_at(full * 16);
    let last = match end.try_into() {
        Ok(block) => xor(block, k1),
        Err(_) => xor(padded(end), double(k1)),
    };
    let mut state = [0; 16];
    for block in start.chunks_exact(16) {
        state = aes(key, xor(state, block.try_into().unwrap()));
    }
    aes(key, xor(state, last))
}

fn aes(key: &[u8], mut block: [u8; 16]) -> [u8; 16] {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).unwrap();
    let key = EncryptingKey::ecb(key).unwrap();
    key.encrypt(&mut block).unwrap();
    block
}

fn double(block: [u8; 16]) -> [u8; 16] {
    let number = u128::from_be_bytes(block);
    let carry = if number >> 127 == 1 { 0x87 } else { 0 };
    ((number << 1) ^ carry).to_be_bytes()
}

fn padded(bytes: &[u8]) -> [u8; 16] {
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    block[bytes.len()] = 0x80;
    block
}

fn xor(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| a[at] ^ b[at])
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn the_second_implementation_passes_the_vectors_of_rfc_5297() {
    let key = unhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let header = unhex("101112131415161718191a1b1c1d1e1f2021222324252627");
    let value = unhex("112233445566778899aabbccddee");
    let sealed = unhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");
    assert_eq!(siv_seal(&key, &[&header], &value), sealed);
    assert_eq!(siv_open(&key, &[&header], &sealed), Some(value));

    let key = unhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f");
    let headers = [
        "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
        "102030405060708090a0",
        "09f911029d74e35bd84156c5635688c0",
    ]
    .map(unhex);
    let headers = headers.each_ref().map(Vec::as_slice);
    let value = b"this is some plaintext to encrypt using SIV-AES";
    let sealed = unhex(
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17\
         dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d",
    );
    assert_eq!(siv_seal(&key, &headers, value), sealed);
    assert_eq!(siv_open(&key, &headers, &sealed), Some(value.to_vec()));
    assert_eq!(siv_open(&key, &headers[..2], &sealed), None);
}
