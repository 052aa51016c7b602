//! A gate before a document store: while it is shut, calls wait as in a suspended process; while it is unreachable, they fail
//! as with a broken network.

use async_trait::async_trait;
use tokio::sync::watch;
use waxseal_keys::{Document, DocumentStore, DocumentStoreError};

/// The treatment of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateState {
    Open,
    /// Calls wait before the request.
    Shut,
    /// Calls send the request, and the answer waits.
    AnswersHeld,
    OutOfReach,
}

pub(crate) struct Gate<P> {
    place: P,
    way: watch::Sender<GateState>,
    /// The number of answers held at present.
    held: watch::Sender<usize>,
    /// True if the server's clock can be read: most tests use artificial clocks.
    tells_time: bool,
}

impl<P: DocumentStore> Gate<P> {
    pub(crate) fn before(place: P) -> Self {
        Self {
            place,
            way: watch::Sender::new(GateState::Open),
            held: watch::Sender::new(0),
            tells_time: false,
        }
    }

    pub(crate) fn telling_time(mut self, tells_time: bool) -> Self {
        self.tells_time = tells_time;
        self
    }

    pub(crate) fn set(&self, way: GateState) {
        self.way.send_replace(way);
    }

    /// Waits until an answer is held.
    pub(crate) async fn holds_an_answer(&self) {
        let mut held = self.held.subscribe();
        held.wait_for(|held| *held > 0).await.unwrap();
    }

    async fn enter(&self) -> Result<(), DocumentStoreError> {
        let mut way = self.way.subscribe();
        let way = *way.wait_for(|way| *way != GateState::Shut).await.unwrap();
        if way == GateState::OutOfReach {
            return Err(DocumentStoreError::Unavailable {
                location: self.location(),
                cause: "the gate is shut".to_owned(),
            });
        }
        Ok(())
    }

    async fn leave(&self) {
        let mut way = self.way.subscribe();
        if *way.borrow() == GateState::AnswersHeld {
            self.held.send_modify(|held| *held += 1);
            way.wait_for(|way| *way != GateState::AnswersHeld)
                .await
                .unwrap();
            self.held.send_modify(|held| *held -= 1);
        }
    }
}

#[async_trait]
impl<P: DocumentStore> DocumentStore for Gate<P> {
    fn location(&self) -> String {
        self.place.location()
    }

    async fn time_ms(&self) -> Result<Option<u64>, DocumentStoreError> {
        match self.tells_time {
            true => self.place.time_ms().await,
            false => Ok(None),
        }
    }

    async fn read(&self, paper: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.enter().await?;
        let read = self.place.read(paper).await;
        self.leave().await;
        read
    }

    async fn replace(
        &self,
        paper: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        self.enter().await?;
        let replaced = self.place.replace(paper, expected, new).await;
        self.leave().await;
        replaced
    }
}
