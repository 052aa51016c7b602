//! `completions` and `man`: generated from the definition of the flags.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use waxseal_files::{Access, Location};
use waxseal_service::{Ended, Failure};

use crate::args::Cli;
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<Ended, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "waxseal", &mut script);
    output::bytes(&script)?;
    Ok(Ended::Done)
}

pub(crate) fn pages(directory: &Path) -> Result<Ended, Failure> {
    std::fs::create_dir_all(directory)?;
    // The library follows links, so it writes to a private directory first.
    let made = tempfile::TempDir::new()?;
    clap_mangen::generate_to(Cli::command(), &made)?;
    for page in std::fs::read_dir(&made)? {
        let page = page?;
        write(
            &directory.join(page.file_name()),
            &std::fs::read(page.path())?,
        )?;
    }
    output::stderr_line(&format!(
        "waxseal: wrote the man pages to {}",
        directory.display()
    ));
    Ok(Ended::Done)
}

/// Writes a page that is readable by everyone.
fn write(path: &Path, page: &[u8]) -> Result<(), Failure> {
    let location = Location::of(path)?;
    if location.open(Access::Read)?.is_none() {
        let everybody = std::fs::Permissions::from_mode(0o644);
        location.create_new()?.set_permissions(everybody)?;
    }
    Ok(location.replace(page, false)?)
}
