//! A wrong clock for one program: a small library in C that is preloaded.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::tools::{on_path, workspace_root};

/// The clock of a program, ahead of or behind that of this machine.
#[derive(Debug)]
pub struct Skew {
    directory: TempDir,
}

impl Skew {
    /// A clock that is this many days ahead, or behind if negative.
    ///
    /// # Panics
    ///
    /// If there is no C compiler, or it fails.
    #[must_use]
    pub fn of_days(days: i64) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-skew-")
            .tempdir()
            .expect("make a directory for the library");
        let source = workspace_root().join("crates/testing/modules/skew.c");
        let mut compiler = Command::new(on_path("cc"));
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        compiler.arg(directory.path().join("skew.so")).arg(source);
        let output = compiler.arg("-ldl").output().expect("run the C compiler");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let skew = Self { directory };
        skew.set_days(days);
        skew
    }

    /// Sets the clock of the programs that use it this many days ahead, from now on.
    ///
    /// # Panics
    ///
    /// If the control file cannot be written.
    pub fn set_days(&self, days: i64) {
        let seconds = days * 24 * 3600;
        let new = self.directory.path().join("new");
        fs::write(&new, seconds.to_string()).expect("write the file of the skew");
        fs::rename(new, self.file()).expect("replace the file of the skew");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("seconds")
    }

    /// Environment variables of the program.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let library = self.directory.path().join("skew.so");
        vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            (
                "WAXSEAL_SKEW_FILE".to_owned(),
                self.file().display().to_string(),
            ),
        ]
    }
}
