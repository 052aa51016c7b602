//! The allowed imports between crates, by layer, as a table. Reads manifests only; development
//! dependencies are free.

use toml::{Table, Value};

/// The crates of ours that one crate may import, and the external ones it must not.
struct Row {
    short: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const NO_IO_NOR_CIPHERS: &[&str] = &[
    "tokio",
    "redis",
    "redb",
    "aws-lc-rs",
    "aes-gcm",
    "aes-siv",
    "tracing",
];

const ROWS: &[Row] = &[
    Row {
        short: "kinds",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "topology",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "core",
        ours: &["waxseal-kinds", "waxseal-topology"],
        never: &["tokio", "redis", "redb", "tracing", "log"],
    },
    // Opens files for the I/O layer, and knows nothing of their content.
    Row {
        short: "files",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "policy",
        ours: &["waxseal-kinds"],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "resp",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "compute",
        // Only its writers.
        ours: &["waxseal-resp"],
        never: &["tokio", "redis", "redb", "aws-lc-rs", "aes-gcm", "tracing"],
    },
    Row {
        short: "lua",
        // Only its writers.
        ours: &["waxseal-resp"],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "metrics",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "page",
        // Of the same layer, and only functions of numbers.
        ours: &["waxseal-units"],
        never: &["tokio", "redis", "redb", "aws-lc-rs", "aes-gcm", "tracing"],
    },
    Row {
        short: "units",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "log-limit",
        ours: &[],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "keys",
        ours: &[
            "waxseal-core",
            "waxseal-files",
            "waxseal-log-limit",
            "waxseal-metrics",
        ],
        never: &["redis", "redb", "aws-lc-rs", "aes-gcm", "aes-siv"],
    },
    Row {
        short: "stores",
        // Only the patterns that it scans by.
        ours: &[
            "waxseal-files",
            "waxseal-kinds",
            "waxseal-lua",
            "waxseal-policy",
        ],
        never: &["aws-lc-rs", "aes-gcm", "aes-siv", "base64-simd"],
    },
    Row {
        short: "named",
        ours: &["waxseal-core", "waxseal-kinds", "waxseal-policy"],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "audit-log",
        ours: &["waxseal-core", "waxseal-files"],
        never: NO_IO_NOR_CIPHERS,
    },
    Row {
        short: "sessions",
        ours: &[
            "waxseal-core",
            "waxseal-keys",
            "waxseal-log-limit",
            "waxseal-metrics",
            "waxseal-named",
            "waxseal-stores",
        ],
        never: &[],
    },
    Row {
        short: "sweep",
        ours: &[
            "waxseal-core",
            "waxseal-files",
            "waxseal-keys",
            "waxseal-kinds",
            "waxseal-metrics",
            "waxseal-named",
            "waxseal-policy",
            "waxseal-stores",
        ],
        never: &[],
    },
    Row {
        short: "upkeep",
        ours: &[
            "waxseal-core",
            "waxseal-files",
            "waxseal-keys",
            "waxseal-log-limit",
            "waxseal-named",
            "waxseal-stores",
            "waxseal-sweep",
        ],
        never: &["redis", "redb"],
    },
    Row {
        short: "waxseal",
        ours: &[
            "waxseal-core",
            "waxseal-keys",
            "waxseal-stores",
            "waxseal-sessions",
            "waxseal-sweep",
            "waxseal-upkeep",
        ],
        never: &[],
    },
    Row {
        short: "proxy",
        ours: &[
            "waxseal-compute",
            "waxseal-core",
            "waxseal-files",
            "waxseal-keys",
            "waxseal-log-limit",
            "waxseal-lua",
            "waxseal-metrics",
            "waxseal-named",
            "waxseal-resp",
            "waxseal-policy",
            "waxseal-units",
        ],
        never: &["redis", "redb", "aws-lc-rs", "aes-gcm", "aes-siv"],
    },
    Row {
        short: "service",
        ours: &[
            "waxseal-audit-log",
            "waxseal-core",
            "waxseal-files",
            "waxseal-keys",
            "waxseal-kinds",
            "waxseal-log-limit",
            "waxseal-metrics",
            "waxseal-named",
            "waxseal-page",
            "waxseal-policy",
            "waxseal-proxy",
            "waxseal-stores",
            "waxseal-sessions",
            "waxseal-sweep",
            "waxseal-units",
            "waxseal-upkeep",
        ],
        never: &["redis", "redb", "aws-lc-rs", "aes-gcm", "aes-siv"],
    },
    Row {
        short: "cli",
        ours: &[
            "waxseal",
            "waxseal-audit-log",
            "waxseal-core",
            "waxseal-files",
            "waxseal-keys",
            "waxseal-log-limit",
            "waxseal-metrics",
            "waxseal-page",
            "waxseal-proxy",
            "waxseal-service",
            "waxseal-stores",
            "waxseal-sessions",
            "waxseal-sweep",
            "waxseal-units",
            "waxseal-upkeep",
        ],
        never: &[],
    },
    Row {
        short: "testing",
        ours: &[],
        never: &[],
    },
];

/// External crates that only the named crates of ours may import.
const RESTRICTED: [(&str, &str); 20] = [
    ("aws-lc-rs", "core"),
    ("aes-gcm", "core"),
    ("xaes-256-gcm", "core"),
    ("redis", "stores"),
    ("redb", "stores"),
    // The crates that hold keys, and the format of backups.
    ("cryptoki", "keys"),
    ("aws-config", "keys"),
    ("aws-sdk-kms", "keys"),
    ("reqwest", "keys service cli"),
    ("age", "keys"),
    ("bech32", "keys"),
    ("vsss-rs", "keys"),
    // The errors of actix-session's trait are `anyhow` errors; no other crate needs them.
    ("anyhow", "sessions"),
    ("metrics", "metrics"),
    ("maud", "page"),
    ("rustc_apfloat", "compute"),
    ("xxhash-rust", "compute"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
];

/// `core` for `crates/core/Cargo.toml`.
pub(super) fn crate_of_manifest(path: &str) -> Option<&str> {
    let short = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!short.contains('/')).then_some(short)
}

/// Every import of this manifest that goes sideways, up, or is forbidden.
pub(super) fn forbidden_imports(short: &str, manifest: &str, root: &str) -> Vec<String> {
    let path = format!("crates/{short}/Cargo.toml");
    let Some(row) = ROWS.iter().find(|row| row.short == short) else {
        return vec![format!(
            "{path}: `{short}` is not in the table of imports: give it a row"
        )];
    };
    let (manifest, root) = match (manifest.parse::<Table>(), root.parse::<Table>()) {
        (Ok(manifest), Ok(root)) => (manifest, root),
        (Err(error), _) | (_, Err(error)) => return vec![format!("{path}: {error}")],
    };
    let imports = imports(&manifest, &root);
    imports
        .iter()
        .filter_map(|import| complaint(row, import))
        .map(|it| format!("{path}: {it}"))
        .collect()
}

fn complaint(row: &Row, import: &str) -> Option<String> {
    let short = row.short;
    let is_ours = import == "waxseal" || import.starts_with("waxseal-");
    if is_ours && !row.ours.contains(&import) {
        return Some(format!(
            "`{short}` may not import `{import}`: imports go down only"
        ));
    }
    if row.never.contains(&import) {
        return Some(format!("`{import}` has no place in `{short}`"));
    }
    let (_, only) = RESTRICTED.iter().find(|(name, _)| *name == import)?;
    let mut allowed = only.split(' ');
    (!allowed.any(|name| name == short)).then(|| format!("only `{only}` may import `{import}`"))
}

/// The packages that a manifest imports, under whatever name, for every target.
fn imports(manifest: &Table, root: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    let mut imports: Vec<String> = std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")])
        .flatten()
        .filter_map(Value::as_table)
        .flatten()
        .map(|(name, details)| package(name, details, root))
        .collect();
    imports.sort();
    imports.dedup();
    imports
}

/// The package of a dependency: `x = { package = "redis" }` is `redis`.
fn package(name: &str, details: &Value, root: &Table) -> String {
    let inherited = details
        .get("workspace")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let in_root = || root.get("workspace")?.get("dependencies")?.get(name);
    let details = if inherited { in_root() } else { Some(details) };
    let renamed = details
        .and_then(|details| details.get("package"))
        .and_then(Value::as_str);
    renamed.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(short: &str, manifest: &str) -> Vec<String> {
        let root = "[workspace.dependencies]\ndb = { package = \"redb\", version = \"4\" }\n";
        forbidden_imports(short, manifest, root)
    }

    #[test]
    fn imports_go_down_only() {
        for (short, import) in [
            ("core", "waxseal-stores"),
            ("policy", "waxseal-core"),
            ("stores", "waxseal-core"),
            ("keys", "waxseal-stores"),
            ("sweep", "waxseal-upkeep"),
            ("proxy", "waxseal-page"),
            ("sessions", "waxseal-sweep"),
            ("sweep", "waxseal-sessions"),
            ("waxseal", "waxseal-cli"),
            ("cli", "waxseal-testing"),
            ("testing", "waxseal-core"),
        ] {
            let manifest = format!("[dependencies]\n{import}.workspace = true\n");
            assert_eq!(broken(short, &manifest).len(), 1, "{short} {import}");
            let for_tests = format!("[dev-dependencies]\n{import}.workspace = true\n");
            assert!(broken(short, &for_tests).is_empty(), "{short} {import}");
        }
        let fine = "[dependencies]\nwaxseal-core.workspace = true\nwaxseal-stores.workspace = true";
        assert!(broken("sweep", fine).is_empty());
    }

    #[test]
    fn the_lowest_layer_does_no_io_and_the_stores_see_no_key() {
        for (short, import) in [
            ("core", "tokio"),
            ("core", "tracing"),
            ("policy", "tokio"),
            ("policy", "aws-lc-rs"),
            ("stores", "aws-lc-rs"),
            ("keys", "redis"),
            ("stores", "base64-simd"),
            ("sessions", "redis"),
            ("sweep", "redb"),
            ("waxseal", "aes-gcm"),
            ("stores", "anyhow"),
        ] {
            let found = broken(short, &format!("[dependencies]\n{import} = \"1\"\n"));
            assert_eq!(found.len(), 1, "{short} {import}: {found:?}");
        }
        assert!(broken("core", "[dependencies]\naws-lc-rs = \"1\"\naes-gcm = \"1\"").is_empty());
        assert!(broken("stores", "[dependencies]\nredis = \"1\"\nrustls = \"1\"").is_empty());
    }

    #[test]
    fn renaming_or_another_target_does_not_bypass_the_rules() {
        for manifest in [
            "[dependencies]\ndb.workspace = true\n",
            "[dependencies]\nx = { version = \"1\", package = \"redis\" }\n",
            "[dependencies.redis]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nredis = \"1\"\n",
            "[build-dependencies]\nredis = \"1\"\n",
        ] {
            assert_eq!(broken("sweep", manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        let found = broken("attic", "[dependencies]\n");
        assert!(found[0].contains("give it a row"), "{found:?}");
        assert_eq!(crate_of_manifest("crates/attic/Cargo.toml"), Some("attic"));
        assert_eq!(crate_of_manifest("crates/attic/fuzz/Cargo.toml"), None);
        assert_eq!(crate_of_manifest("Cargo.toml"), None);
    }

    #[test]
    fn a_manifest_that_does_not_parse_is_reported() {
        assert_eq!(broken("core", "[dependencies").len(), 1);
    }
}
