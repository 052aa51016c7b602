//! Tests of the public interface of the core.

mod accepted;
mod damage;
mod deterministic;
mod documented;
mod names;
mod node;
mod opening;
mod oracle;
mod planted;
mod sealing;
mod vectors;

use std::sync::Arc;

use waxseal_core::{Format, Keyring, Mode, Sealer};

const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
const OLD_KEY: &str = "91d2c3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738a1c05f3e7b9d2846f0";
const OTHER_KEY: &str = "0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f6c1f";

/// A conversation state with accents.
const STATE: &[u8] =
    r#"{"status":"collecting_data","data":{"nombre_completo":"María Núñez"}}"#.as_bytes();

fn sealer(key: &str, previous: &str, mode: Mode, format: Format) -> Sealer {
    Sealer::new(
        Arc::new(Keyring::from_hex(key, previous).unwrap()),
        mode,
        format,
    )
}
