//! Standard error, for everything beside results, and for the log where no file is named. A dedicated thread
//! writes it: neither a reader that stalls nor a full disk blocks or ends what the lines are about.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use crate::line_queue::{LineQueue, LostLines};
use crate::lost_lines::notice;

/// The lines for standard error, which a thread writes from the first one on.
fn lines() -> &'static Arc<LineQueue> {
    static LINES: OnceLock<Arc<LineQueue>> = OnceLock::new();
    LINES.get_or_init(|| {
        LineQueue::start("stderr", io::stderr(), |lost| {
            notice(lost, "standard error")
        })
    })
}

/// Queues a line for standard error. Never waits, never fails.
pub(crate) fn write_line(mut text: String) {
    text.push('\n');
    push(text.into_bytes());
}

/// The same for bytes that are whole lines already.
pub(crate) fn push(line: Vec<u8>) {
    if let Err(line) = lines().push(line) {
        // The system gives no thread: better to wait than to say nothing.
        let _ = io::stderr().write_all(&line);
    }
}

/// Waits until everything queued is written, but only for a moment if the stream takes nothing.
pub(crate) fn flush() {
    lines().flush();
}

/// The lines lost so far.
pub(crate) fn lost_lines() -> LostLines {
    lines().lost()
}
