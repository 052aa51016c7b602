//! The login to a token: serialised with other processes, and with a refused PIN that is never sent
//! again.

use std::sync::Mutex;

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;
use tracing::warn;
use zeroize::Zeroizing;

use super::super::super::file;
use super::super::super::local::variable;
use super::super::failure::{AtLogin, at_login, words};
use super::super::login_lock::LoginLock;
use super::super::unavailable;
use super::super::uri::PinSource;
use super::{Token, TokenError};
use crate::custodian::CustodianError;
use crate::sync::lock;

/// Used if the URI names no source of the PIN.
const PIN: &str = "PKCS11_PIN";

/// A PIN that a token rejected.
struct Refusal {
    /// The token's label and serial number.
    token: [String; 2],
    pin: Zeroizing<String>,
    cause: &'static str,
}

/// The refusals in this process, of all its custodians.
static REFUSALS: Mutex<Vec<Refusal>> = Mutex::new(Vec::new());

/// Why a token refused this PIN, if it did.
fn refusal(info: &TokenInfo, pin: &Zeroizing<String>) -> Option<&'static str> {
    let token = identity(info);
    let refusals = lock(&REFUSALS);
    let mut of_pin = refusals
        .iter()
        .filter(|it| it.token == token && it.pin == *pin);
    of_pin.next().map(|it| it.cause)
}

fn remember_refusal(info: &TokenInfo, pin: Zeroizing<String>, cause: &'static str) {
    let token = identity(info);
    lock(&REFUSALS).push(Refusal { token, pin, cause });
}

fn identity(info: &TokenInfo) -> [String; 2] {
    [info.label(), info.serial_number()].map(str::to_owned)
}

impl Token {
    /// Waits until no other process of this machine logs in. If that cannot be determined, or takes
    /// too long, the login proceeds with a warning.
    pub(super) fn lock_logins(&mut self) -> Option<LoginLock> {
        match LoginLock::acquire(self.module.path(), &self.dropped) {
            Ok(lock) => Some(lock),
            Err(unlocked) => {
                if let Some(cause) = unlocked.description()
                    && !self.has_warned
                {
                    self.has_warned = true;
                    warn!("logins to {} are not serialised: {cause}", self.url);
                }
                None
            }
        }
    }

    /// Logs in. A PIN that could bring the token closer to its lock is not tried. The flags must
    /// have been read under the same [`LoginLock`] as the login.
    pub(super) fn login(&mut self, session: &Session, info: &TokenInfo) -> Result<(), TokenError> {
        if !info.login_required() {
            return Ok(());
        }
        let wrong = |cause| {
            let custodian = self.url.clone();
            TokenError::Custodian(CustodianError::Pin { custodian, cause })
        };
        let pin = self.pin()?;
        if let Some(cause) = refusal(info, &pin) {
            return Err(wrong(cause));
        }
        if info.user_pin_locked() {
            return Err(wrong("it is locked"));
        }
        if info.user_pin_final_try() {
            return Err(wrong("one more wrong PIN would lock it"));
        }
        if info.user_pin_count_low() {
            return Err(wrong("a wrong one was given since the last login"));
        }
        let given = AuthPin::from(pin.to_string());
        match session.login(UserType::User, Some(&given)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                let cause = "it is wrong";
                remember_refusal(info, pin, cause);
                Err(wrong(cause))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(wrong("it is locked")),
            Err(Error::Pkcs11(RvError::PinExpired, _)) => Err(wrong("it has expired")),
            Err(Error::Pkcs11(RvError::UserPinNotInitialized, _)) => {
                Err(wrong("the token has none yet"))
            }
            Err(error) => Err(match at_login(&error) {
                AtLogin::Lost => error.into(),
                AtLogin::DeviceError => TokenError::Login(unavailable(&self.url, &words(&error))),
                // Whatever it means, it may have counted as a wrong PIN.
                AtLogin::Refused => {
                    let cause = "it refuses the login";
                    remember_refusal(info, pin, cause);
                    wrong(cause)
                }
            }),
        }
    }

    fn pin(&self) -> Result<Zeroizing<String>, CustodianError> {
        let not_set = |variable: &str| CustodianError::NotSet {
            variable: variable.to_owned(),
        };
        let pin = match &self.uri.pin {
            Some(PinSource::File(path)) => file::read_text(path)?,
            Some(PinSource::Variable(name)) => {
                variable(name, &self.variables)?.ok_or_else(|| not_set(name))?
            }
            None => variable(PIN, &self.variables)?.ok_or_else(|| not_set(PIN))?,
        };
        Ok(Zeroizing::new(
            pin.trim_end_matches(['\n', '\r']).to_owned(),
        ))
    }
}
