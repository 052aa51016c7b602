//! The command line as its users see it: the real binary in a folder of its own with a clean
//! environment, against real servers and embedded files. What the libraries beneath promise is
//! tested there.

mod alerts;
mod audit;
mod audit_log;
mod configuration;
mod custody;
mod decoys;
mod decrypt;
mod demo;
mod doctor;
mod drop_in;
mod faults;
mod full_cycle;
mod hardening;
mod key;
mod keyring;
mod load;
mod manual;
mod metrics;
mod migrate;
mod planted;
mod program;
mod proxied;
mod proxy;
mod quarantine;
mod record;
mod records;
mod remedies;
mod rotate;
mod secret_files;
mod status_page;
#[cfg(feature = "opentelemetry")]
mod telemetry;
mod to_sealed;
mod torture;
mod value;
mod wrong_key;
