//! The arguments about backups of a keyring: `waxseal keyring export`, `import` and `rehearse`.

use std::path::PathBuf;

use clap::Args;
use waxseal_keys::Split;

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The file to write; one that exists is never overwritten
    #[arg(value_name = "FILE", required_unless_present = "shares")]
    #[arg(conflicts_with_all = ["shares", "out"])]
    pub(crate) file: Option<PathBuf>,
    /// A public age key (X25519) that can open it; can be repeated, each opens it alone
    #[arg(long, value_name = "age1…", conflicts_with = "shares")]
    pub(crate) recipient: Vec<String>,
    /// A file of such keys, one a line; # starts a comment. Can be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "shares")]
    pub(crate) recipients_file: Vec<PathBuf>,
    /// Split the key that opens it into shares, of which so many are needed
    #[arg(long, value_name = "M-of-N", value_parser = split, requires = "out")]
    pub(crate) shares: Option<Split>,
    /// The directory for backup.age and the shares; created if missing
    #[arg(long, value_name = "DIRECTORY", requires = "shares")]
    pub(crate) out: Option<PathBuf>,
}

/// The means to open a backup. Secrets are named by file, since others can read a command line.
#[derive(Args)]
pub(crate) struct OpeningArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A file with the age identity of a recipient, as age-keygen writes it; others must not be able to
    /// read it. Can be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "share")]
    pub(crate) identity: Vec<PathBuf>,
    /// A file with a share, as it was printed or typed again; others must not be able to read it. Can be
    /// repeated
    #[arg(long, value_name = "PATH", required_unless_present = "identity")]
    pub(crate) share: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    /// A custodian that wraps its keys from now on; can be repeated [default: custodian of waxseal.toml, else
    /// env:REDIS_ENCRYPTION_KEY]
    #[arg(long, value_name = "URL")]
    pub(crate) custodian: Vec<String>,
    /// First create the key of a pkcs11: custodian in its token: AES-256, not extractable
    #[arg(long)]
    pub(crate) create_key: bool,
}

#[derive(Args)]
pub(crate) struct RehearseArgs {
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

/// Reads how a backup is split: `3-of-5`.
fn split(text: &str) -> Result<Split, String> {
    let numbers = text.split_once("-of-");
    let numbers = numbers.and_then(|(needed, of)| Some((number(needed)?, number(of)?)));
    let (needed, of) = numbers.ok_or("write it as 3-of-5: any 3 of 5 shares open the backup")?;
    Split::new(needed, of).map_err(|error| error.to_string())
}

fn number(text: &str) -> Option<u8> {
    let is_number = text.bytes().all(|it| it.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_written_as_it_is_said() {
        assert_eq!(split("3-of-5").unwrap(), Split::new(3, 5).unwrap());
        for text in [
            "", "3", "3of5", "3-of-", "-of-5", "5-of-3", "1-of-5", "2-of-33", "+2-of-3",
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
