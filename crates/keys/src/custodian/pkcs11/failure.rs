//! Maps a module's return codes. None of its texts is passed on.

use cryptoki::error::{Error, RvError};

/// The reaction to a return code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The session or the token is lost: reconnect.
    Lost,
    /// The whole module must be reinitialised.
    Uninitialized,
    /// The input to unwrap was not wrapped by it; or, from a module that reports no better,
    /// anything at all.
    Bad,
    /// The operation is not allowed.
    Denied,
    /// Anything else.
    Other,
}

pub(super) fn meaning(error: &Error) -> Meaning {
    let Error::Pkcs11(code, _) = error else {
        return Meaning::Other;
    };
    match code {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::WrappingKeyHandleInvalid
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::UserNotLoggedIn
        | RvError::OperationActive => Meaning::Lost,
        RvError::CryptokiNotInitialized => Meaning::Uninitialized,
        RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::SignatureInvalid
        | RvError::ArgumentsBad
        | RvError::BufferTooSmall
        // Some modules report only this for a wrong tag.
        | RvError::GeneralError
        | RvError::FunctionFailed => Meaning::Bad,
        RvError::KeyFunctionNotPermitted
        | RvError::AttributeSensitive
        | RvError::ActionProhibited
        | RvError::KeyTypeInconsistent
        | RvError::WrappingKeyTypeInconsistent
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::FunctionRejected
        | RvError::TokenWriteProtected
        | RvError::SessionReadOnly => Meaning::Denied,
        _ => Meaning::Other,
    }
}

/// The meaning of a return code of the login. A failed login is never repeated automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtLogin {
    /// The session or the token was lost: the PIN was not checked.
    Lost,
    /// The device failed.
    DeviceError,
    /// The PIN, or something indistinguishable from it.
    Refused,
}

pub(super) fn at_login(error: &Error) -> AtLogin {
    let Error::Pkcs11(code, _) = error else {
        return AtLogin::Refused;
    };
    match code {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => AtLogin::Lost,
        RvError::DeviceError | RvError::DeviceMemory | RvError::HostMemory => AtLogin::DeviceError,
        _ => AtLogin::Refused,
    }
}

/// True if there is no usable module: waiting does not help.
pub(super) fn is_no_module(error: &Error) -> bool {
    matches!(
        error,
        Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::NullFunctionPointer
    )
}

/// The return code in the standard's words, which contain no data.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), function) => {
            format!("{function}: code {code:#x}")
        }
        Error::Pkcs11(code, function) => format!("{function}: {code:?}"),
        Error::NotSupported => "the module lacks a function that is needed".to_owned(),
        _ => "the module returned an invalid answer".to_owned(),
    }
}
