//! Failures of files that hold a secret, for the operator who named one. Which files are accepted is decided in
//! `waxseal-keys`.

use std::io::ErrorKind;
use std::path::Path;

pub(super) use waxseal_keys::secret_file::{SecretFileError, check_exposure, read};

use crate::failure::{Failure, secret_file};

/// Returns the failure of a file that this variable names.
pub(super) fn failure(unusable: SecretFileError, variable: &str, path: &Path) -> Failure {
    let named = shown(path);
    let shown = named.as_deref().unwrap_or("the file");
    let text = match (unusable, &named) {
        (SecretFileError::Unreadable(ErrorKind::NotFound), Some(path)) => {
            format!("there is no file {path}")
        }
        (SecretFileError::Unreadable(ErrorKind::NotFound), None) => {
            "there is no such file".to_owned()
        }
        (unusable, _) => format!("{shown} {unusable}"),
    };
    Failure::usage(format!("{variable}: {text}")).hint(secret_file::hint(unusable, shown))
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
                SecretFileError::Unreadable(ErrorKind::NotFound),
                SecretFileError::Unreadable(ErrorKind::InvalidFilename),
            ] {
                let failure = failure(unusable, "REDIS_URL_FILE", Path::new(secret));
                let told = format!("{}{}", failure.text(), failure.advice().unwrap_or_default());
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}
