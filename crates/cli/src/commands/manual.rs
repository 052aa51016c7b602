//! `completions` and `man`: made from the same description as the flags themselves.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::{Ended, Failure};
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<Ended, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "waxseal", &mut script);
    output::bytes(&script)?;
    Ok(Ended::Done)
}

pub(crate) fn pages(folder: &Path) -> Result<Ended, Failure> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    output::say(&format!(
        "waxseal: wrote the man pages to {}",
        folder.display()
    ));
    Ok(Ended::Done)
}
