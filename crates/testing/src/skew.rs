//! A clock that is wrong, for one program: a small library in C that is loaded before it.

use std::process::Command;

use tempfile::TempDir;

use crate::tools::{on_path, workspace_root};

/// The clock of a program, ahead of or behind that of this machine.
#[derive(Debug)]
pub struct Skew {
    directory: TempDir,
    seconds: i64,
}

impl Skew {
    /// A clock that is so many days ahead; behind, where the number is negative.
    ///
    /// # Panics
    ///
    /// When there is no C compiler, or it fails.
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
        Self {
            directory,
            seconds: days * 24 * 3600,
        }
    }

    /// What the program needs in its environment.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let library = self.directory.path().join("skew.so");
        vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("WAXSEAL_SKEW_SECONDS".to_owned(), self.seconds.to_string()),
        ]
    }
}
