//! The arguments about keyrings: `waxseal keyring`, `forget` and `receipt`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use waxseal_core::KeyId;

use super::backup::{ExportArgs, ImportArgs, RehearseArgs};

#[derive(Subcommand)]
pub(crate) enum KeyringCommand {
    /// Make a keyring where there is none. Keys of the environment that the store is sealed under
    /// are adopted
    #[command(
        after_help = "Examples:\n  waxseal keyring init --keyring file:/etc/waxseal/keyring.json\n  \
        waxseal keyring init --keyring redis://127.0.0.1:6379/1 --rotate-every 30d --if-missing"
    )]
    Init(InitArgs),
    /// Tell where the keyring and its rotation stand
    #[command(after_help = "Examples:\n  waxseal keyring status\n  waxseal keyring status --json")]
    Status,
    /// Publish a new key, which seals once every process knows it
    #[command(after_help = "Example:\n  waxseal keyring add")]
    Add,
    /// Let a pending key seal
    #[command(after_help = "Example:\n  waxseal keyring promote 1f2e3d4c")]
    Promote {
        /// The key's id, as waxseal keyring status tells it
        #[arg(value_parser = key_id)]
        id: KeyId,
        /// Even if not every process knows it yet: those that do not cannot open what is sealed
        /// under it until they look again
        #[arg(long)]
        now: bool,
    },
    /// Put a key aside under which an audit finds nothing; it still opens
    #[command(after_help = "Example:\n  waxseal keyring archive 1f2e3d4c")]
    Archive {
        /// The key's id, as waxseal keyring status tells it
        #[arg(value_parser = key_id)]
        id: KeyId,
    },
    /// Give up a key for good, after an audit that finds nothing under it
    #[command(after_help = "Example:\n  waxseal keyring destroy 1f2e3d4c")]
    Destroy {
        /// The key's id, as waxseal keyring status tells it
        #[arg(value_parser = key_id)]
        id: KeyId,
        /// Without the audit: what is under it is lost for ever
        #[arg(long)]
        force: bool,
    },
    /// Note that a key is known to others: it opens nothing any more unless asked to
    #[command(after_help = "Example:\n  waxseal keyring compromise 1f2e3d4c")]
    Compromise {
        /// The key's id, as waxseal keyring status tells it
        #[arg(value_parser = key_id)]
        id: KeyId,
    },
    /// Put back the last good copy of this machine where the keyring is lost or damaged
    #[command(
        after_help = "Examples:\n  waxseal keyring restore\n  waxseal keyring restore --from keyring-backup.json"
    )]
    Restore {
        /// Another copy than that of this machine
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
    },
    /// Write a backup of the keyring with its keys: to age recipients, or in shares of which some open it
    #[command(
        after_help = "Examples:\n  waxseal keyring export keyring.age --recipient age1…\n  \
        waxseal keyring export keyring.age --recipients-file recipients.txt\n  \
        waxseal keyring export --shares 3-of-5 --out backup"
    )]
    Export(ExportArgs),
    /// Make the keyring of a backup where there is none, wrapped by the custodians of this machine
    #[command(
        after_help = "Examples:\n  waxseal keyring import keyring.age --identity identity.txt\n  \
        waxseal keyring import backup.age --share share-1.txt --share share-2.txt --share share-5.txt"
    )]
    Import(ImportArgs),
    /// Open a backup and tell what is in it. Writes nothing, needs no custodian and no keyring
    #[command(
        after_help = "Examples:\n  waxseal keyring rehearse keyring.age --identity identity.txt\n  \
        waxseal keyring rehearse backup.age --share share-1.txt --share share-2.txt --share share-5.txt"
    )]
    Rehearse(RehearseArgs),
    /// Wrap the keys of the keyring by other custodians; values are untouched. Without --to, --add and
    /// --remove: anew by the present ones, under their newest keys
    #[command(after_help = "Examples:\n  waxseal keyring rewrap\n  \
        waxseal keyring rewrap --to 'pkcs11:token=waxseal;object=ring' --create-key\n  \
        waxseal keyring rewrap --add vault:transit/waxseal --remove env:REDIS_ENCRYPTION_KEY")]
    Rewrap(RewrapArgs),
    /// Change when keys are exchanged, for all processes
    #[command(after_help = "Example:\n  waxseal keyring configure --rotate-every 30d")]
    Configure(ConfigureArgs),
    /// Set times right that a wrong clock wrote into the keyring: a key that is pending for a year, an age that
    /// begins in the future
    #[command(
        after_help = "Examples:\n  waxseal keyring repair-times\n  waxseal keyring repair-times --yes"
    )]
    RepairTimes {
        /// Confirm that the times are to be changed
        #[arg(long)]
        yes: bool,
    },
    /// Accept the store of users' keys as the one of this keyring, though it lost their keys or never held them:
    /// values under keys that are not there stay unreadable
    #[command(
        after_help = "Examples:\n  waxseal keyring adopt-users\n  waxseal keyring adopt-users --yes"
    )]
    AdoptUsers {
        /// Confirm that new keys may be made there
        #[arg(long)]
        yes: bool,
    },
    /// Forget records that are protected no more: no key is kept for them
    #[command(
        after_help = "Example:\n  waxseal keyring release --store redis://127.0.0.1:6379 --records 'sess:*'"
    )]
    Release {
        /// Their pattern, as waxseal keyring status tells it
        #[arg(long, value_name = "PATTERN")]
        records: String,
    },
}

