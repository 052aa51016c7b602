//! Every store passes the suite under logical names, and none of these is stored.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_kinds::{LeftOut, LogicalName, NameForms, NameUnavailable};
use waxseal_stores::conformance::{self, Collection, Subject};
use waxseal_stores::{
    Cursor, Expiry, Matches, MemoryStore, NamedStore, Neighbors, RecordName, RecordPattern,
    RecordStore, Slot, StoreError,
};
use waxseal_testing::Flavor;

use crate::redis::{connect, server};

/// Names behind a prefix as hexadecimal digits: as sealed ones they have another length, and tell which are theirs.
pub(crate) struct HexNames {
    prefixes: Vec<&'static str>,
}

impl HexNames {
    fn new(prefixes: &[&'static str]) -> Self {
        Self {
            prefixes: prefixes.to_vec(),
        }
    }

    fn rest<'n>(&self, name: &'n [u8]) -> Option<(&'static str, &'n [u8])> {
        if name.starts_with(RecordName::OWN_PREFIX) {
            return None;
        }
        let mut prefixes = self.prefixes.iter();
        prefixes.find_map(|prefix| Some((*prefix, name.strip_prefix(prefix.as_bytes())?)))
    }
}

impl NameForms for HexNames {
    fn stored(&self, logical: &[u8]) -> Result<Option<Vec<u8>>, NameUnavailable> {
        let Some((prefix, rest)) = self.rest(logical) else {
            return Ok(None);
        };
        if rest == b"too long" {
            return Err(NameUnavailable("it is too long".to_owned()));
        }
        let digits: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(format!("{prefix}~{digits}").into_bytes()))
    }

    fn logical(&self, stored: &[u8]) -> LogicalName {
        let Some((prefix, rest)) = self.rest(stored) else {
            return LogicalName::Same;
        };
        let Some(digits) = rest.strip_prefix(b"~") else {
            return LogicalName::LeftOut(LeftOut::Stray);
        };
        let text = std::str::from_utf8(digits).unwrap_or("?");
        let text = text.strip_prefix("old").unwrap_or(text);
        let bytes = (0..text.len()).step_by(2).map(|at| {
            let digits = text.get(at..at + 2)?;
            u8::from_str_radix(digits, 16).ok()
        });
        match bytes.collect::<Option<Vec<u8>>>() {
            Some(rest) => LogicalName::Opened([prefix.as_bytes(), &rest].concat()),
            None => LogicalName::LeftOut(LeftOut::Junk),
        }
    }

    fn prefixes(&self) -> Vec<&[u8]> {
        self.prefixes.iter().map(|it| it.as_bytes()).collect()
    }
}

fn named(inner: Arc<dyn RecordStore>, prefixes: &[&'static str]) -> NamedStore {
    NamedStore::new(inner, Arc::new(HexNames::new(prefixes)))
}

/// A subject under logical names.
pub(crate) struct Named<S> {
    subject: S,
    store: Arc<NamedStore>,
}

impl<S: Subject> Named<S> {
    pub(crate) fn new(subject: S) -> Self {
        let store = named(subject.store(), &["conformance:"]);
        Self {
            store: Arc::new(store),
            subject,
        }
    }

    fn stored(&self, name: &RecordName) -> RecordName {
        self.store.stored(name).unwrap().into_owned()
    }
}

#[async_trait]
impl<S: Subject> Subject for Named<S> {
    fn store(&self) -> Arc<dyn RecordStore> {
        self.store.clone()
    }

    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>) {
        self.subject.make_list(&self.stored(name), elements).await;
    }

    async fn make(&self, name: &RecordName, collection: Collection) -> bool {
        self.subject.make(&self.stored(name), collection).await
    }

    async fn score(&self, name: &RecordName, member: &[u8]) -> Option<String> {
        self.subject.score(&self.stored(name), member).await
    }

    async fn expire_at(&self, name: &RecordName, time: u64) {
        self.subject.expire_at(&self.stored(name), time).await;
    }

    async fn pass(&self, time: std::time::Duration) {
        self.subject.pass(time).await;
    }
}

/// Runs the suite over logical names, and looks for names in clear in the store below.
pub(crate) async fn run_suite<S: Subject>(subject: S) {
    let named = Named::new(subject);
    conformance::run(&named).await;
    let all = RecordPattern::parse("conformance:*").unwrap();
    let names = scan(&**named.store.inner(), &all).await;
    assert!(names.len() > 100, "only {} names", names.len());
    let is_clear = |name: &RecordName| !name.as_bytes().starts_with(b"conformance:~");
    assert_eq!(names.iter().filter(|name| is_clear(name)).count(), 0);
    let left_out = named.store.left_out();
    assert!(
        left_out.iter().all(|(_, count)| *count == 0),
        "{left_out:?}"
    );
}

