//! The settings of a process, from flags, the environment and a file.

pub mod file;
