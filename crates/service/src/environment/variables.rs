//! The one table of environment variables: every variable that a crate of ours, or a library inside the
//! program, reads. `docs/reference/environment.md` is written from it, and a test compares it with the sources.
//! Uses nothing but the standard library, so that the repository's chores can include it.

/// The reader of a variable, and what the variable is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Keys, mode and store of every command.
    Everything,
    /// Directories of this machine and its service manager.
    Machine,
    /// The admin address.
    Admin,
    /// The export of metrics.
    Metrics,
    /// Custodians in a PKCS#11 token.
    Token,
    /// Custodians in Vault or OpenBao.
    Vault,
    /// Custodians in AWS KMS; read by its SDK, from the process's environment only.
    Aws,
    /// Libraries inside the program; read from the process's environment only.
    Library,
    /// Tests, benchmarks and chores of this repository.
    Development,
}

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// The topic.
    pub topic: Topic,
    /// The crate that reads it, or the library.
    pub reader: &'static str,
    /// The value that counts where it is not set, in words.
    pub default: &'static str,
    /// The meaning.
    pub meaning: &'static str,
    /// True if its value must stay unknown to other users. Such a variable may be in a file or a credential.
    pub is_secret: bool,
    /// True if it decides which code runs or where a secret is sent: a `.env` that was not named cannot set it.
    pub is_named_only: bool,
}

const fn plain(
    name: &'static str,
    topic: Topic,
    reader: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        topic,
        reader,
        default,
        meaning,
        is_secret: false,
        is_named_only: false,
    }
}

const fn secret(variable: Variable) -> Variable {
    Variable {
        is_secret: true,
        ..variable
    }
}

const fn named_only(variable: Variable) -> Variable {
    Variable {
        is_named_only: true,
        ..variable
    }
}

/// The sealing key.
pub const KEY: &str = "REDIS_ENCRYPTION_KEY";
/// Keys that only open.
pub const PREVIOUS_KEYS: &str = "REDIS_ENCRYPTION_PREVIOUS_KEYS";
/// The mode.
pub const ENABLE: &str = "ENABLE_REDIS_ENCRYPTION";
/// The store; its URL may hold a password.
pub const URL: &str = "REDIS_URL";
/// The directory in which the service manager puts the credentials of a service.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The state directory of a service.
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// The state directory of a user.
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The home directory of a user.
pub const HOME: &str = "HOME";
/// The user who called sudo.
pub const SUDO_USER: &str = "SUDO_USER";

