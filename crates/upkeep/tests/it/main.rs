//! What the crate promises, on real servers: rings and keys of users in records, rotations that finish
//! by themselves whatever happens to the processes, users who stay erased.

mod behind;
mod clocks;
mod cycle;
mod erasure;
mod gate;
mod leaders;
mod lost_rings;
mod races;
mod restored;
mod retirement;
mod world;
