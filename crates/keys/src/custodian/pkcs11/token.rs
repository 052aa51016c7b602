//! A token and one session with it: found by its URI, logged in, and reconnected after it was
//! unplugged or restarted. A PIN is sent once: a token that rejects it is not tried again.

use std::ffi::c_ulong;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};
use tracing::{debug, warn};
use waxseal_core::{KeyId, SecretKey};

use super::super::local::variable;
use super::super::{Context, Variables, Wrapped};
use super::failure::{Meaning, is_no_module, meaning, words};
use super::mechanism::WrapMechanism;
use super::module::{InUse, Module};
use super::unavailable;
use super::uri::Pkcs11Uri;
use crate::custodian::CustodianError;

mod login;

/// Length of the key in bytes: AES-256.
const KEY_LEN: c_ulong = 32;
/// Delays before a missing token is searched again. Some disappear briefly while another process
/// uses them.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(400),
];
/// Used if the URI names no module.
const MODULE_VARIABLE: &str = "PKCS11_MODULE_PATH";

/// A token, as this process uses it.
pub(super) struct Token {
    uri: Pkcs11Uri,
    url: String,
    module: Module,
    variables: Variables,
    /// True once it was logged that logins here are not serialised.
    has_warned: bool,
    connected: Option<Connected>,
    /// Set when no caller waits for this token any more.
    dropped: Arc<AtomicBool>,
}

/// A session, logged in, with the key.
struct Connected {
    /// The initialisation of the module that all handles belong to.
    generation: u64,
    session: Session,
    slot: Slot,
    key: ObjectHandle,
    mechanism: WrapMechanism,
}

impl Connected {
    /// True if its handles still belong to this initialisation of the module.
    fn is_current(&self, in_use: &InUse<'_>) -> bool {
        in_use.context().is_some() && in_use.generation() == self.generation
    }
}

/// Why an operation on a token failed.
enum TokenError {
    Module(Error),
    Custodian(CustodianError),
    /// During the login, which is not repeated.
    Login(CustodianError),
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<CustodianError> for TokenError {
    fn from(error: CustodianError) -> Self {
        Self::Custodian(error)
    }
}

impl Token {
    pub(super) fn new(
        uri: Pkcs11Uri,
        variables: Variables,
        dropped: Arc<AtomicBool>,
    ) -> Result<Self, CustodianError> {
        let path = match &uri.module {
            Some(path) => path.clone(),
            None => variable(MODULE_VARIABLE, &variables)?
                .ok_or_else(|| CustodianError::NotSet {
                    variable: MODULE_VARIABLE.to_owned(),
                })?
                .trim()
                .to_owned(),
        };
        Ok(Self {
            url: uri.to_string(),
            uri,
            module: Module::at(&PathBuf::from(path)),
            variables,
            has_warned: false,
            connected: None,
            dropped,
        })
    }

    pub(super) fn module_path(&self) -> &Path {
        self.module.path()
    }

    pub(super) fn wrap(
        &mut self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        self.with_key("wrap", |connected| {
            let Connected {
                session, mechanism, ..
            } = connected;
            Ok(mechanism.wrap(session, connected.key, key, context)?)
        })
    }

    pub(super) fn unwrap(
        &mut self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let refused = || CustodianError::Refused {
            custodian: self.url.clone(),
        };
        let mechanism = wrapped.mechanism.as_deref().and_then(WrapMechanism::parse);
        let mechanism = mechanism.ok_or_else(refused)?;
        let refused = refused();
        let key = self.with_key("unwrap", |connected| {
            let Connected { session, key, .. } = connected;
            Ok(mechanism.unwrap(session, *key, &wrapped.bytes, context)?)
        })?;
        key.ok_or(refused)
    }

    /// Creates the key that the URI names.
    pub(super) fn create_key(&mut self) -> Result<(), CustodianError> {
        let made = self.generate_key();
        made.map_err(|error| self.explain(error, "create a key"))
    }

