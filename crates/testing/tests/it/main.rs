//! Tests of what the other crates' tests rely on: servers that start, end and come back,
//! certificates that are verified, a Node that agrees with itself.

mod node;
mod servers;
mod tls;
