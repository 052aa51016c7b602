//! The arguments of the program. Their meaning is decided in `waxseal-service` and in the commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use waxseal_core::{EnvelopeVersion, Format};
use waxseal_service::configuration::Flags;

use crate::logging;

mod address;
mod admin;
mod audit;
mod audit_log;
mod backup;
mod decoy;
mod keyring;
mod name;
mod proxy;
mod sweep;
mod value;

pub(crate) use address::check_host_port;
pub(crate) use admin::AdminArgs;
pub(crate) use audit::{AuditArgs, AuditCommand};
pub(crate) use audit_log::AuditLogCommand;
pub(crate) use backup::{ExportArgs, ImportArgs, OpeningArgs, RehearseArgs};
pub(crate) use decoy::{DecoyCommand, PlantArgs};
pub(crate) use keyring::{
    ConfigureArgs, ForgetArgs, InitArgs, KeyringCommand, NamesArg, ReceiptCommand, RewrapArgs,
    SettingsArgs,
};
pub(crate) use name::{FieldArgs, Hex, NameArgs, bytes as typed_bytes, to_hex};
pub(crate) use proxy::{ProxyArgs, ScriptsArg, SharingArg};
pub(crate) use sweep::{DecryptArgs, MigrateArgs, NamesArgs, RotateArgs, StreamsArg, SweepArgs};
pub(crate) use value::{GetArgs, InspectArgs, OpenArgs, PlaceArgs, PutArgs, SealArgs};

/// Encrypts personal data in Redis and decrypts it for applications.
#[derive(Parser)]
#[command(
    name = "waxseal",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Environment: REDIS_ENCRYPTION_KEY, REDIS_ENCRYPTION_PREVIOUS_KEYS, \
    ENABLE_REDIS_ENCRYPTION, REDIS_URL (also read from .env in the working directory, or the file of \
    --env-file). waxseal.toml and .env in the working directory count only if no one but this user and root \
    can write them. Flags override the environment, which overrides waxseal.toml. A secret NAME \
    may also be in the file that NAME_FILE names, or in a file of that name in CREDENTIALS_DIRECTORY.\n\
    Exit status: 0 done, 1 findings or no such record, 2 failed, 64 usage or configuration, 130 or 143 ended \
    at once by a second signal."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Given before or after the command.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// The store of the records: redis://, rediss://, unix:PATH or file:PATH [default: REDIS_URL,
    /// else redis://127.0.0.1:6379]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Common options"
    )]
    pub(crate) store: Option<String>,
    /// A pattern of protected records; can be repeated [default: those of waxseal.toml, else wa:*; proxy has
    /// no default of its own]
    #[arg(
        long,
        global = true,
        value_name = "PATTERN",
        help_heading = "Common options"
    )]
    pub(crate) protect: Vec<String>,
    /// A pattern of records of --protect that stay plain, such as locks and counters; can be repeated
    #[arg(
        long,
        global = true,
        value_name = "PATTERN",
        help_heading = "Common options"
    )]
    pub(crate) except: Vec<String>,
    /// The configuration file [default: waxseal.toml in the working directory, if it exists]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Common options"
    )]
    pub(crate) config: Option<PathBuf>,
    /// A file of environment variables, one NAME=value a line [default: .env in the working directory, if
    /// it exists]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Common options"
    )]
    pub(crate) env_file: Option<PathBuf>,
    /// The keyring: file:PATH, redis://, rediss:// or unix:PATH [default: that of
    /// waxseal.toml, else none: the keys of the environment are used]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Common options"
    )]
    pub(crate) keyring: Option<String>,
    /// Start even if no custodian of the keyring can be reached, with the keys that this machine keeps
    /// under offline_key of waxseal.toml
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) allow_offline: bool,
    /// The log level
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "info",
        value_name = "LEVEL"
    )]
    #[arg(help_heading = "Common options")]
    pub(crate) log: LogLevel,
    /// The log format
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    #[arg(help_heading = "Common options")]
    pub(crate) log_format: LogFormat,
    /// Append the log to this file instead of stderr; proxy and keeper reopen it at SIGHUP
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Common options"
    )]
    pub(crate) log_file: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) json: bool,
}

impl Common {
    /// The flags that configure the service.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            store: self.store.clone(),
            protect: self.protect.clone(),
            except: self.except.clone(),
            config: self.config.clone(),
            env_file: self.env_file.clone(),
            keyring: self.keyring.clone(),
            allow_offline: self.allow_offline,
        }
    }
}