    fn generate_key(&mut self) -> Result<(), TokenError> {
        // The session of this thread, if there is one, is read-only; the login applies to both.
        let module = self.module.clone();
        // Held until the key is created: of two processes that create it at once, the second finds
        // it.
        let _lock = self.lock_logins();
        let in_use = module.in_use()?;
        let context = in_use.context().ok_or(Error::NotSupported)?;
        let (slot, info) = self.find_slot(context)?;
        let session = context.open_rw_session(slot)?;
        self.login(&session, &info)?;
        let mechanism = self.mechanism(context, slot)?;
        if !self.find_keys(&session)?.is_empty() {
            let custodian = self.url.clone();
            return Err(CustodianError::KeyExists { custodian }.into());
        }
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(KEY_LEN.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        template.extend(mechanism.rights());
        let id = match self.uri.value("id") {
            Some(id) => id.to_vec(),
            None => KeyId::random().to_u32().to_be_bytes().to_vec(),
        };
        template.push(Attribute::Id(id));
        let label = self.uri.value("object").unwrap_or(b"waxseal");
        template.push(Attribute::Label(label.to_vec()));
        session.generate_key(&Mechanism::AesKeyGen, &template)?;
        Ok(())
    }

    /// Works with the key; retries if the token was unplugged or restarted since the last time.
    fn with_key<T>(
        &mut self,
        operation: &'static str,
        work: impl Fn(&Connected) -> Result<T, TokenError>,
    ) -> Result<T, CustodianError> {
        let mut delays = RETRY_DELAYS.into_iter();
        loop {
            let error = match self.try_with_key(&work) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let found = match &error {
                TokenError::Module(error) => meaning(error),
                // Some modules see only tokens that were present when they were initialised.
                TokenError::Custodian(CustodianError::Unavailable { .. }) => Meaning::Uninitialized,
                TokenError::Custodian(_) | TokenError::Login(_) => Meaning::Denied,
            };
            let is_gone = match found {
                Meaning::Lost | Meaning::Uninitialized => true,
                // A module that reports only a general failure: does the token still answer?
                Meaning::Bad | Meaning::Other => !self.is_responsive(),
                Meaning::Denied => false,
            };
            let delay = delays.next().filter(|_| is_gone && !self.is_dropped());
            if is_gone {
                self.disconnect();
                // A failure that persists after reconnecting has a deeper cause.
                if found == Meaning::Uninitialized || delay.is_none() {
                    self.module.end();
                }
            }
            let Some(delay) = delay else {
                return Err(match (found, is_gone, operation) {
                    (Meaning::Bad, false, "unwrap") => CustodianError::Refused {
                        custodian: self.url.clone(),
                    },
                    _ => self.explain(error, operation),
                });
            };
            thread::sleep(delay);
            debug!("the token of {} is reconnected", self.url);
        }
    }

    fn try_with_key<T>(
        &mut self,
        work: impl Fn(&Connected) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let module = self.module.clone();
        let in_use = module.in_use_already();
        if let Some(connected) = &self.connected
            && connected.is_current(&in_use)
        {
            return work(connected);
        }
        drop(in_use);
        abandon(self.connected.take());
        // Before the module is initialised: that reads the token as well.
        let lock = self.lock_logins();
        let in_use = module.in_use()?;
        let context = in_use.context().ok_or(Error::NotSupported)?;
        let connected = self.connect(context, in_use.generation())?;
        drop(lock);
        work(self.connected.insert(connected))
    }

    /// Closes the session, if it is still valid.
    fn disconnect(&mut self) {
        let Some(connected) = self.connected.take() else {
            return;
        };
        let in_use = self.module.in_use_already();
        if connected.is_current(&in_use) {
            drop(connected);
        } else {
            abandon(Some(connected));
        }
    }

    /// True if the token still answers, and is still the same.
    fn is_responsive(&self) -> bool {
        let Some(connected) = &self.connected else {
            return false;
        };
        let in_use = self.module.in_use_already();
        if in_use.generation() != connected.generation {
            return false;
        }
        let info = in_use
            .context()
            .and_then(|context| context.get_token_info(connected.slot).ok());
        info.is_some_and(|info| self.matches_uri(&info))
            && connected.session.get_session_info().is_ok()
            && self
                .find_keys(&connected.session)
                .is_ok_and(|keys| keys == [connected.key])
    }

    fn connect(&mut self, context: &Pkcs11, generation: u64) -> Result<Connected, TokenError> {
        let (slot, info) = self.find_slot(context)?;
        let session = context.open_ro_session(slot)?;
        self.login(&session, &info)?;
        let mechanism = self.mechanism(context, slot)?;
        let key = match self.find_keys(&session)?[..] {
            [key] => key,
            [] => return Err(self.no_key("its token holds no such key")),
            _ => return Err(self.no_key("its token holds several such keys")),
        };
        self.warn_if_extractable(&session, key);
        Ok(Connected {
            generation,
            session,
            slot,
            key,
            mechanism,
        })
    }

    /// The slot with the token that the URI means.
    fn find_slot(&self, context: &Pkcs11) -> Result<(Slot, TokenInfo), TokenError> {
        let mut found = Vec::new();
        for slot in context.get_slots_with_token()? {
            if self.uri.slot().is_some_and(|asked| asked != slot.id()) {
                continue;
            }
            // A token that was unplugged a moment ago does not count.
            let Ok(info) = context.get_token_info(slot) else {
                continue;
            };
            let slot_info = context.get_slot_info(slot);
            let described = slot_info
                .is_ok_and(|slot| self.uri.allows("slot-description", slot.slot_description()));
            if info.token_initialized() && self.matches_uri(&info) && described {
                found.push((slot, info));
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(unavailable(&self.url, "there is no such token").into()),
            _ => Err(self.no_key("several tokens are of this name")),
        }
    }

    fn matches_uri(&self, info: &TokenInfo) -> bool {
        self.uri.allows("token", info.label())
            && self.uri.allows("manufacturer", info.manufacturer_id())
            && self.uri.allows("model", info.model())
            && self.uri.allows("serial", info.serial_number())
    }

    fn mechanism(&self, context: &Pkcs11, slot: Slot) -> Result<WrapMechanism, TokenError> {
        let mechanism = WrapMechanism::of_token(context, slot)?;
        mechanism.ok_or_else(|| {
            self.no_key("its token has neither CKM_AES_GCM nor CKM_AES_KEY_WRAP_PAD")
        })
    }

    fn find_keys(&self, session: &Session) -> Result<Vec<ObjectHandle>, Error> {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
        ];
        if let Some(label) = self.uri.value("object") {
            template.push(Attribute::Label(label.to_vec()));
        }
        if let Some(id) = self.uri.value("id") {
            template.push(Attribute::Id(id.to_vec()));
        }
        session.find_objects(&template)
    }

    /// A key that others created may lack the attributes it should have.
    fn warn_if_extractable(&self, session: &Session, key: ObjectHandle) {
        let asked = [AttributeType::Extractable, AttributeType::Sensitive];
        let Ok(found) = session.get_attributes(key, &asked) else {
            return;
        };
        let is_loose = found.contains(&Attribute::Extractable(true))
            || found.contains(&Attribute::Sensitive(false));
        if is_loose {
            warn!(
                "the key of {} can be taken out of its token: let waxseal make one (--create-key)",
                self.url
            );
        }
    }

    fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }

    fn no_key(&self, cause: &'static str) -> TokenError {
        let custodian = self.url.clone();
        TokenError::Custodian(CustodianError::NoKey { custodian, cause })
    }

    /// The error of a failure, for the caller.
    fn explain(&self, error: TokenError, operation: &'static str) -> CustodianError {
        match error {
            TokenError::Custodian(error) | TokenError::Login(error) => error,
            TokenError::Module(error) if is_no_module(&error) => CustodianError::NoKey {
                custodian: self.url.clone(),
                cause: "the module cannot be loaded",
            },
            TokenError::Module(error) if meaning(&error) == Meaning::Denied => {
                CustodianError::Denied {
                    custodian: self.url.clone(),
                    operation,
                    cause: words(&error),
                }
            }
            TokenError::Module(error) => unavailable(&self.url, &words(&error)),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Drops a session of an earlier initialisation without closing it: its handle may be that of
/// another one by now.
fn abandon(connected: Option<Connected>) {
    if let Some(connected) = connected {
        std::mem::forget(connected.session);
    }
}
