//! A list of users to erase: one user a line, as `{user}` of the patterns has it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest list that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A user of a list. Only the number of the line may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ListedUser {
    /// The number of its line, from 1.
    pub line: usize,
    /// The user.
    pub user: Vec<u8>,
}

/// An error of reading a list of users.
#[derive(Debug, thiserror::Error)]
pub enum UserListError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file is too long.
    #[error("{} is longer than 64 MiB", .0.display())]
    TooLong(PathBuf),
    /// No line names a user.
    #[error("{} names no user", .0.display())]
    Empty(PathBuf),
}

/// Reads a list of users from a file, or from stdin if the path is `-`.
pub fn read_user_list(path: &Path) -> Result<Vec<ListedUser>, UserListError> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES + 1;
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        false => File::open(path).and_then(|it| it.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| UserListError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(UserListError::TooLong(path.to_owned()));
    }
    let users = parse_user_list(&bytes);
    match users.is_empty() {
        true => Err(UserListError::Empty(path.to_owned())),
        false => Ok(users),
    }
}

/// Returns the users of a list, each once. Line ends of any system and a byte order mark are removed, and nothing
/// else: white space before or after a user may belong to it.
#[must_use]
pub fn parse_user_list(bytes: &[u8]) -> Vec<ListedUser> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut known = BTreeSet::new();
    let users = lines.filter_map(|(index, line)| {
        let user = line.strip_suffix(b"\r").unwrap_or(line);
        let is_new = !user.is_empty() && known.insert(user.to_vec());
        is_new.then(|| ListedUser {
            line: index + 1,
            user: user.to_vec(),
        })
    });
    users.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn reads_the_line_ends_of_any_system() {
        let list =
            parse_user_list(b"\xef\xbb\xbf5215512345678\r\n\r\n a \n5215512345678\n\xff\xfe");
        let list: Vec<_> = list.iter().map(|it| (it.line, &it.user[..])).collect();
        let user = &b"5215512345678"[..];
        assert_eq!(list, [(1, user), (3, &b" a "[..]), (5, &b"\xff\xfe"[..])]);
        assert!(parse_user_list(b"\n\r\n").is_empty());
    }

    #[test]
    fn refuses_a_file_that_is_missing_empty_or_too_long() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("users");
        let error = |path: &Path| read_user_list(path).err().unwrap();
        assert!(matches!(error(&path), UserListError::Unreadable { .. }));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(error(&path), UserListError::Empty(_)));
        let file = File::create(&path).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(error(&path), UserListError::TooLong(_)));
        fs::write(&path, "a\nb").unwrap();
        assert_eq!(read_user_list(&path).map_or(0, |users| users.len()), 2);
    }
}
