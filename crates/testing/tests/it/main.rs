//! What the other crates' tests rely on: servers that start, die and come back, certificates that
//! are checked, a Node that agrees with itself.

mod node;
mod servers;
mod tls;
