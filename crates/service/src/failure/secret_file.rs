//! Hints about files that hold a secret and cannot be used.

use std::io::ErrorKind;

use waxseal_keys::secret_file::SecretFileError;

/// Returns the hint about a file that cannot be used.
pub(crate) fn hint(unusable: SecretFileError, path: &str) -> String {
    match unusable {
        SecretFileError::Unreadable(ErrorKind::NotFound) => {
            "it takes the path of a file that holds the secret".to_owned()
        }
        SecretFileError::Unreadable(_) => {
            "this process's user, or a group of its own, must be able to read it".to_owned()
        }
        SecretFileError::Directory => "name the file in it that holds the secret".to_owned(),
        SecretFileError::Exposed { own, .. } => {
            let user = rustix::process::geteuid().as_raw();
            let first = match own {
                true => format!("chmod 600 {path}"),
                false => format!(
                    "chown {user} {path} and chmod 600, or mode 440 and a group of this process"
                ),
            };
            format!(
                "{first}. Docker: mode: 0400 and the uid of this process; Kubernetes: \
                 defaultMode: 0440 and fsGroup"
            )
        }
        SecretFileError::Empty => "write the secret into it".to_owned(),
        SecretFileError::TooLarge | SecretFileError::NotText => {
            "it must hold the secret and nothing else".to_owned()
        }
    }
}
