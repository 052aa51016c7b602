//! The promises of the crate, on real servers: rings and keys of users in records, rotations that finish
//! whatever happens to the processes, users who stay erased.

mod behind;
mod clocks;
mod cycle;
mod erasure;
mod gate;
mod leaders;
mod lost_rings;
mod named;
mod races;
mod receipts;
mod restored;
mod retirement;
mod versions;
mod world;
