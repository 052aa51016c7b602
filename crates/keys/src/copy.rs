//! The last good copy: the newest document that this machine has seen, in a file. It shows a rollback
//! to a process that has just started, and brings back a ring whose place lost it.

use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::place::write;

/// The file of the last good copy.
#[derive(Clone, Debug)]
pub(crate) struct LastGood {
    path: PathBuf,
}

impl LastGood {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn read(&self) -> std::io::Result<Option<Vec<u8>>> {
        let path = self.path.clone();
        let read = spawn_blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        read.await.unwrap_or(Ok(None))
    }

    pub(crate) async fn keep(&self, bytes: Vec<u8>) -> std::io::Result<()> {
        let path = self.path.clone();
        let kept = spawn_blocking(move || write(&path, &bytes, true)).await;
        kept.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
    }
}
