//! The two mechanisms with which a token wraps a data key. AES-GCM where the token has it: the
//! context is its associated data. Otherwise AES key wrap with padding (RFC 5649), which has no
//! associated data: the plaintext then contains the context itself (`bound`).

use std::ffi::c_ulong;

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use rand::Rng;
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::super::bound::{BOUND_LEN, bind, unbind};
use super::super::{Context, Wrapped};

const NONCE_LEN: usize = 12;
const TAG_BITS: c_ulong = 128;
/// A nonce, the key, a tag.
const GCM_LEN: usize = NONCE_LEN + 32 + 16;
/// The bound key, and 8 bytes more.
const PADDED_LEN: usize = BOUND_LEN + 8;

/// The mechanism with which a token wraps data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrapMechanism {
    Gcm,
    KeyWrapPad,
}

impl WrapMechanism {
    /// The best mechanism that a token offers.
    pub(super) fn of_token(module: &Pkcs11, slot: Slot) -> Result<Option<Self>, Error> {
        let offered = module.get_mechanism_list(slot)?;
        if offered.contains(&MechanismType::AES_GCM) {
            let info = module.get_mechanism_info(slot, MechanismType::AES_GCM)?;
            if info.encrypt() && info.decrypt() {
                return Ok(Some(Self::Gcm));
            }
        }
        if offered.contains(&MechanismType::AES_KEY_WRAP_PAD) {
            let info = module.get_mechanism_info(slot, MechanismType::AES_KEY_WRAP_PAD)?;
            if info.wrap() && info.unwrap() {
                return Ok(Some(Self::KeyWrapPad));
            }
        }
        Ok(None)
    }

    /// The name stored in the document.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gcm => "CKM_AES_GCM",
            Self::KeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Gcm, Self::KeyWrapPad]
            .into_iter()
            .find(|mechanism| mechanism.as_str() == text)
    }

    /// The rights that a key of this mechanism needs, and no more.
    pub(super) fn rights(self) -> [Attribute; 7] {
        let is_gcm = self == Self::Gcm;
        [
            Attribute::Encrypt(is_gcm),
            Attribute::Decrypt(is_gcm),
            Attribute::Wrap(!is_gcm),
            Attribute::Unwrap(!is_gcm),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Derive(false),
        ]
    }

    pub(super) fn wrap(
        self,
        session: &Session,
        wrapping: ObjectHandle,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, Error> {
        let bytes = match self {
            Self::Gcm => gcm_wrap(session, wrapping, key, context)?,
            Self::KeyWrapPad => padded_wrap(session, wrapping, key, context)?,
        };
        Ok(Wrapped {
            mechanism: Some(self.as_str().to_owned()),
            bytes,
        })
    }

    /// The key; `None` if these bytes were not wrapped for this context.
    pub(super) fn unwrap(
        self,
        session: &Session,
        wrapping: ObjectHandle,
        wrapped: &[u8],
        context: &Context<'_>,
    ) -> Result<Option<SecretKey>, Error> {
        match self {
            Self::Gcm if wrapped.len() == GCM_LEN => {
                gcm_unwrap(session, wrapping, wrapped, context)
            }
            Self::KeyWrapPad if wrapped.len() == PADDED_LEN => {
                padded_unwrap(session, wrapping, wrapped, context)
            }
            _ => Ok(None),
        }
    }
}

fn gcm_wrap(
    session: &Session,
    wrapping: ObjectHandle,
    key: &SecretKey,
    context: &Context<'_>,
) -> Result<Vec<u8>, Error> {
    let mut nonce = [0u8; NONCE_LEN];
    rand::rng().fill_bytes(&mut nonce);
    let bound = context.to_bytes();
    let sealed = {
        let params = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
        let mechanism = Mechanism::AesGcm(params);
        session.encrypt(&mechanism, wrapping, key.expose_bytes())?
    };
    // Some modules write a nonce of their own there: it is read after they have answered.
    Ok([&nonce[..], &sealed].concat())
}

fn gcm_unwrap(
    session: &Session,
    wrapping: ObjectHandle,
    wrapped: &[u8],
    context: &Context<'_>,
) -> Result<Option<SecretKey>, Error> {
    let Some((nonce, sealed)) = wrapped.split_first_chunk::<NONCE_LEN>() else {
        return Ok(None);
    };
    let (mut nonce, bound) = (*nonce, context.to_bytes());
    let params = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
    let plain = session.decrypt(&Mechanism::AesGcm(params), wrapping, sealed)?;
    let plain = Zeroizing::new(plain);
    let bytes: Option<&[u8; 32]> = plain.as_slice().try_into().ok();
    Ok(bytes.and_then(|bytes| SecretKey::from_bytes(bytes).ok()))
}

/// The data key becomes an object of this session, which the token wraps.
fn padded_wrap(
    session: &Session,
    wrapping: ObjectHandle,
    key: &SecretKey,
    context: &Context<'_>,
) -> Result<Vec<u8>, Error> {
    let bytes = bind(key, context);
    let mut template = transient_attributes().to_vec();
    template.push(Attribute::Value(bytes.to_vec()));
    let object = session.create_object(&template);
    wipe(&mut template);
    let object = object?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, object);
    session.destroy_object(object)?;
    wrapped
}

fn padded_unwrap(
    session: &Session,
    wrapping: ObjectHandle,
    wrapped: &[u8],
    context: &Context<'_>,
) -> Result<Option<SecretKey>, Error> {
    let object = session.unwrap_key(
        &Mechanism::AesKeyWrapPad,
        wrapping,
        wrapped,
        &transient_attributes(),
    )?;
    let value = session.get_attributes(object, &[AttributeType::Value]);
    session.destroy_object(object)?;
    let mut values = value?;
    let shown = values.iter().find_map(|value| match value {
        Attribute::Value(bytes) => Some(unbind(bytes, context)),
        _ => None,
    });
    wipe(&mut values);
    // The token unwrapped it but does not reveal it, as some do in FIPS mode.
    shown.ok_or(Error::Pkcs11(
        RvError::AttributeSensitive,
        Function::GetAttributeValue,
    ))
}

/// The attributes of a transient object: it lives as long as the session at most and may be read.
fn transient_attributes() -> [Attribute; 5] {
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn wipe(attributes: &mut [Attribute]) {
    use zeroize::Zeroize as _;
    for attribute in attributes {
        if let Attribute::Value(bytes) = attribute {
            bytes.zeroize();
        }
    }
}
