//! The line about lost lines of the log. It is formatted as the log is, and written by the thread that lost them.

use std::cell::RefCell;

thread_local! {
    /// On a thread that writes lines: the line about lost ones, which must not be queued.
    static NOTICE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Returns the line that reports how many lines this stream did not take, formatted as the log is.
pub(crate) fn notice(lost: u64, stream: &str) -> Vec<u8> {
    let (lines, were) = match lost {
        1 => ("line", "was"),
        _ => ("lines", "were"),
    };
    NOTICE.set(Some(Vec::new()));
    tracing::warn!("{lost} {lines} of the log {were} lost: {stream} did not take them");
    match NOTICE.take() {
        Some(line) if !line.is_empty() => line,
        // The level of the log leaves it out.
        _ => format!("waxseal: warning: {lost} {lines} {were} lost: {stream} did not take them\n")
            .into_bytes(),
    }
}

/// Takes a line of the log, if it is the one about lost lines.
pub(crate) fn capture(line: &[u8]) -> bool {
    NOTICE.with_borrow_mut(|notice| match notice {
        Some(notice) => {
            notice.extend_from_slice(line);
            true
        }
        None => false,
    })
}
