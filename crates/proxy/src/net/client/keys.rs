//! A client's keys: gets those that its conversation waits for, and lets it go on with them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Client;
use super::way::Way;
use crate::connection::Next;
use crate::keys::FetchedKeys;

/// What is under way: one for requests and one for a reply, at most. It ends with the client.
pub(super) type Fetches = Vec<Pin<Box<dyn Future<Output = FetchedKeys>>>>;

impl Client {
    /// Gets keys that are wanted; whether anything happened.
    pub(super) fn keys(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.worker.settings.protection.follows_keys() {
            return false;
        }
        let mut progress = false;
        loop {
            let wanted = self.shared.state.borrow_mut().connection.take_key_request();
            let Some(wanted) = wanted else {
                break;
            };
            let settings = self.worker.settings.clone();
            self.fetches.push(Box::pin(async move {
                let limit = settings.limits.connect;
                wanted.fetch(&settings.protection, limit).await
            }));
        }
        let mut at = 0;
        while let Some(fetch) = self.fetches.get_mut(at) {
            match fetch.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(fetched) => {
                    drop(self.fetches.swap_remove(at));
                    self.provide(fetched);
                    progress = true;
                }
            }
        }
        progress
    }

    fn provide(&mut self, fetched: FetchedKeys) {
        let stalled = {
            let state = &mut *self.shared.state.borrow_mut();
            let was_stalled = state.connection.is_stalled();
            let provided = state.connection.provide(fetched, state.outgoing.end());
            state.outgoing.rest();
            (was_stalled && !state.connection.is_stalled()).then_some(provided)
        };
        // The requests that waited for keys come again.
        if self.next == Next::Keys {
            self.next = Next::Replies;
        }
        match (stalled, &self.way) {
            (Some(provided), Way::Lane(lane)) => lane.resume(&self.shared, provided),
            (Some(Err(error)), _) => self.unexplained(error),
            (Some(Ok(_)), Way::Dedicated(_)) => self.on_upstream_data(&[]),
            (Some(Ok(_)), _) | (None, _) => {}
        }
    }
}
