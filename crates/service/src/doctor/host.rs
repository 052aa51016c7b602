//! Checks of this machine and of what is configured on it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use waxseal_core::{Binding, Keyring, Mode, Sealer, SecretKey};

use super::Findings;
use crate::environment::Source;
use crate::hardening::{self, Lockable};
use crate::resources::{Resources, key_hint, keys};

/// More keys than this that only open suggest that they were forgotten.
const MANY_KEYS: usize = 4;
/// The time to seal one KiB, in microseconds, above which a machine is slow.
const SLOW_SEAL: f64 = 50.0;

pub(super) fn check(findings: &mut Findings) {
    if has_aes() {
        findings.ok("cpu", "AES instructions are available");
    } else {
        let advice = "sealing works and is slower; use a machine with AES instructions";
        findings.warn("cpu", "no AES instructions", advice);
    }
    if hardening::is_without_core_dumps() {
        findings.ok("core dumps", "off");
    } else {
        let advice = "keys could get into a core file: set the limit of core files to 0";
        findings.warn("core dumps", "they cannot be switched off", advice);
    }
    check_memory(findings);
}

/// Checks that keys cannot reach a disk in memory that is swapped out.
fn check_memory(findings: &mut Findings) {
    const CHECK: &str = "memory";
    let limit = match hardening::lockable() {
        Lockable::All => {
            findings.ok(CHECK, "can be locked: proxy and keeper do so");
            return;
        }
        Lockable::Bytes(limit) => format!("the limit here is {} KiB", limit / 1024),
    };
    if has_swap() {
        findings.warn(
            CHECK,
            format!("cannot be locked ({limit}), and this machine swaps"),
            "keys can get to a disk: LimitMEMLOCK=infinity, docker --ulimit memlock=-1, or \
             encrypted swap",
        );
    } else {
        findings.ok(
            CHECK,
            format!("cannot be locked ({limit}); this machine has no swap"),
        );
    }
}

/// True if this machine has swap, or may have.
fn has_swap() -> bool {
    // One line of headings, then one for each swap.
    fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().count() > 1)
}

pub(super) async fn check_configuration(resources: &Resources, findings: &mut Findings) {
    match &resources.configuration.file.path {
        Some(path) => {
            findings.ok("configuration", format!("{} read", path.display()));
            let ring = resources.configuration.keyring();
            let secret = resources.configuration.store.has_password()
                || ring.is_ok_and(|it| it.url.has_password());
            check_permissions(path, secret, findings);
        }
        None => findings.ok("configuration", "no waxseal.toml; defaults and environment"),
    }
    if let Some(name) = &resources.configuration.file.environment {
        findings.ok("environment", name.clone());
    }
    check_sources(resources, findings);
    check_keys(resources, findings).await;
    match resources.configuration.mode {
        // The status page's first warning says so, and sealing now would break the trial.
        Mode::Off if resources.configuration.is_trial() => {
            findings.ok("mode", "trial: nothing is sealed");
        }
        Mode::Off if !resources.configuration.is_mode_set() => findings.warn(
            "mode",
            "off: neither a mode nor a key is configured; the proxy refuses to start",
            "configure a key, or set ENABLE_REDIS_ENCRYPTION=false to store values in plaintext",
        ),
        Mode::Off => findings.warn(
            "mode",
            "off: new values are written plain",
            "set ENABLE_REDIS_ENCRYPTION=true once every process knows the key",
        ),
        Mode::On => findings.ok("mode", "on: new values are sealed, plain ones still read"),
        Mode::Required => findings.ok("mode", "required: plain values are refused"),
    }
    let patterns: Vec<_> = resources
        .configuration
        .protected
        .iter()
        .map(|p| p.pattern.shown())
        .collect();
    findings.ok("protected", patterns.join(", "));
}

/// Reports the source of each secret that every command knows.
fn check_sources(resources: &Resources, findings: &mut Findings) {
    let sources: Vec<_> = resources.configuration.environment.sources().collect();
    if !sources.is_empty() {
        let found = sources.iter().map(|(name, source)| match source {
            Source::Process => format!("{name} from the environment"),
            Source::DotEnv => {
                let file = resources
                    .configuration
                    .environment
                    .used_file()
                    .unwrap_or(Path::new(""));
                format!("{name} from {}", file.display())
            }
            Source::File => format!("{name} from the file of {name}_FILE"),
            Source::Credential => format!("{name} from the service manager"),
        });
        findings.ok("secrets", found.collect::<Vec<_>>().join(", "));
    }
    if let Some(file) = resources.configuration.environment.used_file() {
        let secret = sources.iter().any(|(_, source)| *source == Source::DotEnv);
        check_permissions(file, secret, findings);
    }
}

async fn check_keys(resources: &Resources, findings: &mut Findings) {
    if resources.configuration.is_trial() {
        return findings.ok("key", "none is used in a trial");
    }
    let ring = match keys::current(resources) {
        Ok(ring) => ring,
        // The check of the keyring reports what is wrong with it.
        Err(_) if resources.configuration.has_keyring() => return,
        Err(failure) => {
            let failure = key_hint::complete_for(resources, failure).await;
            let advice = failure.advice().unwrap_or_default();
            return match resources.configuration.mode {
                Mode::Off => findings.warn("key", failure.text(), advice),
                Mode::On | Mode::Required => findings.problem("key", failure.text(), advice),
            };
        }
    };
    let previous = ring.usage().count().saturating_sub(1);
    let found = format!("{} seals; {previous} more only open", ring.sealing_id());
    if previous > MANY_KEYS && !resources.configuration.has_keyring() {
        let advice = "waxseal rotate, then waxseal audit shows which keys are still in use";
        findings.warn("key", found, advice);
    } else {
        findings.ok("key", found);
    }
    check_speed(resources, findings);
}

/// Checks the speed of sealing, which every write pays. The key is generated for this check: seals under the
/// real one count towards its limit.
fn check_speed(resources: &Resources, findings: &mut Findings) {
    const TIMES: u32 = 200;
    let Some(protected) = resources.configuration.protected.first() else {
        return;
    };
    let Some(keyring) = SecretKey::generate()
        .ok()
        .and_then(|key| Keyring::new(key).ok())
    else {
        return;
    };
    let sealer = Sealer::new(Arc::new(keyring), Mode::On, protected.format);
    let (value, place) = ([b'v'; 1024], Binding::record(b"doctor"));
    let started = Instant::now();
    for _ in 0..TIMES {
        if sealer.seal(&value, place).is_err() {
            return;
        }
    }
    let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES);
    let found = format!("{micros:.1} us to seal 1 KiB");
    if micros > SLOW_SEAL {
        findings.warn(
            "speed",
            found,
            "this machine is overloaded, or has no AES instructions",
        );
    } else {
        findings.ok("speed", found);
    }
}

fn check_permissions(path: &Path, secret: bool, findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    let found = format!("{} has mode {mode:03o}", path.display());
    if secret && mode & 0o077 != 0 {
        let advice = "others can read the secrets in it: chmod 600";
        findings.warn("permissions", found, advice);
    } else {
        findings.ok("permissions", found);
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has_aes() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
