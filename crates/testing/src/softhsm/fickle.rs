//! A token that fails as hardware does: a small module in C in front of SoftHSM's, which reads its mode
//! from a file before each call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Token, failure};
use crate::tools::{on_path, workspace_root};

/// How a token feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// All is well.
    Well,
    /// It was pulled out.
    Gone,
    /// It does not answer.
    Hang,
    /// It restarts at the next call: sessions and logins are lost.
    Restart,
    /// It has no resources left.
    Busy,
    /// Its key may not encrypt.
    NoWrap,
    /// Its key may not decrypt.
    NoUnwrap,
    /// What it decrypts is something else.
    Garbage,
    /// Every login fails, with a code that says nothing.
    NoLogin,
    /// It shows the values of no objects.
    Mute,
    /// A login takes half a second.
    SlowLogin,
    /// The same, and other processes that get to the token meanwhile fail.
    OneLogin,
}

/// A module that is built for a [`Token`], which must live as long.
#[derive(Debug)]
pub struct FaultyModule {
    directory: TempDir,
    behind: PathBuf,
}

impl FaultyModule {
    /// Builds the module, which feels well.
    ///
    /// # Panics
    ///
    /// When there is no C compiler, or it fails.
    #[must_use]
    pub fn new(token: &Token) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-fickle-")
            .tempdir()
            .expect("make a directory for the module");
        let source = workspace_root().join("crates/testing/modules/fickle.c");
        let mut compiler = Command::new(on_path("cc"));
        compiler.args(["-shared", "-fPIC", "-O1", "-w", "-o"]);
        compiler.arg(directory.path().join("fickle.so")).arg(source);
        let output = compiler.arg("-ldl").output().expect("run the C compiler");
        assert!(output.status.success(), "{}", failure(&output));
        let this = Self {
            directory,
            behind: token.module(),
        };
        this.set_mode(FaultMode::None);
        this
    }

    /// The library to load instead of [`Token::module`].
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.directory.path().join("fickle.so")
    }

    /// What a program that loads it needs in its environment, beside [`Token::env`].
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let shown = |path: &Path| path.display().to_string();
        vec![
            ("WAXSEAL_FICKLE_MODULE".to_owned(), shown(&self.behind)),
            ("WAXSEAL_FICKLE_MOOD".to_owned(), shown(&self.mode())),
        ]
    }

    /// Feels like this from the next call on.
    ///
    /// # Panics
    ///
    /// When the mode cannot be written.
    pub fn set_mode(&self, mode: FaultMode) {
        let word = match mode {
            FaultMode::None => "well",
            FaultMode::Removed => "gone",
            FaultMode::Hang => "hang",
            FaultMode::Restart => "restart",
            FaultMode::Busy => "busy",
            FaultMode::NoWrap => "no-wrap",
            FaultMode::NoUnwrap => "no-unwrap",
            FaultMode::Garbage => "garbage",
            FaultMode::NoLogin => "no-login",
            FaultMode::Mute => "mute",
            FaultMode::SlowLogin => "slow-login",
            FaultMode::OneLogin => "one-login",
        };
        // Never seen half written.
        let next = self.directory.path().join("next");
        fs::write(&next, word).expect("write the mood");
        fs::rename(next, self.mode()).expect("change the mood");
    }

    fn mode(&self) -> PathBuf {
        self.directory.path().join("mood")
    }
}
