//! The public interface of the codec: input cut anywhere, damaged anywhere, at every bound, and compared
//! with real servers. The meaning of commands is not tested here.

mod bounds;
mod damage;
mod drive;
mod inline;
mod replies;
mod requests;
mod samples;
mod server;
mod tail;
