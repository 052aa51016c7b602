//! Functions that run before each snapshot: they set gauges that are computed on demand, such as the age of a key.

use std::sync::{Mutex, MutexGuard, PoisonError};

type Hook = Box<dyn Fn() + Send + Sync>;

static HOOKS: Mutex<Vec<Hook>> = Mutex::new(Vec::new());

/// Runs `hook` before every snapshot from now on, until the process ends.
pub fn before_snapshot(hook: impl Fn() + Send + Sync + 'static) {
    hooks().push(Box::new(hook));
}

/// Runs all hooks, in the order in which they were added.
pub(crate) fn run() {
    for hook in &*hooks() {
        hook();
    }
}

fn hooks() -> MutexGuard<'static, Vec<Hook>> {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}
