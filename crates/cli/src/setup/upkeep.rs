//! What the upkeep of a keyring needs: all protected records of this configuration, and what seals
//! them.

use std::sync::Arc;

use waxseal_core::Mode;
use waxseal_keys::Change;
use waxseal_stores::RecordStore;
use waxseal_upkeep::{Realm, Upkeep, user_key_territory};

use super::{Protected, Setup};
use crate::error::Failure;
use crate::output;

impl Setup {
    /// The upkeep of the keyring by this process.
    pub(crate) async fn upkeep(&self, what: &'static str) -> Result<Upkeep, Failure> {
        let store = self.open_store().await?;
        let realms = self.realms(&store).await?;
        // Keys of users that other processes made are under the ring as well.
        let users = self.users(&store).await?;
        let ring = self.opened_ring()?.ring.clone();
        Ok(Upkeep::new(
            ring,
            what,
            realms,
            Some((users.keys, users.store)),
        )?)
    }

    /// All protected records, as the upkeep of a keyring goes through them.
    pub(crate) async fn realms(&self, store: &Arc<dyn RecordStore>) -> Result<Vec<Realm>, Failure> {
        let users = self.users(store).await?;
        let realm = |protected: Protected| Realm {
            store: store.clone(),
            sealer: self.sealer(&protected, Mode::On),
            users: protected.per_user.then(|| users.keys.clone()),
            pattern: protected.pattern,
        };
        Ok(self.all_protected()?.into_iter().map(realm).collect())
    }

    /// What flags say and what the configuration says, together.
    pub(crate) fn all_protected(&self) -> Result<Vec<Protected>, Failure> {
        let mut all = self.protected.clone();
        if !self.config.protect.is_empty() {
            for protected in self.configured()? {
                if all.iter().all(|it| it.pattern != protected.pattern) {
                    all.push(protected);
                }
            }
        }
        Ok(all)
    }

    /// Makes known to all who share the keyring that these records are under it, before anything is
    /// sealed: no key is given up before they were looked at.
    pub(super) async fn enrol(&self, store: &Arc<dyn RecordStore>) -> Result<(), Failure> {
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        let location = store.location();
        let territories = self.protected.iter().map(|it| waxseal_keys::Territory {
            store: location.clone(),
            records: it.pattern.as_str().to_owned(),
        });
        let mut territories: Vec<_> = territories.collect();
        if self.protected.iter().any(|it| it.per_user) {
            let users = opened.users.as_ref();
            territories.extend(users.map(|users| user_key_territory(&users.store)));
        }
        let change = Change::Enrol(territories);
        match opened.ring.change(&change).await.map_err(Failure::from) {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_passing() => {
                output::complain("warning", failure.text());
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}
