//! A client's keys: fetches those that its conversation waits for, and resumes the conversation with them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Client;
use super::route::Route;
use crate::connection::Next;
use crate::keys::FetchedKeys;

/// The fetches under way: at most one for requests and one for a reply. They end with the client.
pub(super) type KeyFetches = Vec<Pin<Box<dyn Future<Output = FetchedKeys>>>>;

impl Client {
    /// Fetches keys that the conversation asks for. Returns true if any were provided.
    pub(super) fn poll_keys(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.worker.settings.protection.follows_keys() {
            return false;
        }
        let mut progress = false;
        loop {
            let request = self.shared.state.borrow_mut().connection.take_key_request();
            let Some(request) = request else {
                break;
            };
            let settings = self.worker.settings.clone();
            self.key_fetches.push(Box::pin(async move {
                let limit = settings.limits.connect;
                request.fetch(&settings.protection, limit).await
            }));
        }
        let mut at = 0;
        while let Some(fetch) = self.key_fetches.get_mut(at) {
            match fetch.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(fetched) => {
                    drop(self.key_fetches.swap_remove(at));
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
            let provided = state.connection.provide(fetched, state.output.end());
            state.output.release();
            (was_stalled && !state.connection.is_stalled()).then_some(provided)
        };
        // The requests that waited for keys are taken again.
        if self.next == Next::Keys {
            self.next = Next::Replies;
        }
        match (stalled, &self.route) {
            (Some(provided), Route::Lane(lane)) => lane.resume(&self.shared, provided),
            (Some(Err(error)), _) => self.on_unexplained(error),
            (Some(Ok(_)), Route::Dedicated(_)) => self.on_upstream_data(&[]),
            (Some(Ok(_)), _) | (None, _) => {}
        }
    }
}
