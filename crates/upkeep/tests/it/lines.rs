//! What is logged on this thread.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once};

/// The lines that are logged on this thread while the guard lives.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn capture() -> (Self, Capture) {
        let lines = Self::default();
        subscribe();
        let before = CAPTURED.replace(Some(lines.clone()));
        (lines, Capture(before))
    }

    /// What was logged since the last time.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

thread_local! {
    static CAPTURED: RefCell<Option<Lines>> = const { RefCell::new(None) };
}
static SUBSCRIBER: Once = Once::new();

/// Ends a capture.
pub(crate) struct Capture(Option<Lines>);

impl Drop for Capture {
    fn drop(&mut self) {
        CAPTURED.set(self.0.take());
    }
}

/// Writes to what this thread captures.
struct ThreadWriter;

impl io::Write for ThreadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow(|lines| {
            if let Some(lines) = lines {
                lines.0.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One subscriber for all threads, set before anything is logged. With one on each thread, a line that another thread
/// without a subscriber logs first is switched off for the whole process.
fn subscribe() {
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| ThreadWriter)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
}
