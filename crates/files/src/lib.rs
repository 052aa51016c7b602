//! Files and sockets beside a path that an operator named, opened so that another user cannot redirect
//! them. Everything that creates, locks or replaces such a file goes through here: the process may run as
//! root in a directory of a service, or as anybody in `/tmp`.
//!
//! - A name is opened without following a symbolic link. The path that the operator named may be a link,
//!   if a user who is trusted put it there ([`Location::resolve`]).
//! - What is written to is a regular file with one name, of this user, of root or of the owner of its
//!   directory.
//! - Owner and mode are changed only of a file that the same call created.
//!
//! What the files hold is not known here.

mod directory;
mod implicit;
mod link;
mod location;
mod new_file;
mod output_file;
mod owner;
mod refusal;
mod socket;

pub use directory::create_directory;
pub use implicit::{Untrusted, read_implicit, read_untrusted};
pub use location::{Access, Location};
pub use new_file::NewFile;
pub use output_file::{OutputFile, OutputFileError, is_same_path};
pub use refusal::{Refusal, description};
pub use socket::{UnixSocket, bind};
