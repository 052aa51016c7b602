//! The arguments about keyrings: `waxseal keyring`, `forget` and `receipt`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::RecordNames;

use super::backup::{ExportArgs, ImportArgs, RehearseArgs};

#[derive(Subcommand)]
pub(crate) enum KeyringCommand {
    /// Create a keyring. Keys of the environment that the store is sealed under
    /// are adopted
    #[command(
        after_help = "Examples:\n  waxseal keyring init --keyring file:/etc/waxseal/keyring.json\n  \
        waxseal keyring init --keyring redis://127.0.0.1:6379/1 --rotate-every 30d --if-missing"
    )]
    Init(InitArgs),
    /// Show the keyring and the state of its rotation
    #[command(after_help = "Examples:\n  waxseal keyring status\n  waxseal keyring status --json")]
    Status,
    /// Publish a new key, which seals once every process knows it
    #[command(after_help = "Example:\n  waxseal keyring add")]
    Add,
    /// Let a pending key seal
    #[command(after_help = "Example:\n  waxseal keyring promote 1f2e3d4c")]
    Promote {
        /// The key's id, as waxseal keyring status shows it
        #[arg(value_parser = key_id)]
        id: KeyId,
        /// Even if not every process knows it yet: the others cannot open what is sealed
        /// under it until they poll again
        #[arg(long)]
        now: bool,
    },
    /// Archive a key that no value is under, after an audit; it still opens
    #[command(after_help = "Example:\n  waxseal keyring archive 1f2e3d4c")]
    Archive {
        /// The key's id, as waxseal keyring status shows it
        #[arg(value_parser = key_id)]
        id: KeyId,
    },
    /// Destroy a key permanently, after an audit that finds nothing under it
    #[command(after_help = "Example:\n  waxseal keyring destroy 1f2e3d4c")]
    Destroy {
        /// The key's id, as waxseal keyring status shows it
        #[arg(value_parser = key_id)]
        id: KeyId,
        /// Skip the audit: values under the key are permanently lost
        #[arg(long)]
        force: bool,
    },
    /// Mark a key as known to others: it no longer opens anything unless asked to
    #[command(after_help = "Example:\n  waxseal keyring compromise 1f2e3d4c")]
    Compromise {
        /// The key's id, as waxseal keyring status shows it
        #[arg(value_parser = key_id)]
        id: KeyId,
    },
    /// Restore the last good copy of this machine where the keyring is lost or damaged
    #[command(
        after_help = "Examples:\n  waxseal keyring restore\n  waxseal keyring restore --from keyring-backup.json"
    )]
    Restore {
        /// A copy other than this machine's
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
    /// Create the keyring of a backup where none exists, wrapped by the custodians of this machine
    #[command(
        after_help = "Examples:\n  waxseal keyring import keyring.age --identity identity.txt\n  \
        waxseal keyring import backup.age --share share-1.txt --share share-2.txt --share share-5.txt"
    )]
    Import(ImportArgs),
    /// Open a backup and show what it holds. Writes nothing, needs no custodian and no keyring
    #[command(
        after_help = "Examples:\n  waxseal keyring rehearse keyring.age --identity identity.txt\n  \
        waxseal keyring rehearse backup.age --share share-1.txt --share share-2.txt --share share-5.txt"
    )]
    Rehearse(RehearseArgs),
    /// Wrap the keys of the keyring by other custodians; values are untouched. Without --to, --add and
    /// --remove: again by the present ones, under their newest keys
    #[command(after_help = "Examples:\n  waxseal keyring rewrap\n  \
        waxseal keyring rewrap --to 'pkcs11:token=waxseal;object=ring' --create-key\n  \
        waxseal keyring rewrap --add vault:transit/waxseal --remove env:REDIS_ENCRYPTION_KEY")]
    Rewrap(RewrapArgs),
    /// Change when keys are rotated, the format of the keyring's document, and the versions of the sealed format that
    /// are written and accepted, for all processes
    #[command(
        after_help = "Examples:\n  waxseal keyring configure --rotate-every 30d\n  \
        waxseal keyring configure --document-format 2\n  \
        waxseal keyring configure --write-version 3\n  waxseal keyring configure --accept-version 3"
    )]
    Configure(ConfigureArgs),
    /// Record what waxseal.toml says about protected records (their group, binding and excepts) in the keyring: a process
    /// that says something else does not start
    #[command(
        after_help = "Examples:\n  waxseal keyring protect --records 'wa:{user}'\n  \
        waxseal keyring protect --records 'wa:{user}' --names sealed --now"
    )]
    Protect {
        /// Their pattern, as in waxseal.toml
        #[arg(long, value_name = "PATTERN")]
        records: String,
        /// The new form of their names, as waxseal.toml has it, after a pass that gave them these
        #[arg(long, value_enum, value_name = "FORM", requires = "now")]
        names: Option<NamesArg>,
        /// Confirm that no process uses these records
        #[arg(long, requires = "names")]
        now: bool,
    },
    /// Replace the index key: publish a new one, and let it write once every process knows it. Run twice
    #[command(
        after_help = "Examples:\n  waxseal keyring rotate-index\n  waxseal keyring rotate-index --now"
    )]
    RotateIndex {
        /// Let a pending index key write even if not every process knows it yet
        #[arg(long)]
        now: bool,
    },
    /// Correct times that a wrong clock wrote into the keyring: a key that is pending for a year, an age that
    /// begins in the future
    #[command(
        after_help = "Examples:\n  waxseal keyring repair-times\n  waxseal keyring repair-times --yes"
    )]
    RepairTimes {
        /// Confirm that the times are to be changed
        #[arg(long)]
        yes: bool,
    },
    /// Accept the store of users' keys as the one of this keyring, although it lost their keys or never held them:
    /// values under missing keys stay unreadable
    #[command(
        after_help = "Examples:\n  waxseal keyring adopt-users\n  waxseal keyring adopt-users --yes"
    )]
    AdoptUsers {
        /// Confirm that new keys may be created there
        #[arg(long)]
        yes: bool,
    },
    /// Release records that are no longer protected: no key is kept for them
    #[command(
        after_help = "Example:\n  waxseal keyring release --store redis://127.0.0.1:6379 --records 'sess:*'"
    )]
    Release {
        /// Their pattern, as waxseal keyring status shows it
        #[arg(long, value_name = "PATTERN")]
        records: String,
    },
}

