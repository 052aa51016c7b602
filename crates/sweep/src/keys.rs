//! The keys that the values of a page need beyond those that a task's sealer holds: keys of the ring
//! that this process has not seen yet, and the keys of users. They are looked up for the whole page,
//! before any of its values is judged. What becomes of a value is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use waxseal_core::{KeyError, KeyId, OpenError, SecretKey, Shape, UserKey};
use waxseal_keys::{CacheLookup, LiveRing, UserKeyError, UserKeys};
use waxseal_stores::{RecordName, RecordPattern};

use crate::sweep::SweepError;

/// Where keys are looked up while a sweep runs. By default nowhere: the task's sealer holds them all.
#[derive(Clone, Default)]
pub struct Keys {
    /// The ring that the task's sealer follows.
    pub ring: Option<LiveRing>,
    /// The keys of users. They matter where the pattern names the user.
    pub users: Option<UserKeys>,
}

/// What a page of values is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is sealed: no key is made.
    Open,
    /// Values are sealed: users who have no key get one.
    Seal,
    /// Values are sealed, and thrown away: no key is made that stays.
    DryRun,
}

/// What was found out about the users of one page.
#[derive(Default)]
pub(crate) struct PageKeys(BTreeMap<Vec<u8>, Answer>);

/// What was found out about one user.
#[derive(Clone)]
enum Answer {
    /// The key, or that it was destroyed.
    Key(Arc<UserKey>),
    /// There is none.
    None,
    /// There is a record of it that does not open.
    Broken(OpenError),
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Ask {
    Known,
    PastTheCache,
    Made,
}

/// One value of a page, as far as keys go.
struct Seen<'a> {
    user: &'a [u8],
    /// The user key that it is under, if it is under one.
    under: Option<KeyId>,
}

impl Keys {
    /// The keys for these values, each with the name of its record.
    pub(crate) async fn of_page(
        &self,
        pattern: &RecordPattern,
        purpose: Purpose,
        values: &[(&RecordName, &[u8])],
    ) -> Result<PageKeys, SweepError> {
        if let Some(ring) = &self.ring {
            learn(ring, values).await;
            if purpose == Purpose::Seal && !ring.is_confirmed() {
                ring.confirm().await?;
            }
        }
        match &self.users {
            Some(users) => of_users(users, pattern, purpose, values).await,
            None => Ok(PageKeys::default()),
        }
    }
}

impl PageKeys {
    /// The key of a user, if there is one.
    pub(crate) fn of(&self, user: &[u8]) -> Option<&Arc<UserKey>> {
        match self.0.get(user)? {
            Answer::Key(key) => Some(key),
            Answer::None | Answer::Broken(_) => None,
        }
    }

    /// Why nothing can be done with a value of this user, whatever the task: what it is under is
    /// nowhere, or the user's key does not open.
    pub(crate) fn obstacle(&self, user: &[u8], stored: &[u8]) -> Option<OpenError> {
        match self.0.get(user)? {
            Answer::Key(_) => None,
            Answer::None => under(stored).map(|id| OpenError::UnknownKey { id }),
            Answer::Broken(error) => (!stored.is_empty()).then_some(*error),
        }
    }

    fn lack(&self, user: &[u8]) -> bool {
        matches!(self.0.get(user), Some(Answer::None))
    }

    fn hold(&self, user: &[u8], id: KeyId) -> bool {
        self.of(user).is_some_and(|key| key.id() == Some(id))
    }

