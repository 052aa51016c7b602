//! A token and one session with it: found by its URI, logged in, and connected anew after it was pulled
//! or restarted. A PIN is given once: a token that does not take it is not asked again.

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
use super::mechanism::Way;
use super::module::{InUse, Module};
use super::unavailable;
use super::uri::Pkcs11Uri;
use crate::error::CustodianError;

mod login;

/// Length of the key in bytes: AES-256.
const KEY_LEN: c_ulong = 32;
/// Before a token that is gone is looked for again. Some are away for a moment while another process
/// uses them.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(400),
];
/// Where the URI names no module.
const MODULE: &str = "PKCS11_MODULE_PATH";

/// A token, as this process uses it.
pub(super) struct Token {
    uri: Pkcs11Uri,
    url: String,
    module: Module,
    variables: Variables,
    /// Whether it was logged already that logins here are not serialised.
    has_warned: bool,
    connected: Option<Connected>,
    /// Whether nobody waits for this token any more.
    dropped: Arc<AtomicBool>,
}

/// A session, logged in, with the key.
struct Connected {
    /// The time of the module that all of it is from.
    generation: u64,
    session: Session,
    slot: Slot,
    key: ObjectHandle,
    way: Way,
}

impl Connected {
    /// Whether its handles are still those of this module.
    fn is_of(&self, in_use: &InUse<'_>) -> bool {
        in_use.context().is_some() && in_use.generation() == self.generation
    }
}

/// Why something that was asked of a token did not work.
enum Degraded {
    Module(Error),
    Custodian(CustodianError),
    /// At the login, which is not tried again.
    Login(CustodianError),
}

impl From<Error> for Degraded {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<CustodianError> for Degraded {
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
            None => variable(MODULE, &variables)?
                .ok_or_else(|| CustodianError::NotSet {
                    variable: MODULE.to_owned(),
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
            let Connected { session, way, .. } = connected;
            Ok(way.wrap(session, connected.key, key, context)?)
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
        let way = wrapped.mechanism.as_deref().and_then(Way::parse);
        let way = way.ok_or_else(refused)?;
        let refused = refused();
        let key = self.with_key("unwrap", |connected| {
            let Connected { session, key, .. } = connected;
            Ok(way.unwrap(session, *key, &wrapped.bytes, context)?)
        })?;
        key.ok_or(refused)
    }

    /// Makes the key that the URI names.
    pub(super) fn create_key(&mut self) -> Result<(), CustodianError> {
        let made = self.make_key();
        made.map_err(|degraded| self.told(degraded, "create a key"))
    }

    fn make_key(&mut self) -> Result<(), Degraded> {
        // The session of this thread, if there is one, only reads; the login counts for both.
        let module = self.module.clone();
        // Held until the key is made: of two processes that make it at once, the second finds it.
        let _lock = self.lock_logins();
        let in_use = module.in_use()?;
        let context = in_use.context().ok_or(Error::NotSupported)?;
        let (slot, info) = self.find_slot(context)?;
        let session = context.open_rw_session(slot)?;
        self.login(&session, &info)?;
        let way = self.way(context, slot)?;
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
        template.extend(way.rights());
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

    /// Does something with the key; again where the token was pulled or restarted since the last time.
    fn with_key<T>(
        &mut self,
        operation: &'static str,
        work: impl Fn(&Connected) -> Result<T, Degraded>,
    ) -> Result<T, CustodianError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let degraded = match self.once(&work) {
                Ok(done) => return Ok(done),
                Err(degraded) => degraded,
            };
            let found = match &degraded {
                Degraded::Module(error) => meaning(error),
                // Some modules see only tokens that were there when they began.
                Degraded::Custodian(CustodianError::Unavailable { .. }) => Meaning::Uninitialized,
                Degraded::Custodian(_) | Degraded::Login(_) => Meaning::Denied,
            };
            let is_gone = match found {
                Meaning::Lost | Meaning::Uninitialized => true,
                // A module that says no more than "failed": does the token still answer?
                Meaning::Bad | Meaning::Other => !self.is_well(),
                Meaning::Denied => false,
            };
            let pause = pauses.next().filter(|_| is_gone && !self.is_dropped());
            if is_gone {
                self.disconnect();
                // What stays after a connection anew lies deeper.
                if found == Meaning::Uninitialized || pause.is_none() {
                    self.module.end();
                }
            }
            let Some(pause) = pause else {
                return Err(match (found, is_gone, operation) {
                    (Meaning::Bad, false, "unwrap") => CustodianError::Refused {
                        custodian: self.url.clone(),
                    },
                    _ => self.told(degraded, operation),
                });
            };
            thread::sleep(pause);
            debug!("the token of {} is connected anew", self.url);
        }
    }