/// A form of the names of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamesArg {
    Plain,
    Sealed,
}

impl From<NamesArg> for RecordNames {
    fn from(names: NamesArg) -> Self {
        match names {
            NamesArg::Plain => Self::Plain,
            NamesArg::Sealed => Self::Sealed,
        }
    }
}

#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// A custodian that wraps its keys; can be repeated [default: custodian of waxseal.toml, else
    /// env:REDIS_ENCRYPTION_KEY]
    #[arg(long, value_name = "URL")]
    pub(crate) custodian: Vec<String>,
    /// First create the key of a pkcs11: custodian in its token: AES-256, not extractable
    #[arg(long)]
    pub(crate) create_key: bool,
    /// Succeed if the keyring already exists
    #[arg(long)]
    pub(crate) if_missing: bool,
    /// Do not read the store: start with a new key, whatever it is sealed under
    #[arg(long)]
    pub(crate) fresh: bool,
    /// The format of its document: 2 writes version 3 of the sealed format, which former versions of Waxseal do not read
    #[arg(long, value_name = "FORMAT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub(crate) document_format: u32,
}

#[derive(Args)]
pub(crate) struct RewrapArgs {
    /// The only custodian that wraps the keys from now on; can be repeated
    #[arg(long, value_name = "URL", conflicts_with_all = ["add", "remove"])]
    pub(crate) to: Vec<String>,
    /// A custodian that wraps them as well; can be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) add: Vec<String>,
    /// A custodian that no longer wraps them; can be repeated. The last one stays
    #[arg(long, value_name = "URL")]
    pub(crate) remove: Vec<String>,
    /// First create the key of a new pkcs11: custodian in its token: AES-256, not extractable
    #[arg(long)]
    pub(crate) create_key: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("forceable").multiple(true)))]
pub(crate) struct ConfigureArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Apply lowered times at once, although processes that have not read them use the old ones
    #[arg(long)]
    pub(crate) at_once: bool,
    /// The format of the keyring's document. 2 holds what version 3 of the sealed format needs; all processes must read it
    #[arg(long, value_name = "FORMAT", group = "forceable", value_parser = clap::value_parser!(u32).range(1..=2))]
    pub(crate) document_format: Option<u32>,
    /// The version of the sealed format that is written. 3 needs document format 2
    #[arg(long, value_name = "VERSION", group = "forceable", value_parser = super::version)]
    pub(crate) write_version: Option<EnvelopeVersion>,
    /// The oldest version of the sealed format that is accepted. 3 needs an audit that finds nothing older
    #[arg(long, value_name = "VERSION", group = "forceable", value_parser = super::version)]
    pub(crate) accept_version: Option<EnvelopeVersion>,
    /// Change the document format or the versions although processes, values or waits speak against it: what they write
    /// or read may not open
    #[arg(long, requires = "forceable")]
    pub(crate) force: bool,
}

/// The times of a rotation.
#[derive(Args, Default, PartialEq, Eq)]
pub(crate) struct SettingsArgs {
    /// The age at which the sealing key is rotated, or never [default of a new keyring: 90d]
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) rotate_every: Option<Age>,
    /// The time that a new key is only known before it seals [default of a new keyring: 2h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) propagation: Option<u64>,
    /// The interval at which processes poll for changes [default of a new keyring: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) refresh: Option<u64>,
    /// The time that an unused key is kept [default of a new keyring: 7d]
    #[arg(long, alias = "rest", value_name = "DURATION", value_parser = duration)]
    pub(crate) retain: Option<u64>,
    /// The number of values under one key at which it is rotated [default of a new keyring:
    /// 4294967296]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_seals: Option<u64>,
}

#[derive(Args)]
pub(crate) struct ForgetArgs {
    /// The user, the {user} of the patterns
    // Record names are bytes, and so are the users in them.
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub(crate) user: Option<OsString>,
    /// Erase the users in this file, one a line; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Write the receipts of --from into this directory, one file for each user. A user whose receipt is
    /// there and of whom nothing is left is skipped, so that the same command continues where it stopped
    #[arg(long, value_name = "DIRECTORY", requires = "from")]
    pub(crate) receipts: Option<PathBuf>,
    /// Show what would be erased, change nothing
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
    /// Verify the signature of a receipt
    #[command(
        after_help = "Examples:\n  waxseal receipt verify receipt.json --key 0kqX…\n  \
        waxseal receipt verify receipt.json --user 5215512345678\n  \
        waxseal forget 5215512345678 --yes | waxseal receipt verify -"
    )]
    Verify {
        /// The receipt; - is stdin
        #[arg(default_value = "-", value_name = "FILE")]
        file: PathBuf,
        /// The key that must have signed it, as waxseal keyring status shows it [default: that of
        /// the keyring, where one is configured]
        // Every 64th key begins with a hyphen.
        #[arg(long, value_name = "BASE64URL", allow_hyphen_values = true)]
        key: Option<String>,
        /// Check that it is the receipt of this user, which needs the keyring
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
