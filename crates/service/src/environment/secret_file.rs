//! Failures of files that hold a secret, for the operator who named one. Which files are accepted is decided in
//! `waxseal-keys`.

use std::io::ErrorKind;
use std::path::Path;

pub(super) use waxseal_keys::secret_file::{Unusable, check_exposure, read};

use crate::Failure;

/// Returns the failure of a file that this variable names.
pub(super) fn failure(unusable: Unusable, variable: &str, path: &Path) -> Failure {
    let named = shown(path);
    let shown = named.as_deref().unwrap_or("the file");
    let text = match (unusable, &named) {
        (Unusable::Unreadable(ErrorKind::NotFound), Some(path)) => {
            format!("there is no file {path}")
        }
        (Unusable::Unreadable(ErrorKind::NotFound), None) => "there is no such file".to_owned(),
        (unusable, _) => format!("{shown} {unusable}"),
    };
    Failure::usage(format!("{variable}: {text}")).hint(hint(unusable, shown))
}

/// Returns the hint.
pub(crate) fn hint(unusable: Unusable, path: &str) -> String {
    match unusable {
        Unusable::Unreadable(ErrorKind::NotFound) => {
            "it takes the path of a file that holds the secret".to_owned()
        }
        Unusable::Unreadable(_) => {
            "this process's user, or a group of its own, must be able to read it".to_owned()
        }
        Unusable::Directory => "name the file in it that holds the secret".to_owned(),
        Unusable::Exposed { own, .. } => {
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
        Unusable::Empty => "write the secret into it".to_owned(),
        Unusable::TooLarge | Unusable::NotText => {
            "it must hold the secret and nothing else".to_owned()
        }
    }
}

/// The path, if it looks like one: an operator who puts the secret itself where its file should be named
/// must not find it in a log.
fn shown(path: &Path) -> Option<String> {
    let is_path = path.is_absolute() || path.exists();
    is_path.then(|| waxseal_core::sanitize_for_terminal(&path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_secret_itself_is_not_shown() {
        for secret in ["redis://u:s3cret@h", "6c1f0a5be2d94738", "s3cret/"] {
            for unusable in [
                Unusable::Unreadable(ErrorKind::NotFound),
                Unusable::Unreadable(ErrorKind::InvalidFilename),
            ] {
                let failure = failure(unusable, "REDIS_URL_FILE", Path::new(secret));
                let told = format!("{}{}", failure.text(), failure.advice().unwrap_or_default());
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}
