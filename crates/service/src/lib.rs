//! The parts of a running Waxseal (a proxy, a keeper, a sweep) beside the command line.
//!
//! Settings come in as plain data, from flags, the environment and a file ([`configuration`],
//! [`environment`]); what they name is opened in [`resources`]. A failure leaves as [`Failure`]: what happened, on
//! what, and what to do about it. A warning that does not end anything leaves through [`notice`]. Nothing here
//! parses arguments or prints.

pub mod admin;
pub mod adoption;
pub mod audit;
pub mod audit_log;
pub mod canary;
pub mod certificates;
pub mod configuration;
pub mod decoys;
pub mod demo;
pub mod descriptors;
pub mod doctor;
pub mod due;
pub mod environment;
pub mod erasure;
pub mod failure;
pub mod hardening;
pub mod keyring_change;
pub mod keyring_text;
pub mod members;
pub mod memory;
pub mod metering;
pub mod names;
pub mod notice;
pub mod panics;
pub mod proxy;
pub mod readiness;
pub mod recorded;
pub mod refusals;
pub mod resources;
pub mod restoration;
pub mod retirement;
pub mod sample_states;
pub mod status;
pub mod unmatched;
pub mod upstream;
pub mod values;

use std::time::{SystemTime, UNIX_EPOCH};

pub use failure::{Ended, Failure};

/// Returns the time, in milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
