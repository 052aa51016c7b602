//! All workers of a proxy. One whose thread has ended by a bug took its clients with it; it is replaced, so that no
//! client is given to a worker that does not run.

use std::io;
use std::sync::Arc;

use super::listener::Incoming;
use super::worker::{Command, Handle};
use crate::proxy::Shares;

/// The workers of a proxy.
pub(crate) struct Workers {
    shares: Arc<Shares>,
    workers: Vec<Handle>,
}

impl Workers {
    /// Starts `count` workers.
    pub(crate) fn start(shares: Arc<Shares>, count: usize) -> io::Result<Self> {
        let workers = (0..count).map(|index| Handle::start(shares.clone(), index));
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Self { shares, workers })
    }

    /// Gives a client to the worker with the fewest clients.
    pub(crate) fn serve(&mut self, client: Incoming) {
        self.replace_ended();
        let alive = self.workers.iter().filter(|worker| !worker.is_done());
        match alive.min_by_key(|worker| worker.load()) {
            Some(worker) => worker.serve(client),
            None => tracing::error!("a client was not served: no worker could be started"),
        }
    }

    fn replace_ended(&mut self) {
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if !worker.is_done() {
                continue;
            }
            match Handle::start(self.shares.clone(), index) {
                Ok(started) => {
                    tracing::error!(
                        "worker {index} had ended, with its clients: it is started again"
                    );
                    *worker = started;
                }
                Err(error) => tracing::error!("worker {index} cannot be started again: {error}"),
            }
        }
    }

    /// The number of clients of all workers.
    pub(crate) fn load(&self) -> usize {
        self.workers.iter().map(Handle::load).sum()
    }

    pub(crate) fn broadcast(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            worker.send(command());
        }
    }

    /// True if all workers have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.workers.iter().all(Handle::is_done)
    }

    /// Stops all workers and waits for their threads.
    pub(crate) fn stop(self) {
        for worker in self.workers {
            worker.send(Command::Stop);
            worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use tokio::sync::Notify;
    use waxseal_core::{NameMask, SecretKey};

    use super::*;
    use crate::clients::Clients;
    use crate::connection::Handshake;
    use crate::limits::Limits;
    use crate::net::reply_buffers::ReplyBuffers;
    use crate::net::upstream::{Address, Upstream};
    use crate::protection::Protection;
    use crate::proxy::Sharing;

    fn shares() -> Arc<Shares> {
        let key = SecretKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let address = Address::Unix("/nowhere".into());
        let upstream = Upstream::new(address, None, Handshake::default(), 0).unwrap();
        let clients = Arc::new(Clients::new(None));
        let limits = Limits::default();
        let bounds = (limits.client_buffer, limits.total_buffer);
        Arc::new(Shares {
            buffers: ReplyBuffers::new(bounds, clients.clone(), None),
            lane_ended: Notify::new(),
            suspects_metric: Mutex::default(),
            upstream: Arc::new(upstream),
            sharing: Sharing::Dedicated,
            lanes: 1,
            limits,
            protection: Arc::new(Protection::new(Vec::new(), NameMask::derived_from(&key))),
            report: Arc::new(|_| {}),
            clients,
        })
    }

    #[test]
    fn a_worker_that_has_ended_is_replaced() {
        let mut workers = Workers::start(shares(), 2).unwrap();
        workers.workers[0].send(Command::Panic);
        let give_up = Instant::now() + Duration::from_secs(60);
        while !workers.workers[0].is_done() {
            assert!(Instant::now() < give_up, "it still runs");
            sleep(Duration::from_millis(1));
        }
        assert!(!workers.is_done());
        workers.replace_ended();
        assert!(workers.workers.iter().all(|worker| !worker.is_done()));
        workers.stop();
    }
}
