//! Tests of the service as a library: configuration, resources and doctor's checks, without the command line.

mod adoption;
mod configuration;
mod demo;
mod doctor;
mod due;
mod erasure;
mod proxy;
mod recorded;
mod resources;
mod restoration;
mod values;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use waxseal_keys::{Custodians, LiveRing, Ring, Settings};
use waxseal_service::configuration::Flags;
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_service::resources::keyring::{document_store, options};
use waxseal_service::values::stored::{self, Destination};
use waxseal_stores::RecordName;

const KEY: &str = "6c1f0a5be2d947386c1f0a5be2d947386c1f0a5be2d947386c1f0a5be2d94738";

/// Settings under which a new key seals at once.
fn quick() -> Settings {
    Settings {
        propagation_ms: 1,
        refresh_ms: 1,
        ..Settings::default()
    }
}

/// Stores one state, as `waxseal put wa:1` does.
async fn put_state(resources: &Resources) {
    let destination = Destination {
        name: RecordName::from("wa:1"),
        field: None,
        replaces: false,
        ttl: None,
    };
    let written = stored::put(resources, &destination, || Ok(b"a state".to_vec())).await;
    written.unwrap();
}

/// A directory with a configuration file and a file of variables.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(configuration: &str, variables: &str) -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        world.write("waxseal.toml", configuration);
        world.write("variables", variables);
        world
    }

    /// A keyring that is not created yet, and an audit log. `configuration` follows them.
    fn with_keyring(configuration: &str) -> Self {
        let world = Self::new("", "");
        world.write("custodian.key", KEY);
        world.write("audit.key", KEY);
        let at = |name| world.path(name).display().to_string();
        let configuration = format!(
            "keyring = \"file:{}\"\nkeyring_copy = \"{}\"\ncustodian = [\"file:{}\"]\n{}{configuration}",
            at("keyring.json"),
            at("copy.json"),
            at("custodian.key"),
            world.audit_log()
        );
        world.write("waxseal.toml", &configuration);
        world
    }

    /// The key of the environment, and an audit log. `configuration` follows it.
    fn with_key(configuration: &str) -> Self {
        let world = Self::new("", &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
        world.write("audit.key", KEY);
        let configuration = format!("{}{configuration}", world.audit_log());
        world.write("waxseal.toml", &configuration);
        world
    }

    fn audit_log(&self) -> String {
        let at = |name| self.path(name).display().to_string();
        format!(
            "audit_log = \"file:{}\"\naudit_log_key = \"file:{}\"\n",
            at("audit.jsonl"),
            at("audit.key")
        )
    }

    /// Creates the keyring, as `waxseal keyring init` does.
    async fn create_keyring(&self, settings: Settings) {
        let resources = Resources::read(&self.flags_with_store()).unwrap();
        let keyring = resources.configuration.keyring().unwrap();
        let custodians = resources.all_custodians(keyring).unwrap();
        let environment = &keyring.environment;
        let ring = Ring::create(environment, settings, &custodians, &[], now_ms()).await;
        let known = custodians
            .into_iter()
            .fold(Custodians::default(), Custodians::with);
        let place = document_store(keyring).unwrap();
        let live = LiveRing::create(place, &ring.unwrap(), known, options(keyring, false)).await;
        live.unwrap();
    }

    /// Opens what the configuration names, with the embedded store.
    async fn open(&self) -> Resources {
        Resources::open(&self.flags_with_store()).await.unwrap()
    }

    /// The entries of the audit log: action, target, outcome and details. The entry that begins the log is left out, and so
    /// is the number in an entry of the entry that its operation began with.
    fn entries(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        let lines = log.lines().map(|line| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            if let Some(details) = entry["details"].as_object_mut() {
                details.remove("begun");
            }
            serde_json::json!([
                entry["action"],
                entry["target"],
                entry["outcome"],
                entry["details"]
            ])
        });
        lines.filter(|it| it[1] != "audit log").collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Flags that name both files.
    fn flags(&self) -> Flags {
        Flags {
            config: Some(self.path("waxseal.toml")),
            env_file: Some(self.path("variables")),
            ..Flags::default()
        }
    }

    /// The same with an embedded store in the directory.
    fn flags_with_store(&self) -> Flags {
        Flags {
            store: Some(store(&self.path("store.waxseal"))),
            ..self.flags()
        }
    }
}

/// The URL of an embedded store.
fn store(path: &Path) -> String {
    format!("file:{}", path.display())
}
