//! The decoys that are configured: each is the name of a record that a pattern protects.

use std::collections::HashSet;

use waxseal_core::NameMask;
use waxseal_stores::RecordName;

use super::Configuration;
use super::protected::Protected;
use crate::Failure;

/// With more, the decoys would be a second store.
const MAX_DECOYS: usize = 1000;

/// A record that no application reads.
pub struct Decoy {
    /// The name of the record.
    pub name: RecordName,
    /// The protected records that it belongs to.
    pub protected: Protected,
}

impl Decoy {
    /// The name as it may be shown.
    #[must_use]
    pub fn shown(&self, mask: &NameMask) -> String {
        let prefix = self.protected.pattern.prefix();
        mask.show(prefix, self.name.as_bytes())
    }
}

impl Configuration {
    /// The decoys of the file, each once.
    pub(super) fn read_decoys(&self) -> Result<Vec<Decoy>, Failure> {
        let names = &self.file.decoys;
        if names.len() > MAX_DECOYS {
            return Err(Failure::usage(format!(
                "decoys names {} records: at most {MAX_DECOYS}",
                names.len()
            )));
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mask = self.name_mask();
        let configured = self.protected_by_file()?;
        let all = || self.protected.iter().chain(&configured);
        let mut seen = HashSet::new();
        let mut decoys = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let protected = all().find(|it| it.pattern.matches(name.as_bytes()));
            let Some(protected) = protected else {
                return Err(unprotected(index, name, &mask));
            };
            if protected.pattern.is_excepted(name.as_bytes()) {
                return Err(excepted(index, name, &mask));
            }
            if seen.insert(name) {
                decoys.push(Decoy {
                    name: RecordName::from(name.as_str()),
                    protected: protected.clone(),
                });
            }
        }
        Ok(decoys)
    }

    /// Checks that each decoy belongs to a pattern that is protected now, whatever flags say.
    pub fn check_decoys(&self) -> Result<(), Failure> {
        for (index, name) in self.file.decoys.iter().enumerate() {
            if self.protected_records(name.as_bytes()).is_err() {
                return Err(unprotected(index, name, &self.name_mask()));
            }
        }
        Ok(())
    }

    /// True if a record is a decoy.
    #[must_use]
    pub fn is_decoy(&self, name: &[u8]) -> bool {
        let mut decoys = self.file.decoys.iter();
        decoys.any(|decoy| decoy.as_bytes() == name)
    }
}

fn excepted(index: usize, name: &str, mask: &NameMask) -> Failure {
    let shown = mask.show("", name.as_bytes());
    Failure::usage(format!(
        "decoys: number {} of the list ({shown}) is excepted from its pattern",
        index + 1
    ))
    .hint("a decoy is sealed: choose a name that no except matches")
}

/// The name is identified by its position in the list: it must stay unknown.
fn unprotected(index: usize, name: &str, mask: &NameMask) -> Failure {
    let shown = mask.show("", name.as_bytes());
    Failure::usage(format!(
        "decoys: number {} of the list ({shown}) matches no protected pattern",
        index + 1
    ))
    .hint(
        "a decoy is the whole name of a record that a pattern of [[protect]] or --protect matches",
    )
}
