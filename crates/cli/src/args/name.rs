//! The names of records and fields: their bytes as typed, or, where a terminal or a shell cannot
//! type them, in hexadecimal digits.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use clap::Args;
use waxseal_stores::RecordName;

/// The name of a record.
#[derive(Args)]
pub(crate) struct NameArgs {
    /// The record
    // Record names are bytes.
    #[arg(required_unless_present = "name_hex", conflicts_with = "name_hex")]
    name: Option<OsString>,
    /// The record in hexadecimal digits, for a name that cannot be typed
    #[arg(long, value_name = "HEX")]
    name_hex: Option<Hex>,
}

/// The name of a field.
#[derive(Args)]
pub(crate) struct FieldArgs {
    /// One field of a hash record
    #[arg(long, value_name = "NAME")]
    field: Option<OsString>,
    /// The same in hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with = "field")]
    field_hex: Option<Hex>,
}

/// Bytes that are typed in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(Vec<u8>);

/// An argument that is not hexadecimal digits. The error does not repeat it.
const NOT_HEX: &str = "two hexadecimal digits for each byte are expected";

impl NameArgs {
    /// The name that was typed.
    pub(crate) fn name(&self) -> RecordName {
        RecordName::from(bytes(self.name.as_ref(), self.name_hex.as_ref()).unwrap_or_default())
    }
}

impl FieldArgs {
    /// The field that was typed.
    pub(crate) fn field(&self) -> Option<Vec<u8>> {
        bytes(self.field.as_ref(), self.field_hex.as_ref())
    }
}

/// The bytes that were typed in either way.
pub(crate) fn bytes(typed: Option<&OsString>, hex: Option<&Hex>) -> Option<Vec<u8>> {
    let typed = typed.map(|typed| typed.as_bytes().to_vec());
    typed.or_else(|| hex.map(|hex| hex.0.clone()))
}

/// Bytes as they are typed behind `--name-hex`.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    waxseal_core::hex::encode(bytes)
}

impl FromStr for Hex {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        waxseal_core::hex::decode_all(text).map(Self).ok_or(NOT_HEX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes_and_nothing_else_is() {
        for bytes in [&b""[..], b"wa:\xff\x00", b"\x0f"] {
            let Hex(read) = to_hex(bytes).parse().expect("it was written here");
            assert_eq!(read, bytes);
        }
        assert_eq!("77613AfF".parse(), Ok(Hex(b"wa:\xff".to_vec())));
        for text in ["7", "7x", "0x77", "77 61", "\u{e9}\u{e9}"] {
            assert_eq!(text.parse::<Hex>(), Err(NOT_HEX), "{text}");
        }
    }
}