    async fn ask(
        &mut self,
        users: &UserKeys,
        names: &[&[u8]],
        ask: Ask,
    ) -> Result<(), UserKeyError> {
        match ask.all(users, names).await {
            Ok(answers) => self.put(names, answers),
            // One that is broken does not stand in the way of the others.
            Err(UserKeyError::Record { .. } | UserKeyError::Form { .. }) => {
                for name in names {
                    let answers = match ask.all(users, &[name]).await {
                        Ok(answers) => answers,
                        Err(UserKeyError::Record { error, .. }) => vec![Answer::Broken(error)],
                        Err(UserKeyError::Form { .. }) => {
                            vec![Answer::Broken(OpenError::Refused)]
                        }
                        Err(error) => return Err(error),
                    };
                    self.put(&[name], answers);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn put(&mut self, users: &[&[u8]], answers: impl IntoIterator<Item = Answer>) {
        let users = users.iter().map(|user| user.to_vec());
        self.0.extend(users.zip(answers));
    }
}

impl Ask {
    async fn all(self, users: &UserKeys, names: &[&[u8]]) -> Result<Vec<Answer>, UserKeyError> {
        let found = match self {
            Self::Known => users.read(names).await?,
            Self::PastTheCache => users.reread(names).await?,
            Self::Made => {
                let made = users.read_or_create(names).await?;
                made.into_iter().map(Some).collect()
            }
        };
        let answer = |key: Option<_>| key.map_or(Answer::None, Answer::Key);
        Ok(found.into_iter().map(answer).collect())
    }
}

/// Makes keys of the ring known that values name and that this process has not seen yet.
async fn learn(ring: &LiveRing, values: &[(&RecordName, &[u8])]) {
    let known = ring.keyring().current();
    let unknown: BTreeSet<KeyId> = values
        .iter()
        .filter_map(|(_, stored)| Shape::of_header(stored))
        .filter(|header| !header.flags.per_user_key() && known.role(header.key).is_none())
        .map(|header| header.key)
        .collect();
    for id in unknown {
        // What is not found out stays unknown, and is told value by value.
        ring.learn(id).await;
    }
}

async fn of_users(
    users: &UserKeys,
    pattern: &RecordPattern,
    purpose: Purpose,
    values: &[(&RecordName, &[u8])],
) -> Result<PageKeys, SweepError> {
    let seen: Vec<Seen<'_>> = values
        .iter()
        .filter(|(_, stored)| !stored.is_empty())
        .filter_map(|(name, stored)| Seen::of(pattern, name, stored))
        .filter(|value| value.under.is_some() || purpose != Purpose::Open)
        .collect();
    let mut page = PageKeys::default();
    let all = distinct(&seen, |_| true);
    if all.is_empty() {
        return Ok(page);
    }
    let is_cached = |user: &[u8]| !matches!(users.cached(user), CacheLookup::Unknown);
    let from_cache: BTreeSet<&[u8]> = all.iter().copied().filter(|u| is_cached(u)).collect();
    page.ask(users, &all, Ask::Known).await?;
    // Sealed by others under a key that was made after this process asked last.
    let newer = distinct(&seen, |value| {
        let other = value.under.is_some_and(|id| !page.hold(value.user, id));
        other && from_cache.contains(value.user)
    });
    if !newer.is_empty() {
        page.ask(users, &newer, Ask::PastTheCache).await?;
    }
    // Only for what shall be sealed: where a value is under a key that was lost, another does not help.
    // A user who was erased gets none: their records are found, not kept.
    let missing = distinct(&seen, |value| {
        value.under.is_none() && page.lack(value.user)
    });
    if missing.is_empty() {
        return Ok(page);
    }
    match purpose {
        Purpose::Open => {}
        Purpose::Seal => page.ask(users, &missing, Ask::Made).await?,
        Purpose::DryRun => {
            let key = Answer::Key(placeholder_key()?);
            page.put(&missing, missing.iter().map(|_| key.clone()));
        }
    }
    Ok(page)
}

impl<'a> Seen<'a> {
    fn of(pattern: &RecordPattern, name: &'a RecordName, stored: &[u8]) -> Option<Self> {
        let under = under(stored);
        // Under an excepted name nothing is sealed that is not sealed already.
        if under.is_none() && pattern.is_excepted(name.as_bytes()) {
            return None;
        }
        Some(Self {
            user: pattern.user(name.as_bytes())?,
            under,
        })
    }
}

/// The user key that a value is under, if it is under one.
fn under(stored: &[u8]) -> Option<KeyId> {
    let header = Shape::of_header(stored)?;
    header.flags.per_user_key().then_some(header.key)
}

fn distinct<'a>(seen: &[Seen<'a>], which: impl Fn(&Seen<'a>) -> bool) -> Vec<&'a [u8]> {
    let users: BTreeSet<&[u8]> = seen.iter().filter(|v| which(v)).map(|v| v.user).collect();
    users.into_iter().collect()
}

/// A key that is never kept, for those that a real sweep would make.
fn placeholder_key() -> Result<Arc<UserKey>, KeyError> {
    let key = SecretKey::generate()?;
    Ok(Arc::new(UserKey::live(KeyId::random(), &key)?))
}
