//! Tests of the service as a library: configuration, resources and doctor's checks, without the command line.

mod configuration;
mod doctor;
mod resources;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use waxseal_service::configuration::Flags;

const KEY: &str = "6c1f0a5be2d947386c1f0a5be2d947386c1f0a5be2d947386c1f0a5be2d94738";

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