impl Common {
    /// The settings of the log.
    pub(crate) fn log_settings(&self) -> logging::Settings<'_> {
        logging::Settings {
            level: match self.log {
                LogLevel::Off => "off",
                LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace => "trace",
            },
            is_json: self.log_format == LogFormat::Json,
            file: self.log_file.as_deref(),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum FormatArg {
    /// The format of the Node.js guide: Base64, without a key id, not bound to its record
    Classic,
    /// Binary, with a key id, bound to its record: choose it where nothing but Waxseal reads the values
    Sealed,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Classic => Self::Classic,
            FormatArg::Sealed => Self::Sealed,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show encryption, rotation and decryption with an embedded store in a temporary directory
    #[command(
        after_help = "Examples:\n  waxseal demo\n  waxseal demo --store redis://127.0.0.1:6379\n  \
        waxseal demo --proxy --store redis://127.0.0.1:6379"
    )]
    Demo(DemoArgs),
    /// Generate keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Seal one value: stdin to stdout
    #[command(
        after_help = "Example:\n  printf '{\"a\":1}' | waxseal seal --format sealed --record wa:5215512345678"
    )]
    Seal(SealArgs),
    /// Open one value: stdin to stdout
    #[command(after_help = "Example:\n  redis-cli --raw GET wa:5215512345678 | waxseal open")]
    Open(OpenArgs),
    /// Print one record, opened; the access is logged
    #[command(
        after_help = "Examples:\n  waxseal get wa:5215512345678\n  waxseal get sess:1 --field email\n  \
        waxseal get --name-hex 77613aff"
    )]
    Get(GetArgs),
    /// Write one record, sealed: the value comes from stdin
    #[command(
        after_help = "Example:\n  printf '{\"status\":\"new\"}' | waxseal put wa:5215512345678 --ttl 3600"
    )]
    Put(PutArgs),
    /// Describe the value of a record without printing it: format, key, binding, size, expiry
    #[command(after_help = "Example:\n  waxseal inspect wa:5215512345678")]
    Inspect(InspectArgs),
    /// Print the name of the record that a stored name, or a masked one of a log or report, stands for; the access is logged
    #[command(
        after_help = "Examples:\n  waxseal find 'wa:~9VcDEXX…'\n  waxseal find 'wa:#1f0c77ab' --json"
    )]
    Find(FindArgs),
    /// Run a proxy between applications and Redis that seals what they write and opens what they read
    #[command(
        after_help = "Examples:\n  waxseal proxy --protect 'wa:*' --listen 127.0.0.1:6380\n  \
        waxseal proxy --config /etc/waxseal/waxseal.toml --listen unix:/run/waxseal/redis.sock --admin 127.0.0.1:9180"
    )]
    Proxy(ProxyArgs),
    /// Encrypt plaintext values in place, while applications run
    #[command(
        after_help = "Examples:\n  waxseal migrate --dry-run\n  waxseal migrate --max-rate 5000\n  \
        waxseal migrate --format sealed --checkpoint migrate.json\n  waxseal migrate --checkpoint migrate.json --resume"
    )]
    Migrate(MigrateArgs),
    /// Re-encrypt values under older keys with the sealing key
    #[command(
        after_help = "Example:\n  REDIS_ENCRYPTION_KEY=<new> REDIS_ENCRYPTION_PREVIOUS_KEYS=<old> waxseal rotate"
    )]
    Rotate(RotateArgs),
    /// Decrypt all values in place
    #[command(after_help = "Example:\n  waxseal decrypt --yes")]
    Decrypt(DecryptArgs),
    /// Count what is sealed and what is not; writes nothing
    #[command(
        after_help = "Examples:\n  waxseal audit\n  waxseal audit --require-clean --json\n  \
        waxseal audit --deep --report audit.json --html audit.html"
    )]
    Audit(AuditArgs),
    /// The audit log: who did what with keys and records
    #[command(subcommand)]
    AuditLog(AuditLogCommand),
    /// Decoys: records that no application reads, so that opening one raises an alarm
    #[command(subcommand)]
    Decoy(DecoyCommand),
    /// Values that were quarantined because they could not be opened
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// The keyring: keys that are rotated while applications run
    #[command(subcommand)]
    Keyring(KeyringCommand),
    /// Run rotation and upkeep of the keyring, for applications that use the library
    #[command(after_help = "Example:\n  waxseal keeper --config /etc/waxseal/waxseal.toml")]
    Keeper(KeeperArgs),
    /// Erase a user, or those of a list: keys and records, each with a signed receipt
    #[command(after_help = "Examples:\n  waxseal forget 5215512345678 --dry-run\n  \
        waxseal forget 5215512345678 --yes > receipt.json\n  \
        waxseal forget --from users.txt --receipts receipts --yes")]
    Forget(ForgetArgs),
    /// Receipts of erasures
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Check keys, store and records, and say what to do; exit status 1 if there is a problem
    #[command(after_help = "Example:\n  waxseal doctor")]
    Doctor,
    /// Print completions for a shell
    #[command(after_help = "Example:\n  waxseal completions bash > /etc/bash_completion.d/waxseal")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages of all commands into a directory
    #[command(after_help = "Example:\n  waxseal man /usr/local/share/man/man1")]
    Man {
        /// The directory; created if missing
        directory: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// The number of conversation states
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub(crate) states: u64,
    /// Show a proxy under load on the server of --store, and rotate its key
    #[arg(long)]
    pub(crate) proxy: bool,
    /// The minimum duration of the load, in seconds
    #[arg(long, value_name = "N", default_value_t = 15, requires = "proxy", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Generate a key, and print it or write it to a file
    #[command(
        after_help = "Examples:\n  waxseal key generate\n  waxseal key generate --file /etc/waxseal/key"
    )]
    Generate {
        /// Write the key to this file (mode 0600) instead; an existing file is never overwritten
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct FindArgs {
    #[command(flatten)]
    pub(crate) name: NameArgs,
}

#[derive(Args)]
pub(crate) struct KeeperArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List quarantined values
    #[command(after_help = "Example:\n  waxseal quarantine list --json")]
    List,
    /// Put a value back into its record, unless the record has a new one
    #[command(after_help = "Example:\n  waxseal quarantine restore 19a91e2b6c07f1e2d3c")]
    Restore {
        /// Its id, as listed
        id: String,
    },
    /// Delete a value permanently
    #[command(after_help = "Example:\n  waxseal quarantine drop 19a91e2b6c07f1e2d3c --yes")]
    Drop {
        /// Its id, as listed
        id: String,
        /// Confirm
        #[arg(long)]
        yes: bool,
    },
}
/// Reads a version of the sealed format.
fn version(text: &str) -> Result<EnvelopeVersion, String> {
    text.parse().map_err(|_| "it is 2 or 3".to_owned())
}
