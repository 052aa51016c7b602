//! What a module's return codes mean for us. None of its texts is passed on.

use cryptoki::error::{Error, RvError};

/// What is to be done about a return code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The session or the token is gone: connect anew.
    Lost,
    /// The whole module must begin anew.
    Uninitialized,
    /// What it was given to unwrap is not what it wrapped; or, from a module that tells no better,
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
        // Some modules say no more than this about a wrong tag.
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

/// What a return code of the login means. A login that failed is never repeated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtLogin {
    /// The session or the token was gone: the PIN was not looked at.
    Lost,
    /// The device is not well.
    Unwell,
    /// The PIN, or something that cannot be told from it.
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
        RvError::DeviceError | RvError::DeviceMemory | RvError::HostMemory => AtLogin::Unwell,
        _ => AtLogin::Refused,
    }
}

/// Whether there is no module, or none that can be used: waiting does not help.
pub(super) fn is_no_module(error: &Error) -> bool {
    matches!(
        error,
        Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::NullFunctionPointer
    )
}

/// The return code in words of the standard: it names nothing of anybody.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), function) => {
            format!("{function}: code {code:#x}")
        }
        Error::Pkcs11(code, function) => format!("{function}: {code:?}"),
        Error::NotSupported => "the module lacks a function that is needed".to_owned(),
        _ => "the module answers something that makes no sense".to_owned(),
    }
}
