//! The same ciphers as called by a program that knows format, key and binding beforehand: one allocation per value,
//! schedules and associated data prepared, known facts not checked. The classic format with a library that offers its
//! AES-GCM as a whole, the sealed format with the parts that `Sealer` uses as well.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Key, Nonce as Iv, Tag};
use aes_siv::siv::Aes256Siv;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use base64_simd::STANDARD;
use rand::Rng;

const TAG: usize = 16;
const IV: usize = 16;
const CLASSIC_PREFIX: usize = IV + TAG;
const HEADER: usize = 8;
const XAES_NONCE: usize = 24;
const SEALED_PREFIX: usize = HEADER + XAES_NONCE;
const OVERHEAD: usize = SEALED_PREFIX + TAG;

/// The classic format.
pub(crate) struct ClassicByHand {
    cipher: AesGcm<Aes256, U16>,
    /// Kept from call to call, so that only the result is allocated.
    raw: Vec<u8>,
}

impl ClassicByHand {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: AesGcm::new(&Key::<AesGcm<Aes256, U16>>::from(*key)),
            raw: Vec::new(),
        }
    }

    pub(crate) fn seal(&mut self, value: &[u8]) -> Vec<u8> {
        let iv = random::<IV>();
        self.raw.clear();
        self.raw.extend_from_slice(&iv);
        self.raw.extend_from_slice(&[0; TAG]);
        self.raw.extend_from_slice(value);
        let ciphertext = &mut self.raw[CLASSIC_PREFIX..];
        let tag = self
            .cipher
            .encrypt_inout_detached(&Iv::from(iv), &[], ciphertext.into())
            .expect("short enough");
        self.raw[IV..CLASSIC_PREFIX].copy_from_slice(&tag);
        STANDARD.encode_type(&self.raw)
    }

    /// The value is at the end of the result, which is enough for a reader.
    pub(crate) fn open(&self, stored: &[u8]) -> Vec<u8> {
        let mut raw: Vec<u8> = STANDARD.decode_type(stored).expect("Base64");
        let (prefix, ciphertext) = raw.split_at_mut(CLASSIC_PREFIX);
        let (iv, tag) = prefix.split_at(IV);
        let iv: [u8; IV] = iv.try_into().expect("16 bytes");
        let tag: [u8; TAG] = tag.try_into().expect("16 bytes");
        self.cipher
            .decrypt_inout_detached(&Iv::from(iv), &[], ciphertext.into(), &Tag::from(tag))
            .expect("the tag fits");
        raw
    }
}

/// The sealed format.
pub(crate) struct SealedByHand {
    block_cipher: EncryptingKey,
    /// The two derivation blocks without the nonce, already masked with the CMAC subkey.
    blocks: [u8; 32],
    associated_data: Vec<u8>,
}

impl SealedByHand {
    /// Under this key, with this associated data, which begins with the header.
    pub(crate) fn new(key: &[u8; 32], associated_data: Vec<u8>) -> Self {
        let unbound = UnboundCipherKey::new(&AES_256, key).expect("32 bytes");
        let block_cipher = EncryptingKey::ecb(unbound).expect("a key");
        let mut subkey = [0; 16];
        block_cipher.encrypt(&mut subkey).expect("one block");
        let number = u128::from_be_bytes(subkey);
        let subkey = ((number << 1) ^ ((number >> 127) * 0x87)).to_be_bytes();
        let mut blocks = [0; 32];
        for (counter, block) in (1..).zip(blocks.chunks_exact_mut(16)) {
            block.copy_from_slice(&subkey);
            block[1] ^= counter;
            block[2] ^= b'X';
        }
        Self {
            block_cipher,
            blocks,
            associated_data,
        }
    }

    pub(crate) fn seal(&self, value: &[u8]) -> Vec<u8> {
        let nonce = random::<XAES_NONCE>();
        let (key, gcm_nonce) = self.message_key(&nonce);
        let mut envelope = Vec::with_capacity(SEALED_PREFIX + value.len() + TAG);
        envelope.extend_from_slice(&self.associated_data[..HEADER]);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(value);
        let tag = key
            .seal_in_place_separate_tag(
                gcm_nonce,
                Aad::from(&*self.associated_data),
                &mut envelope[SEALED_PREFIX..],
            )
            .expect("short enough");
        envelope.extend_from_slice(tag.as_ref());
        envelope
    }

