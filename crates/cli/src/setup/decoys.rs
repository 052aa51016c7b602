//! The decoys that are configured, checked: each is a record of a protected pattern. What becomes of one
//! that is opened is not known here.

use std::collections::HashSet;

use waxseal_stores::RecordName;

use super::{Protected, Setup};
use crate::error::Failure;

/// More of them would be no decoys but a second store.
const MOST: usize = 1000;

/// A record that no application reads.
pub(crate) struct Decoy {
    pub(crate) name: RecordName,
    pub(crate) protected: Protected,
}

impl Setup {
    /// The decoys of the configuration, each once.
    pub(super) fn read_decoys(&self) -> Result<Vec<Decoy>, Failure> {
        let names = &self.config.decoys;
        if names.len() > MOST {
            return Err(Failure::usage(format!(
                "decoys names {} records: at most {MOST}",
                names.len()
            )));
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let configured = self.configured()?;
        let all = || self.protected.iter().chain(&configured);
        let mut seen = HashSet::new();
        let mut decoys = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let protected = all().find(|it| it.pattern.matches(name.as_bytes()));
            let Some(protected) = protected else {
                return Err(self.uncovered(index, name));
            };
            if protected.pattern.is_excepted(name.as_bytes()) {
                return Err(self.excepted(index, name));
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

    /// Makes sure that each decoy is under a pattern that is protected at this moment, whatever flags say.
    pub(crate) fn check_decoys(&self) -> Result<(), Failure> {
        for (index, name) in self.config.decoys.iter().enumerate() {
            if self.protected(name.as_bytes()).is_err() {
                return Err(self.uncovered(index, name));
            }
        }
        Ok(())
    }

    /// Whether a record is a decoy.
    pub(crate) fn is_decoy(&self, name: &[u8]) -> bool {
        let mut decoys = self.config.decoys.iter();
        decoys.any(|decoy| decoy.as_bytes() == name)
    }

    /// A decoy as it may be shown.
    pub(crate) fn shown(&self, decoy: &Decoy) -> String {
        let prefix = decoy.protected.pattern.prefix();
        self.mask().show(prefix, decoy.name.as_bytes())
    }

    fn excepted(&self, index: usize, name: &str) -> Failure {
        let shown = self.mask().show("", name.as_bytes());
        Failure::usage(format!(
            "decoys: number {} of the list ({shown}) is excepted from its pattern",
            index + 1
        ))
        .hint("a decoy is sealed: choose a name that no except matches")
    }

    /// The name is told by its place in the list: it is to stay unknown.
    fn uncovered(&self, index: usize, name: &str) -> Failure {
        let shown = self.mask().show("", name.as_bytes());
        Failure::usage(format!(
            "decoys: number {} of the list ({shown}) is under no protected pattern",
            index + 1
        ))
        .hint("a decoy is the whole name of a record that a pattern of [[protect]] or --protect means")
    }
}
