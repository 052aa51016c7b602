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

/// The return code in words of the standard: it names nothing of anybody.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), function) => {
            format!("{function}: code {code:#x}")
        }
        Error::Pkcs11(code, function) => format!("{function}: {code:?}"),
        Error::LibraryLoading(_) => "the module cannot be loaded".to_owned(),
        Error::MissingSymbol(_) | Error::NullFunctionPointer | Error::NotSupported => {
            "the module lacks a function that is needed".to_owned()
        }
        _ => "the module answers something that makes no sense".to_owned(),
    }
}
