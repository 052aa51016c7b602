//! Tests of every store through its public interface: the common suite, and what each promises
//! beyond it.

mod embedded;
mod memory;
mod named;
mod redis;
