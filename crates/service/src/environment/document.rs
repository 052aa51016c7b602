//! `docs/reference/environment.md`, written from the table of variables.

use std::fmt::Write as _;

use super::variables::{Topic, VARIABLES, Variable};

const INTRODUCTION: &str = "# Environment variables

Written by `cargo xtask docs` from the table in `crates/service/src/environment/variables.rs`. Every variable that a crate of
this repository reads is here.

A variable is read from the process, else from `.env` in the working directory or the file of `--env-file`, unless its section
says otherwise; one that is set to nothing counts as unset. What may be in a file or a credential is marked with F: the file that
`NAME_FILE` names, or the file `NAME` in `CREDENTIALS_DIRECTORY` ([secrets](../keys/secrets.md)). What is marked with N decides which
code runs or where a secret is sent: a `.env` that merely is in the working directory cannot set it
([files that are found](../operate/operations.md#files-that-are-found)). Any other secret that a custodian's URL names, such as `KEK` of
`env:KEK`, is read as those marked with F are.
";

const SECTIONS: [(Topic, &str, &str); 9] = [
    (
        Topic::Everything,
        "Every command",
        "Flags override these, and these override `waxseal.toml`.",
    ),
    (Topic::Machine, "The machine", "Read from the process only."),
    (
        Topic::Admin,
        "The admin address",
        "See [the status page](../operate/status-page.md#who-sees-it).",
    ),
    (
        Topic::Metrics,
        "Metrics",
        "See [metrics](metrics.md). In a `.env` that was not named these are ignored, with a warning.",
    ),
    (
        Topic::Token,
        "Custodians in a PKCS#11 token",
        "See [PKCS#11](../keys/custodians/pkcs11.md).",
    ),
    (
        Topic::Vault,
        "Custodians in Vault or OpenBao",
        "See [Vault](../keys/custodians/vault.md).",
    ),
    (
        Topic::Aws,
        "Custodians in AWS KMS",
        "Read by the SDK, from the process only; it reads more than these. See [AWS KMS](../keys/custodians/awskms.md).",
    ),
    (
        Topic::Library,
        "Libraries",
        "Read by libraries inside the program, from the process only.",
    ),
    (
        Topic::Development,
        "Tests, benchmarks and chores",
        "Not read by the program.",
    ),
];

/// Returns the document.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (topic, title, note) in SECTIONS {
        let _ = write!(
            text,
            "\n## {title}\n\n{note}\n\n| variable | | read by | default | meaning |\n|---|---|---|---|---|\n"
        );
        for variable in VARIABLES.iter().filter(|it| it.topic == topic) {
            row(variable, &mut text);
        }
    }
    text
}

fn row(variable: &Variable, text: &mut String) {
    let may_be_in_file = match variable.topic {
        Topic::Everything | Topic::Admin => variable.is_secret,
        Topic::Token | Topic::Vault => true,
        _ => false,
    };
    let mark = match (may_be_in_file, variable.is_named_only) {
        (true, true) => "F N",
        (true, false) => "F",
        (false, true) => "N",
        (false, false) => "",
    };
    let _ = writeln!(
        text,
        "| `{}` | {mark} | {} | {} | {} |",
        variable.name, variable.reader, variable.default, variable.meaning
    );
}