    #[expect(
        clippy::slow_vector_initialization,
        reason = "faster than calloc at the usual lengths"
    )]
    pub(crate) fn open(&self, envelope: &[u8]) -> Vec<u8> {
        let nonce = envelope[HEADER..SEALED_PREFIX]
            .try_into()
            .expect("24 bytes");
        let (key, nonce) = self.message_key(nonce);
        let (ciphertext, tag) = envelope[SEALED_PREFIX..].split_at(envelope.len() - OVERHEAD);
        let mut value = Vec::with_capacity(ciphertext.len());
        value.resize(ciphertext.len(), 0);
        let aad = Aad::from(&*self.associated_data);
        key.open_separate_gather(nonce, aad, ciphertext, tag, &mut value)
            .expect("the tag fits");
        value
    }

    fn message_key(&self, nonce: &[u8; XAES_NONCE]) -> (LessSafeKey, Nonce) {
        let mut derived = self.blocks;
        for block in derived.chunks_exact_mut(16) {
            for (byte, mask) in block[4..].iter_mut().zip(&nonce[..12]) {
                *byte ^= mask;
            }
        }
        self.block_cipher.encrypt(&mut derived).expect("two blocks");
        let key = UnboundKey::new(&AES_256_GCM, &derived).expect("32 bytes");
        let nonce = Nonce::try_assume_unique_for_key(&nonce[12..]).expect("12 bytes");
        (LessSafeKey::new(key), nonce)
    }
}

/// Deterministic envelopes with the library's AES-SIV as a whole.
pub(crate) struct DeterministicByHand {
    key: [u8; 64],
    siv: Aes256Siv,
    associated_data: Vec<u8>,
}

impl DeterministicByHand {
    /// Under this key, with this associated data, which begins with the header.
    pub(crate) fn new(key: [u8; 64], associated_data: Vec<u8>) -> Self {
        Self {
            key,
            siv: Aes256Siv::new(&key.into()),
            associated_data,
        }
    }

    /// Prepares the key again.
    pub(crate) fn prepare(&mut self) {
        self.siv = Aes256Siv::new(&self.key.into());
    }

    pub(crate) fn seal(&mut self, value: &[u8]) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(HEADER + TAG + value.len());
        envelope.extend_from_slice(&self.associated_data[..HEADER]);
        envelope.extend_from_slice(&[0; TAG]);
        envelope.extend_from_slice(value);
        let ciphertext = &mut envelope[HEADER + TAG..];
        let iv = self
            .siv
            .encrypt_inout_detached([&self.associated_data], ciphertext.into())
            .expect("one header");
        envelope[HEADER..HEADER + TAG].copy_from_slice(&iv);
        envelope
    }

    pub(crate) fn open(&mut self, envelope: &[u8]) -> Vec<u8> {
        let (iv, ciphertext) = envelope[HEADER..].split_at(TAG);
        let iv: [u8; TAG] = iv.try_into().expect("16 bytes");
        let mut value = ciphertext.to_vec();
        self.siv
            .decrypt_inout_detached(
                [&self.associated_data],
                value.as_mut_slice().into(),
                &iv.into(),
            )
            .expect("it matches");
        value
    }
}

/// The lower bound for both formats: AES-256-GCM under a prepared key with a random nonce of
/// 12 bytes, neither header nor binding.
pub(crate) struct Limit(LessSafeKey);

impl Limit {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes");
        Self(LessSafeKey::new(key))
    }

    pub(crate) fn seal(&self, value: &[u8]) -> Vec<u8> {
        let nonce = random::<12>();
        let mut sealed = Vec::with_capacity(nonce.len() + value.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let nonce_of_key = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce_of_key, Aad::empty(), &mut sealed[nonce.len()..])
            .expect("short enough");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let (nonce, rest) = sealed.split_at(12);
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes");
        let mut value = rest.to_vec();
        self.0
            .open_in_place(nonce, Aad::empty(), &mut value)
            .expect("the tag fits");
        value.truncate(value.len() - TAG);
        value
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