#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Who wraps its keys; can be repeated [default: custodian of waxseal.toml, else
    /// env:REDIS_ENCRYPTION_KEY]
    #[arg(long, value_name = "URL")]
    pub(crate) custodian: Vec<String>,
    /// Make the key of a pkcs11: custodian in its token first: AES-256, not extractable
    #[arg(long)]
    pub(crate) create_key: bool,
    /// Succeed where there is a keyring already
    #[arg(long)]
    pub(crate) if_missing: bool,
    /// Do not look at the store: begin with a new key, whatever it is sealed under
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Args)]
pub(crate) struct RewrapArgs {
    /// The custodian that shall wrap the keys, and no other; can be repeated
    #[arg(long, value_name = "URL", conflicts_with_all = ["add", "remove"])]
    pub(crate) to: Vec<String>,
    /// A custodian that shall wrap them as well; can be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) add: Vec<String>,
    /// A custodian that shall wrap them no more; can be repeated. The last one stays
    #[arg(long, value_name = "URL")]
    pub(crate) remove: Vec<String>,
    /// Make the key of a new pkcs11: custodian in its token first: AES-256, not extractable
    #[arg(long)]
    pub(crate) create_key: bool,
}

#[derive(Args)]
pub(crate) struct ConfigureArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Let lowered times hold at once, though processes that have not seen them go by the old ones
    #[arg(long)]
    pub(crate) at_once: bool,
}

/// When keys are exchanged.
#[derive(Args, Default, PartialEq, Eq)]
pub(crate) struct SettingsArgs {
    /// The age at which the sealing key is exchanged, or never [default of a new keyring: 90d]
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) rotate_every: Option<Age>,
    /// How long a new key is only known before it seals [default of a new keyring: 2h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) propagation: Option<u64>,
    /// How often processes look for changes [default of a new keyring: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) refresh: Option<u64>,
    /// How long a key under which nothing is found is kept [default of a new keyring: 7d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) rest: Option<u64>,
    /// The number of values under one key at which it is exchanged [default of a new keyring:
    /// 4294967296]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_seals: Option<u64>,
}

#[derive(Args)]
pub(crate) struct ForgetArgs {
    /// The user, as {user} of the patterns has it
    // Record names are bytes, and so are the users in them.
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub(crate) user: Option<OsString>,
    /// Erase the users in this file, one a line; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Write the receipts of --from into this directory, one file for each user. A user whose receipt is
    /// there and of whom nothing is left is skipped, so that the same command goes on where it stopped
    #[arg(long, value_name = "DIRECTORY", requires = "from")]
    pub(crate) receipts: Option<PathBuf>,
    /// Tell what would be erased, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the ledger and sign a receipt also where nothing is found of the user
    #[arg(long)]
    pub(crate) even_if_unknown: bool,
    /// Confirm that keys and records are to be destroyed
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Check that a receipt is as it was signed, and by whom
    #[command(
        after_help = "Examples:\n  waxseal receipt verify receipt.json --key 0kqX…\n  \
        waxseal receipt verify receipt.json --user 5215512345678\n  \
        waxseal forget 5215512345678 --yes | waxseal receipt verify -"
    )]
    Verify {
        /// The receipt; - is stdin
        #[arg(default_value = "-", value_name = "FILE")]
        file: PathBuf,
        /// The key that must have signed it, as waxseal keyring status tells it [default: that of
        /// the keyring, where one is configured]
        // Every 64th key begins with a hyphen.
        #[arg(long, value_name = "BASE64URL", allow_hyphen_values = true)]
        key: Option<String>,
        /// Check that it is the receipt of this user, which only the keyring can tell
        #[arg(long, value_name = "USER")]
        user: Option<OsString>,
    },
}

/// An age in milliseconds; `never` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Option<u64>);

/// Reads a key's id: 8 hexadecimal characters.
fn key_id(text: &str) -> Result<KeyId, String> {
    let is_whole = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_whole.then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| "a key id has 8 hexadecimal characters".to_owned())
}

/// Reads a span of time, in milliseconds: `90d`, `2h`, `15m`, `60s`, `500ms`.
fn duration(text: &str) -> Result<u64, String> {
    let units = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let read = units.into_iter().find_map(|(unit, ms)| {
        let number = text.strip_suffix(unit)?;
        let number: u64 = number
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| number.parse().ok())??;
        number.checked_mul(ms)
    });
    read.ok_or_else(|| "write a span of time, for example 90d, 2h, 15m, 60s or 500ms".to_owned())
}

fn age(text: &str) -> Result<Age, String> {
    match text {
        "never" => Ok(Age(None)),
        _ => duration(text).map(|ms| Age(Some(ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_unit() {
        assert_eq!(duration("90d"), Ok(90 * 86_400_000));
        assert_eq!(duration("2h"), Ok(7_200_000));
        assert_eq!(duration("15m"), Ok(900_000));
        assert_eq!(duration("60s"), Ok(60_000));
        assert_eq!(duration("500ms"), Ok(500));
        assert_eq!(age("never"), Ok(Age(None)));
        for text in [
            "",
            "s",
            "60",
            "-1s",
            "+1s",
            "1.5h",
            "1y",
            "99999999999999999999d",
            "never",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_id_is_written_in_full() {
        assert_eq!(key_id("1f2e3d4c"), Ok(KeyId::from_u32(0x1f2e_3d4c)));
        for text in ["", "1f2e", "1f2e3d4cc", "1f2e3d4g", "+1f2e3d4"] {
            assert!(key_id(text).is_err(), "{text}");
        }
    }
}
