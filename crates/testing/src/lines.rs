//! Capture of the lines that one thread logs, for tests that read them.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The lines logged on this thread while the guard exists.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

/// Ends a capture when it is dropped.
#[derive(Debug)]
pub struct Capture(Option<(Lines, Level)>);

thread_local! {
    static CAPTURED: RefCell<Option<(Lines, Level)>> = const { RefCell::new(None) };
}
static SUBSCRIBER: Once = Once::new();

impl Lines {
    /// Captures events of this level and of more urgent ones.
    #[must_use]
    pub fn capture(level: Level) -> (Self, Capture) {
        subscribe();
        let lines = Self::default();
        let before = CAPTURED.replace(Some((lines.clone(), level)));
        (lines, Capture(before))
    }

    /// All captured text.
    #[must_use]
    pub fn text(&self) -> String {
        text(self.bytes().clone())
    }

    /// The text captured since the last call.
    #[must_use]
    pub fn take(&self) -> String {
        text(std::mem::take(&mut *self.bytes()))
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("lines of a log are text")
}

impl Drop for Capture {
    fn drop(&mut self) {
        CAPTURED.set(self.0.take());
    }
}

/// Creates writers for the level of each event.
struct Writers;

/// Writes an event of this level to its thread's capture.
struct ThreadWriter(Level);

impl<'a> MakeWriter<'a> for Writers {
    type Writer = ThreadWriter;

    fn make_writer(&'a self) -> ThreadWriter {
        ThreadWriter(Level::ERROR)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> ThreadWriter {
        ThreadWriter(*event.level())
    }
}

impl io::Write for ThreadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow(|captured| {
            if let Some((lines, level)) = captured
                && self.0 <= *level
            {
                lines.bytes().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Installs one subscriber for all threads, before anything is logged. With one per thread, a
/// callsite that another thread without a subscriber reaches first is disabled for the whole
/// process.
fn subscribe() {
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(Writers)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
        tracing::callsite::rebuild_interest_cache();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_captures_its_own_lines_of_the_level_until_the_guard_is_dropped() {
        let (outer, guard) = Lines::capture(Level::INFO);
        tracing::info!("one");
        tracing::debug!("two");
        std::thread::spawn(|| tracing::error!("three"))
            .join()
            .unwrap();
        {
            let (inner, _guard) = Lines::capture(Level::DEBUG);
            tracing::debug!("four");
            assert!(inner.text().contains(" DEBUG ") && inner.take().ends_with("four\n"));
            assert_eq!(inner.text(), "");
        }
        tracing::warn!("five");
        drop(guard);
        tracing::warn!("six");
        let text = outer.take();
        assert!(text.contains("one\n") && text.ends_with("five\n"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