async fn scan(store: &dyn RecordStore, pattern: &RecordPattern) -> Vec<RecordName> {
    let (mut names, mut cursor) = (Vec::new(), Cursor::start());
    loop {
        let page = store.scan(pattern, &cursor, 7).await.unwrap();
        names.extend(page.names);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    names.sort();
    names.dedup();
    names
}

async fn put(store: &dyn RecordStore, names: &[&str]) {
    for name in names {
        let name = RecordName::from(*name);
        let put = store.put(&name, &Slot::Whole, b"value", Expiry::Persistent);
        put.await.unwrap();
    }
}

async fn found(store: &dyn RecordStore, pattern: &str) -> Vec<String> {
    let pattern = RecordPattern::parse(pattern).unwrap();
    let names = scan(store, &pattern).await.into_iter();
    let text = |name: RecordName| String::from_utf8(name.as_bytes().to_vec()).unwrap();
    names.map(text).collect()
}

#[tokio::test]
async fn a_scan_matches_logical_names_and_leaves_out_what_is_none() {
    let inner = Arc::new(MemoryStore::default());
    let store = named(inner.clone(), &["wa:", "app:x:"]);
    put(
        &store,
        &[
            "wa:521",
            "wa:522",
            "wa:9",
            "app:x:1",
            "app:y:1",
            "other",
            "waxseal:canary",
        ],
    )
    .await;
    put(&*inner, &["wa:~zz", "wa:plain", "wa:~old353231"]).await;
    for (pattern, expected) in [
        ("wa:*", &["wa:521", "wa:522", "wa:9"][..]),
        ("wa:52?", &["wa:521", "wa:522"]),
        ("wa:521", &["wa:521"]),
        ("wa:{user}", &["wa:521", "wa:522", "wa:9"]),
        // Stored names are no names.
        ("wa:~*", &[]),
        ("*1", &["app:x:1", "app:y:1", "wa:521"]),
        ("app:*", &["app:x:1", "app:y:1"]),
        ("app:x:1*", &["app:x:1"]),
        ("ot*", &["other"]),
        ("w*", &["wa:521", "wa:522", "wa:9", "waxseal:canary"]),
    ] {
        assert_eq!(found(&store, pattern).await, expected, "{pattern}");
    }
    let own = RecordPattern::parse_own("waxseal:*").unwrap();
    assert_eq!(scan(&store, &own).await.len(), 1);
    let of = |reason| store.left_out().into_iter().find(|(it, _)| *it == reason);
    for reason in [LeftOut::Junk, LeftOut::Stray] {
        assert!(of(reason).is_some_and(|(_, count)| count > 0), "{reason}");
    }
    assert!(store.other_forms() > 0);
    assert_eq!(of(LeftOut::Foreign), Some((LeftOut::Foreign, 0)));
}

#[tokio::test]
async fn a_name_that_cannot_be_sealed_is_an_error_of_every_operation() {
    let store = named(Arc::new(MemoryStore::default()), &["wa:"]);
    let name = RecordName::from("wa:too long");
    let error = StoreError::Name {
        why: "it is too long".to_owned(),
    };
    let put = store.put(&name, &Slot::Whole, b"value", Expiry::Persistent);
    assert_eq!(put.await, Err(error.clone()));
    let names = [RecordName::from("other"), name];
    assert_eq!(store.read(&names).await.err(), Some(error.clone()));
    assert_eq!(store.lifetimes(&names).await, Err(error.clone()));
    assert_eq!(
        error.to_string(),
        "the name of the record cannot be sealed: it is too long"
    );
    assert!(error.remedy().is_some() && !error.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbors_are_looked_for_under_stored_names() {
    let server = server(Flavor::System);
    let store = named(Arc::new(connect(&server).await), &["wa:"]);
    let mut client = server.client();
    client.cmd(&["SELECT", "3"]);
    client.cmd(&["SET", "wa:~353231", "value"]);
    let patterns = ["wa:*", "wa:52*", "app:*"].map(|it| RecordPattern::parse(it).unwrap());
    let neighbors = store.neighbors(&patterns).await.unwrap();
    let Neighbors::Known(databases) = neighbors else {
        panic!("{neighbors:?}");
    };
    assert_eq!(
        databases[0].matches,
        [Matches::Some, Matches::Unknown, Matches::None]
    );
}
