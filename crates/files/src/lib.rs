//! Files and sockets beside a path that an operator named, opened so that another user cannot redirect them. All code
//! that creates, locks or replaces such a file uses this crate: the process may run as root in the directory of a
//! service, or as any user in `/tmp`.
//!
//! - A name is opened without following a symbolic link. The path that the operator named may be a link, if it belongs
//!   to a trusted user ([`Location::resolve`]).
//! - Files that are written to are regular files with one name, of this user, of root or of the owner of the directory.
//! - Owner and mode are changed only of files that the same call created.

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
