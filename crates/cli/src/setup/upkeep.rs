//! What the upkeep of a keyring needs: all protected records of this configuration, and what seals
//! them.

use std::sync::{Arc, Once};

use waxseal_core::Mode;
use waxseal_keys::Change;
use waxseal_stores::RecordStore;
use waxseal_upkeep::{ScopeHandle, Upkeep, user_key_scope};

use super::{Protected, Setup, resolve};
use crate::error::Failure;
use crate::output;

/// Where users' keys are, among the records that a keyring knows of.
const USER_KEYS: &str = "waxseal:user:*";

static SAID: Once = Once::new();

impl Setup {
    /// The upkeep of the keyring by this process.
    pub(crate) async fn upkeep(&self, what: &'static str) -> Result<Upkeep, Failure> {
        let store = self.open_store().await?;
        let scopes = self.scopes(&store).await?;
        // Keys of users that other processes made are under the ring as well.
        let users = self.users(&store).await?;
        let ring = self.opened_ring()?.ring.clone();
        Ok(Upkeep::new(
            ring,
            what,
            scopes,
            Some((users.keys, users.store)),
        )?)
    }

    /// All protected records, as the upkeep of a keyring goes through them.
    pub(crate) async fn scopes(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<Vec<ScopeHandle>, Failure> {
        let users = self.users(store).await?;
        let scope = |protected: Protected| ScopeHandle {
            store: store.clone(),
            sealer: self.sealer(&protected, Mode::On),
            users: protected.per_user.then(|| users.keys.clone()),
            pattern: protected.pattern,
        };
        Ok(self.all_protected().into_iter().map(scope).collect())
    }

    /// What flags say and what the configuration says, together.
    pub(crate) fn all_protected(&self) -> Vec<Protected> {
        let all = self.protected.iter().chain(&self.others);
        resolve(all.cloned().collect())
    }

    /// Says so where users' keys of this keyring lie in a store that is not this configuration's: what
    /// one process seals under a key from there the others do not open.
    pub(crate) fn warn_of_other_user_keys(&self) {
        let Some((opened, setup)) = self.opened.as_ref().zip(self.ring_setup.as_ref()) else {
            return;
        };
        let here = setup.users.as_ref().unwrap_or(&self.url).location();
        let ring = opened.ring.ring();
        let mut protected_scopes = ring.protected_scopes().iter();
        let Some(other) = protected_scopes.find(|it| it.records == USER_KEYS && it.store != here)
        else {
            return;
        };
        // Some commands register more than once.
        SAID.call_once(|| {
            let other = &other.store;
            let text = format!("users of this keyring have keys at {other}, and not only at {here}");
            output::complain("warning", &text);
            output::advise(&format!(
                "user_keys in waxseal.toml must be the same for all processes; if {other} is used no \
                 more: waxseal keyring release --store {other} --records '{USER_KEYS}'"
            ));
        });
    }

    /// Makes known to all who share the keyring that these records are under it, before anything is
    /// sealed: no key is given up before they were looked at. Nothing may be sealed where that fails,
    /// in passing too: what runs for long tries again.
    pub(super) async fn register(&self, store: &Arc<dyn RecordStore>) -> Result<(), Failure> {
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        let location = store.location();
        let protected_scopes = self
            .protected
            .iter()
            .map(|it| waxseal_keys::ProtectedScope {
                store: location.clone(),
                records: it.pattern.as_str().to_owned(),
            });
        let mut protected_scopes: Vec<_> = protected_scopes.collect();
        if self.protected.iter().any(|it| it.per_user) {
            let users = opened.users.as_ref();
            protected_scopes.extend(users.map(|users| user_key_scope(&users.store)));
            self.warn_of_other_user_keys();
        }
        opened
            .ring
            .change(&Change::Register(protected_scopes))
            .await?;
        Ok(())
    }

    /// The same for the keys of users alone: before one is made for a value that is not stored here.
    pub(crate) async fn enrol_user_keys(&self) -> Result<(), Failure> {
        let Some((opened, users)) = self
            .opened
            .as_ref()
            .and_then(|opened| Some((opened, opened.users.as_ref()?)))
        else {
            return Ok(());
        };
        self.warn_of_other_user_keys();
        let change = Change::Register(vec![user_key_scope(&users.store)]);
        opened.ring.change(&change).await?;
        Ok(())
    }
}
