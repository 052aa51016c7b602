//! The command line as its users see it: the real binary in a directory of its own with a clean
//! environment, against real servers and embedded files. What the libraries beneath promise is
//! tested there.

mod admin_limits;
mod alerts;
mod applications;
mod audit;
mod audit_log;
mod chaos;
mod configuration;
mod custody;
mod decoys;
mod decrypt;
mod demo;
mod doctor;
mod drop_in;
mod envelopes;
mod faults;
mod full_cycle;
mod hangups;
mod hardening;
mod key;
mod keyring;
mod load;
mod log;
mod manual;
mod metrics;
mod migrate;
mod model;
mod name_commands;
mod names_switch;
mod plaintext;
mod planted;
mod program;
mod proxied;
mod proxy;
mod quarantine;
mod reach;
mod record;
mod records;
mod remedies;
mod rotate;
mod secret_files;
mod signals;
mod status_page;
#[cfg(feature = "opentelemetry")]
mod telemetry;
mod terminal;
mod to_sealed;
mod torture;
mod two_users;
#[cfg(not(feature = "opentelemetry"))]
mod untold;
mod upgrade;
mod value;
mod wrong_key;
