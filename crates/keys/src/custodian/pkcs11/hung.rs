//! Calls of modules that do not return. A call in a vendor's library cannot be cancelled, so its
//! thread is abandoned and counted, and no other caller waits for it: meanwhile the token is not
//! used, and a module that blocks several threads is not used at all.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::CALL_TIMEOUT;
use crate::sync::lock;

/// The number of threads that one module may block.
const MAX_HUNG_THREADS: usize = 4;
/// The tolerance for an early timer.
const TOLERANCE: Duration = Duration::from_millis(500);

/// A thread in a call that has not returned in time.
struct HungCall {
    module: PathBuf,
    url: String,
    since: Instant,
}

fn all() -> &'static Mutex<Vec<HungCall>> {
    static HUNG: OnceLock<Mutex<Vec<HungCall>>> = OnceLock::new();
    HUNG.get_or_init(Mutex::default)
}

/// The custodians whose module does not answer, and for how long.
pub(super) fn list() -> Vec<(String, Duration)> {
    let hung = lock(all());
    hung.iter()
        .map(|it| (it.url.clone(), it.since.elapsed()))
        .collect()
}

/// The reason not to use this custodian, if its module does not answer.
fn reason(module: &Path, url: &str) -> Option<String> {
    let hung = lock(all());
    if let Some(hung) = hung.iter().find(|it| it.module == module && it.url == url) {
        let seconds = hung.since.elapsed().as_secs();
        return Some(format!(
            "a call has not returned for {seconds} s, and no other is made before it does"
        ));
    }
    let held = hung.iter().filter(|it| it.module == module).count();
    (held >= MAX_HUNG_THREADS).then(|| {
        format!("{held} calls of its module have not returned, and no other is made before they do")
    })
}

/// The calls of one custodian's thread.
pub(super) struct Calls {
    module: PathBuf,
    url: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The time its current call began.
    running: Option<Instant>,
    is_hung: bool,
}

impl Calls {
    pub(super) fn of(module: &Path, url: &str) -> Self {
        Self {
            module: module.to_owned(),
            url: url.to_owned(),
            state: Mutex::default(),
        }
    }

    /// Records the begin of a call, on the thread.
    pub(super) fn begin(&self) {
        lock(&self.state).running = Some(Instant::now());
    }

    /// Records its return.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        let took = state.running.take().map(|since| since.elapsed());
        if std::mem::take(&mut state.is_hung) {
            let mut hung = lock(all());
            if let Some(place) = hung
                .iter()
                .position(|it| it.module == self.module && it.url == self.url)
            {
                hung.remove(place);
            }
            waxseal_metrics::set_hung_custodian_threads(hung.len());
            let seconds = took.unwrap_or_default().as_secs();
            info!(
                "the module of {} answers again, after {seconds} s",
                self.url
            );
        }
    }

    pub(super) fn is_hung(&self) -> bool {
        lock(&self.state).is_hung
    }

    /// The reason not to make a call now. A call that has lasted too long is recorded here, and
    /// whenever a caller has waited for one without an answer.
    pub(super) fn reason(&self) -> Option<String> {
        let mut state = lock(&self.state);
        let lasts = state.running.map(|since| since.elapsed());
        let is_late = lasts.is_some_and(|lasts| lasts + TOLERANCE >= CALL_TIMEOUT);
        if is_late && !state.is_hung {
            state.is_hung = true;
            let mut hung = lock(all());
            hung.push(HungCall {
                module: self.module.clone(),
                url: self.url.clone(),
                since: state.running.unwrap_or_else(Instant::now),
            });
            waxseal_metrics::set_hung_custodian_threads(hung.len());
            error!(
                "the module of {} has not answered for {} s: its thread is left behind, and further calls fail at \
                 once until it answers",
                self.url,
                lasts.unwrap_or_default().as_secs()
            );
        }
        drop(state);
        reason(&self.module, &self.url)
    }
}
