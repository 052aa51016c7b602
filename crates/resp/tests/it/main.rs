//! The codec through its public face: cut anywhere, damaged anywhere, at every bound, and side by
//! side with real servers. What a command means is not tested here.

mod bounds;
mod damage;
mod drive;
mod inline;
mod replies;
mod requests;
mod samples;
mod server;
mod tail;
