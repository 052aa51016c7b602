//! What a running Waxseal (a proxy, a keeper, a sweep) needs beside the command line.
//!
//! Settings come in as plain data, from flags, the environment and a file ([`configuration`],
//! [`environment`]). A failure leaves as [`Failure`]: what happened, on what, and what to do about it. A
//! warning that does not end anything leaves through [`notice`]. Nothing here parses arguments or prints.

pub mod audit_log;
pub mod configuration;
pub mod descriptors;
pub mod environment;
pub mod failure;
pub mod hardening;
pub mod memory;
pub mod notice;
pub mod panics;

pub use failure::{Ended, Failure};