    fn once<T>(&mut self, work: impl Fn(&Connected) -> Result<T, Degraded>) -> Result<T, Degraded> {
        let module = self.module.clone();
        let in_use = module.in_use_already();
        if let Some(connected) = &self.connected
            && connected.is_of(&in_use)
        {
            return work(connected);
        }
        drop(in_use);
        forget(self.connected.take());
        // Before the module is initialised: that reads the token as well.
        let lock = self.lock_logins();
        let in_use = module.in_use()?;
        let context = in_use.context().ok_or(Error::NotSupported)?;
        let connected = self.connect(context, in_use.generation())?;
        drop(lock);
        work(self.connected.insert(connected))
    }

    /// Gives the session back, if it is still ours.
    fn disconnect(&mut self) {
        let Some(connected) = self.connected.take() else {
            return;
        };
        let in_use = self.module.in_use_already();
        if connected.is_of(&in_use) {
            drop(connected);
        } else {
            forget(Some(connected));
        }
    }

    /// Whether the token still answers, and is still the same.
    fn is_well(&self) -> bool {
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
        info.is_some_and(|info| self.is_meant(&info))
            && connected.session.get_session_info().is_ok()
            && self
                .find_keys(&connected.session)
                .is_ok_and(|keys| keys == [connected.key])
    }

    fn connect(&mut self, context: &Pkcs11, generation: u64) -> Result<Connected, Degraded> {
        let (slot, info) = self.find_slot(context)?;
        let session = context.open_ro_session(slot)?;
        self.login(&session, &info)?;
        let way = self.way(context, slot)?;
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
            way,
        })
    }

    /// The slot with the token that is meant.
    fn find_slot(&self, context: &Pkcs11) -> Result<(Slot, TokenInfo), Degraded> {
        let mut found = Vec::new();
        for slot in context.get_slots_with_token()? {
            if self.uri.slot().is_some_and(|asked| asked != slot.id()) {
                continue;
            }
            // One that was pulled a moment ago is none.
            let Ok(info) = context.get_token_info(slot) else {
                continue;
            };
            let slot_info = context.get_slot_info(slot);
            let described = slot_info
                .is_ok_and(|slot| self.uri.allows("slot-description", slot.slot_description()));
            if info.token_initialized() && self.is_meant(&info) && described {
                found.push((slot, info));
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(unavailable(&self.url, "there is no such token").into()),
            _ => Err(self.no_key("several tokens are of this name")),
        }
    }

    fn is_meant(&self, info: &TokenInfo) -> bool {
        self.uri.allows("token", info.label())
            && self.uri.allows("manufacturer", info.manufacturer_id())
            && self.uri.allows("model", info.model())
            && self.uri.allows("serial", info.serial_number())
    }

    fn way(&self, context: &Pkcs11, slot: Slot) -> Result<Way, Degraded> {
        let way = Way::of_token(context, slot)?;
        way.ok_or_else(|| self.no_key("its token has neither CKM_AES_GCM nor CKM_AES_KEY_WRAP_PAD"))
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

    /// A key that others put there may not be what a custodian's should be.
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

    fn no_key(&self, cause: &'static str) -> Degraded {
        let custodian = self.url.clone();
        Degraded::Custodian(CustodianError::NoKey { custodian, cause })
    }

    /// A degraded as it is told.
    fn told(&self, degraded: Degraded, operation: &'static str) -> CustodianError {
        match degraded {
            Degraded::Custodian(error) | Degraded::Login(error) => error,
            Degraded::Module(error) if is_no_module(&error) => CustodianError::NoKey {
                custodian: self.url.clone(),
                cause: "the module cannot be loaded",
            },
            Degraded::Module(error) if meaning(&error) == Meaning::Denied => {
                CustodianError::Denied {
                    custodian: self.url.clone(),
                    operation,
                    cause: words(&error),
                }
            }
            Degraded::Module(error) => unavailable(&self.url, &words(&error)),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Lets go of a session of an earlier time without closing it: its number may be that of another one by
/// now.
fn forget(connected: Option<Connected>) {
    if let Some(connected) = connected {
        std::mem::forget(connected.session);
    }
}