/// Every variable, by topic.
pub const VARIABLES: &[Variable] = &[
    secret(plain(
        KEY,
        Topic::Everything,
        "service, keys",
        "none",
        "the sealing key: 64 hexadecimal characters. With a keyring: the secret of the custodian `env:`, if that is configured",
    )),
    secret(plain(
        PREVIOUS_KEYS,
        Topic::Everything,
        "service",
        "none",
        "keys that only open, separated by commas. With a keyring, only `keyring init` reads it",
    )),
    plain(
        ENABLE,
        Topic::Everything,
        "service",
        "`on` if a key is set, else `off`",
        "the mode: `false` or `off`, `true` or `on`, `required`",
    ),
    secret(plain(
        URL,
        Topic::Everything,
        "service",
        "`redis://127.0.0.1:6379`",
        "the store. Only a URL with a password is treated as a secret",
    )),
    plain(
        CREDENTIALS_DIRECTORY,
        Topic::Machine,
        "service",
        "none",
        "the credentials of the service manager: a file with the name of a variable holds its value",
    ),
    plain(
        STATE_DIRECTORY,
        Topic::Machine,
        "service",
        "`XDG_STATE_HOME`, else `HOME`",
        "the directory of the last good copy of a keyring, and of the state of an audit log in syslog",
    ),
    plain(
        XDG_STATE_HOME,
        Topic::Machine,
        "service",
        "`HOME`",
        "the same, in its subdirectory `waxseal`",
    ),
    plain(
        HOME,
        Topic::Machine,
        "service",
        "none",
        "the same, in its subdirectory `.local/state/waxseal`",
    ),
    plain(
        SUDO_USER,
        Topic::Machine,
        "service",
        "none",
        "the user who called `sudo`, for the audit log",
    ),
    secret(plain(
        "WAXSEAL_ADMIN_TOKEN",
        Topic::Admin,
        "service",
        "none: no token is asked for",
        "the token that readers of the status page must send",
    )),
    plain(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        Topic::Metrics,
        "service",
        "none: nothing is exported",
        "the collector, for example `http://127.0.0.1:4318`; `/v1/metrics` is appended",
    ),
    plain(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        Topic::Metrics,
        "service",
        "none",
        "the whole URL of the collector; takes precedence",
    ),
    secret(plain(
        "OTEL_EXPORTER_OTLP_HEADERS",
        Topic::Metrics,
        "service",
        "none",
        "headers of each request, `NAME=VALUE,NAME=VALUE`; never logged",
    )),
    secret(plain(
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        Topic::Metrics,
        "service",
        "none",
        "the same; takes precedence",
    )),
    plain(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        Topic::Metrics,
        "service",
        "`http/json`",
        "the protocol; only `http/json` is supported",
    ),
    plain(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        Topic::Metrics,
        "service",
        "`http/json`",
        "the same; takes precedence",
    ),
    plain(
        "OTEL_METRIC_EXPORT_INTERVAL",
        Topic::Metrics,
        "service",
        "60000",
        "milliseconds between two exports",
    ),
    plain(
        "OTEL_SERVICE_NAME",
        Topic::Metrics,
        "service",
        "`waxseal`",
        "the name of the service",
    ),
    named_only(plain(
        "PKCS11_MODULE_PATH",
        Topic::Token,
        "keys",
        "`module-path` of the URL",
        "the module of the token: a shared library that the process loads",
    )),
    secret(plain(
        "PKCS11_PIN",
        Topic::Token,
        "keys",
        "`pin-source` of the URL",
        "the PIN of the token",
    )),
    named_only(plain(
        "VAULT_ADDR",
        Topic::Vault,
        "keys",
        "`BAO_ADDR`",
        "the service, `https://HOST:PORT`",
    )),
    named_only(plain("BAO_ADDR", Topic::Vault, "keys", "none", "the same")),
    named_only(plain(
        "VAULT_ALLOW_HTTP",
        Topic::Vault,
        "keys",
        "`false`",
        "`true` allows `http://` to other machines",
    )),
    named_only(plain(
        "VAULT_CACERT",
        Topic::Vault,
        "keys",
        "the system's authorities",
        "a PEM file of the authority to trust",
    )),
    plain(
        "VAULT_CLIENT_CERT",
        Topic::Vault,
        "keys",
        "none",
        "a PEM file of a client certificate",
    ),
    plain(
        "VAULT_CLIENT_KEY",
        Topic::Vault,
        "keys",
        "none",
        "the PEM file of its key",
    ),
    plain(
        "VAULT_NAMESPACE",
        Topic::Vault,
        "keys",
        "`BAO_NAMESPACE`",
        "the namespace of the key and the login",
    ),
    plain("BAO_NAMESPACE", Topic::Vault, "keys", "none", "the same"),
    plain(
        "VAULT_AUTH",
        Topic::Vault,
        "keys",
        "the first whose variables are set",
        "the login: `token`, `approle` or `kubernetes`",
    ),
    plain(
        "VAULT_AUTH_MOUNT",
        Topic::Vault,
        "keys",
        "the name of the login",
        "where the login is mounted",
    ),
    secret(plain(
        "VAULT_TOKEN",
        Topic::Vault,
        "keys",
        "`BAO_TOKEN`",
        "the token of the login `token`",
    )),
    secret(plain("BAO_TOKEN", Topic::Vault, "keys", "none", "the same")),
    plain(
        "VAULT_ROLE_ID",
        Topic::Vault,
        "keys",
        "none",
        "the role of the login `approle`",
    ),
    secret(plain(
        "VAULT_SECRET_ID",
        Topic::Vault,
        "keys",
        "none",
        "the secret of the login `approle`",
    )),
    plain(
        "VAULT_K8S_ROLE",
        Topic::Vault,
        "keys",
        "none",
        "the role of the login `kubernetes`",
    ),
    named_only(plain(
        "VAULT_K8S_TOKEN_PATH",
        Topic::Vault,
        "keys",
        "that of a service account",
        "the file of the token of the login `kubernetes`",
    )),
    plain(
        "AWS_REGION",
        Topic::Aws,
        "the AWS SDK",
        "that of the profile",
        "the region of the key",
    ),
    plain(
        "AWS_PROFILE",
        Topic::Aws,
        "the AWS SDK",
        "`default`",
        "the profile of the SDK's files",
    ),
    plain(
        "AWS_ACCESS_KEY_ID",
        Topic::Aws,
        "the AWS SDK",
        "the SDK's other sources",
        "credentials, with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`",
    ),
    secret(plain(
        "AWS_SECRET_ACCESS_KEY",
        Topic::Aws,
        "the AWS SDK",
        "the SDK's other sources",
        "the secret of the credentials",
    )),
    secret(plain(
        "AWS_SESSION_TOKEN",
        Topic::Aws,
        "the AWS SDK",
        "none",
        "the token of temporary credentials",
    )),
    plain(
        "AWS_ENDPOINT_URL_KMS",
        Topic::Aws,
        "the AWS SDK",
        "that of the region",
        "the URL of the service",
    ),
    plain(
        "AWS_USE_FIPS_ENDPOINT",
        Topic::Aws,
        "the AWS SDK",
        "`false`",
        "`true` uses the validated endpoint of the region",
    ),
    plain(
        "SSL_CERT_FILE",
        Topic::Library,
        "rustls-native-certs",
        "the system's authorities",
        "a PEM file of authorities, for TLS to servers and services",
    ),
    plain(
        "SSL_CERT_DIR",
        Topic::Library,
        "rustls-native-certs",
        "the system's authorities",
        "a directory of authorities, for TLS to servers and services",
    ),
    plain(
        "NO_COLOR",
        Topic::Library,
        "clap, indicatif",
        "none",
        "set to anything: help and progress are printed without colours",
    ),
    plain(
        "TMPDIR",
        Topic::Library,
        "the standard library",
        "`/tmp`",
        "the directory of the temporary files of `waxseal demo`",
    ),
    plain(
        "PATH",
        Topic::Development,
        "testing, cli's tests and benchmarks, xtask",
        "none",
        "where servers and other programs of tests are found",
    ),
    plain(
        "CARGO_TARGET_DIR",
        Topic::Development,
        "xtask",
        "`target`",
        "cargo's own: where chores keep what they install",
    ),
    plain(
        "RUST_TEST_THREADS",
        Topic::Development,
        "xtask",
        "three for each processor",
        "the tests that run at a time",
    ),
    plain(
        "WAXSEAL_APPLICATIONS_SECONDS",
        Topic::Development,
        "cli's tests, xtask",
        "a short form",
        "how long each framework runs",
    ),
    plain(
        "WAXSEAL_APPLICATIONS_PROCESSES",
        Topic::Development,
        "cli's tests, xtask",
        "a short form",
        "the processes of each framework",
    ),
    plain(
        "WAXSEAL_CHAOS_FAULT",
        Topic::Development,
        "cli's tests, xtask",
        "each once",
        "the fault of a chaos test",
    ),
    plain(
        "WAXSEAL_CHAOS_SECONDS",
        Topic::Development,
        "cli's tests, xtask",
        "a short form",
        "how long a chaos test runs",
    ),
    plain(
        "WAXSEAL_CHAOS_SEED",
        Topic::Development,
        "cli's tests, xtask",
        "random",
        "the seed of a chaos test",
    ),
    plain(
        "WAXSEAL_TORTURE_ENTRY",
        Topic::Development,
        "cli's tests, xtask",
        "none",
        "one entry of a torture test, to repeat it",
    ),
    plain(
        "WAXSEAL_TORTURE_ROUND",
        Topic::Development,
        "cli's tests, xtask",
        "all",
        "one round of a torture test",
    ),
    plain(
        "WAXSEAL_TORTURE_SECONDS",
        Topic::Development,
        "cli's tests, xtask",
        "a short form",
        "how long a torture test runs",
    ),
    plain(
        "WAXSEAL_TORTURE_SEED",
        Topic::Development,
        "cli's tests, xtask",
        "random",
        "the seed of a torture test",
    ),
    plain(
        "WAXSEAL_UPGRADE_BEFORE",
        Topic::Development,
        "cli's tests, xtask",
        "this version again",
        "a binary of a former version, for the test of the upgrade",
    ),
    plain(
        "WAXSEAL_BENCH_BEFORE",
        Topic::Development,
        "cli's benchmarks",
        "none",
        "a binary of another commit, to compare with",
    ),
    plain(
        "WAXSEAL_TEST_CHILD",
        Topic::Development,
        "stores' tests",
        "none",
        "set by a test for the process that it starts",
    ),
];
