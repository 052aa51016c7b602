//! Standard error, for the log and for everything that is told beside results. A thread of its own writes
//! it: neither a reader that stalls nor a disk that is full holds up or ends what is logged about. Lines
//! that find the queue full or cannot be written are lost and counted.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

mod queue;

use queue::LineQueue;
pub(crate) use queue::LostLines;

/// How long the end of the process waits for a reader that takes nothing.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long it waits for one that takes lines slowly.
const MAX_FLUSH: Duration = Duration::from_secs(5);

/// The lines for standard error, which a thread writes from the first one on.
fn lines() -> &'static Arc<LineQueue> {
    static LINES: OnceLock<Arc<LineQueue>> = OnceLock::new();
    LINES.get_or_init(|| {
        let queue = Arc::new(LineQueue::default());
        let written = queue.clone();
        let thread = thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || written.write_to(io::stderr(), notice));
        if started.is_err() {
            queue.close();
        }
        queue
    })
}

/// Queues a line for standard error. Never waits, never fails.
pub(crate) fn write_line(mut text: String) {
    text.push('\n');
    push(text.into_bytes());
}

/// Waits until everything queued is written; no longer than a moment where nothing is taken.
pub(crate) fn flush() {
    lines().flush(FLUSH_TIMEOUT, MAX_FLUSH);
}

/// How many lines were lost so far.
pub(crate) fn lost_lines() -> LostLines {
    lines().lost()
}

fn push(line: Vec<u8>) {
    if let Err(line) = lines().push(line) {
        // The system gives no thread: better to wait than to say nothing.
        let _ = io::stderr().write_all(&line);
    }
}

thread_local! {
    /// On the thread that writes: the line that tells of lost ones, which must not be queued.
    static NOTICE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The line that tells how many lines were lost, formatted as the others are.
fn notice(lost: u64) -> Vec<u8> {
    let (lines, were) = match lost {
        1 => ("line", "was"),
        _ => ("lines", "were"),
    };
    NOTICE.set(Some(Vec::new()));
    tracing::warn!("{lost} {lines} of the log {were} lost: standard error did not take them");
    match NOTICE.take() {
        Some(line) if !line.is_empty() => line,
        // The level of the log leaves it out.
        _ => format!(
            "waxseal: warning: {lost} {lines} {were} lost: standard error did not take them\n"
        )
        .into_bytes(),
    }
}

/// Where the log writes its lines to.
#[derive(Clone, Copy)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    /// Takes one event, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_notice = NOTICE.with_borrow_mut(|notice| match notice {
            Some(notice) => {
                notice.extend_from_slice(line);
                true
            }
            None => false,
        });
        if !is_notice {
            push(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
