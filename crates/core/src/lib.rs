//! The core of Waxseal: keys, the two formats of envelopes, and the operations *seal*, *open* and *reseal*.
//!
//! It works on bytes in memory: no I/O, no clock, no environment, no logging, no async; its only system call is the
//! random source of the operating system. Callers decide what to do about a value that does not open: return the error,
//! treat it as absent, or move it to quarantine.
//!
//! ```
//! use std::sync::Arc;
//! use waxseal_core::{Binding, Format, Keyring, Mode, Sealer, SecretKey};
//!
//! let keyring = Arc::new(Keyring::new(SecretKey::generate()?)?);
//! let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
//!
//! let binding = Binding::record(b"wa:5215512345678");
//! let envelope = sealer.seal(br#"{"status":"confirming"}"#, binding)?;
//! let opened = sealer.open(&envelope, binding)?.expect("not empty");
//! assert_eq!(&*opened.value, br#"{"status":"confirming"}"#);
//!
//! // The envelope is bound to its record: elsewhere it does not open.
//! assert!(sealer.open(&envelope, Binding::record(b"wa:5215500000000")).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod armor;
mod binding;
mod classic;
mod datakey;
mod envelope;
mod error;
mod fingerprint;
mod group;
pub mod hex;
mod index_key;
mod key;
mod keyed_hash;
mod keyring;
mod mask;
mod names;
mod options;
mod plain;
mod script_digest;
mod sealed;
mod sealer;
mod signature;
mod siv;
mod terminal;
mod user_key;
mod version;
mod wrapping;
mod xaes;

pub use binding::Binding;
pub use datakey::DataKey;
pub use envelope::{Defect, Flags, Header, Shape};
pub use error::{KeyError, KeyFlaw, KeyringError, NameError, OpenError, ResealError, SealError};
pub use fingerprint::fingerprint;
pub use group::Group;
pub use index_key::{IndexKey, IndexKeyRole};
pub use key::{KeyId, SecretKey};
pub use keyed_hash::KeyedHash;
pub use keyring::{IndexKeyUsage, KeyRole, KeyUsage, Keyring, RecordsInOneForm, SharedKeyring};
pub use mask::NameMask;
pub use names::{NamePrefix, NameSealer, PadNames, PreparedNames};
pub use options::{Format, InvalidOption, Mode, PlainValues};
pub use script_digest::script_digest;
pub use sealer::{Form, OpenedValue, ResealOutcome, Sealer};
pub use signature::{SigningKey, verify_signature};
pub use terminal::{escape_for_terminal, sanitize_for_terminal};
pub use user_key::UserKey;
pub use version::{EnvelopeRules, EnvelopeVersion, OldFormat};
pub use waxseal_kinds::{Kind, NameState};
pub use wrapping::WrappingKey;
