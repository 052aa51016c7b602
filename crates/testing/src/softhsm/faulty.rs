//! A token that fails as hardware does: a small module in C in front of SoftHSM's, which reads its
//! fault mode from a file before each call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Token, failure};
use crate::tools::{on_path, workspace_root};

/// The failure that a token shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// No failure.
    None,
    /// It was unplugged.
    Removed,
    /// It does not answer.
    Hang,
    /// It restarts at the next call: sessions and logins are lost.
    Restart,
    /// It has no resources left.
    Busy,
    /// Its key may not be used to encrypt.
    NoWrap,
    /// Its key may not be used to decrypt.
    NoUnwrap,
    /// It returns wrong bytes when decrypting.
    Garbage,
    /// Every login fails, with an unspecific code.
    NoLogin,
    /// It does not reveal the values of objects.
    Mute,
    /// A login takes half a second.
    SlowLogin,
    /// The same, and other processes that access the token meanwhile fail.
    OneLogin,
}

/// A module built for a [`Token`], which must live as long.
#[derive(Debug)]
pub struct FaultyModule {
    directory: TempDir,
    real_module: PathBuf,
}

impl FaultyModule {
    /// Builds the module, in the mode without failures.
    ///
    /// # Panics
    ///
    /// If there is no C compiler, or it fails.
    #[must_use]
    pub fn new(token: &Token) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-faulty-")
            .tempdir()
            .expect("make a directory for the module");
        let source = workspace_root().join("crates/testing/modules/faulty.c");
        let mut compiler = Command::new(on_path("cc"));
        compiler.args(["-shared", "-fPIC", "-O1", "-w", "-o"]);
        compiler.arg(directory.path().join("faulty.so")).arg(source);
        let output = compiler.arg("-ldl").output().expect("run the C compiler");
        assert!(output.status.success(), "{}", failure(&output));
        let this = Self {
            directory,
            real_module: token.module(),
        };
        this.set_mode(FaultMode::None);
        this
    }

    /// The library to load instead of [`Token::module`].
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.directory.path().join("faulty.so")
    }

    /// Environment variables for a program that loads it, in addition to [`Token::env`].
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let shown = |path: &Path| path.display().to_string();
        vec![
            ("WAXSEAL_FAULTY_MODULE".to_owned(), shown(&self.real_module)),
            ("WAXSEAL_FAULT_MODE".to_owned(), shown(&self.mode())),
        ]
    }

    /// Sets the mode from the next call on.
    ///
    /// # Panics
    ///
    /// If the mode cannot be written.
    pub fn set_mode(&self, mode: FaultMode) {
        let name = match mode {
            FaultMode::None => "none",
            FaultMode::Removed => "removed",
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
        // Replaced atomically: never read half written.
        let next = self.directory.path().join("next");
        fs::write(&next, name).expect("write the mode");
        fs::rename(next, self.mode()).expect("change the mode");
    }

    fn mode(&self) -> PathBuf {
        self.directory.path().join("mode")
    }
}
