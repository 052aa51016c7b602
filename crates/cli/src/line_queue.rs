//! A bounded queue of lines, and the thread that writes them. Queueing a line never blocks: lines that find
//! the queue full, or that cannot be written, are lost and counted. Independent of the stream.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use waxseal_service::metering::LostLines;

/// The maximum number of queued lines.
const MAX_LINES: usize = 8192;
/// The maximum size of queued lines, in bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The interval between two attempts on a non-blocking stream that takes nothing at the moment.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// The interval between two attempts to report lost lines while no other line is queued.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// The time that the end of the process waits for a stream that takes nothing.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that it waits for one that takes lines slowly.
const MAX_FLUSH: Duration = Duration::from_secs(5);

/// Lines that wait for a stream. Nothing may panic under the lock, since logging a panic takes it.
#[derive(Default)]
pub(crate) struct LineQueue {
    state: Mutex<State>,
    /// A line was queued.
    queued: Condvar,
    /// Lines were taken from the queue.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
    /// The number of lines that the thread is done with, written or not; may wrap around.
    finished: u64,
    lost: LostLines,
    /// The number of them that were reported.
    told: u64,
    /// True if no thread writes.
    is_closed: bool,
}

impl LineQueue {
    /// Returns a queue whose lines a thread of this name writes. `notice` formats the line about lost ones.
    pub(crate) fn start(
        name: &str,
        stream: impl Write + Send + 'static,
        notice: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> Arc<Self> {
        let queue = Arc::new(Self::default());
        let written = queue.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || written.write_to(stream, notice));
        if started.is_err() {
            queue.lock().is_closed = true;
        }
        queue
    }

    /// Queues a line, or counts it as lost. Returns it if no thread writes.
    pub(crate) fn push(&self, line: Vec<u8>) -> Result<(), Vec<u8>> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(line);
        }
        if state.lines.len() >= MAX_LINES || state.bytes.saturating_add(line.len()) > MAX_BYTES {
            state.lost.queue_full = state.lost.queue_full.saturating_add(1);
            return Ok(());
        }
        state.bytes = state.bytes.saturating_add(line.len());
        state.lines.push_back(line);
        drop(state);
        self.queued.notify_one();
        Ok(())
    }

    /// The lines lost so far.
    pub(crate) fn lost(&self) -> LostLines {
        self.lock().lost
    }

    /// Waits until everything queued is written, but only for a moment if the stream takes nothing.
    pub(crate) fn flush(&self) {
        self.flush_within(FLUSH_TIMEOUT, MAX_FLUSH);
    }

    /// The same: at most `stall` for a stream that takes nothing, and `all` in all.
    fn flush_within(&self, stall: Duration, all: Duration) {
        let end = Instant::now() + all;
        let mut state = self.lock();
        let mut finished = state.finished;
        let mut give_up = end.min(Instant::now() + stall);
        while !state.is_closed && (state.is_writing || !state.lines.is_empty()) {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.finished != finished {
                finished = state.finished;
                give_up = end.min(Instant::now() + stall);
            }
        }
    }

    /// Writes lines for as long as the process lives.
    fn write_to(&self, stream: impl Write, notice: impl Fn(u64) -> Vec<u8>) {
        let mut output = Output {
            stream,
            is_in_line: false,
        };
        loop {
            let line = self.next();
            // Before the line: it reports what is missing there.
            self.tell_of_lost(&mut output, &notice);
            let Some(line) = line else {
                continue;
            };
            let written = output.write(&line);
            let mut state = self.lock();
            if written.is_err() {
                state.lost.write_failed = state.lost.write_failed.saturating_add(1);
            }
            state.is_writing = false;
            state.finished = state.finished.wrapping_add(1);
            drop(state);
            self.drained.notify_all();
        }
    }

    /// The next line; `None` if none is queued and lost ones are still to be reported.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes = state.bytes.saturating_sub(line.len());
                state.is_writing = true;
                return Some(line);
            }
            if state.lost.total() == state.told {
                let waited = self.queued.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.queued.wait_timeout(state, NOTICE_INTERVAL);
            let timed_out;
            (state, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
            if timed_out.timed_out() {
                return None;
            }
        }
    }

    /// Reports lost lines, if there are any and the stream takes the report.
    fn tell_of_lost<W: Write>(&self, output: &mut Output<W>, notice: &impl Fn(u64) -> Vec<u8>) {
        let (total, told) = {
            let state = self.lock();
            (state.lost.total(), state.told)
        };
        if total > told && output.write(&notice(total.saturating_sub(told))).is_ok() {
            self.lock().told = total;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of lines.
struct Output<W> {
    stream: W,
    /// True if the beginning of a line was written, and its end was not.
    is_in_line: bool,
}

impl<W: Write> Output<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_in_line {
            self.write_all(b"\n")?;
        }
        self.write_all(line)?;
        self.stream.flush()
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    let (done, remaining) = bytes.split_at(written);
                    self.is_in_line = done.last() != Some(&b'\n');
                    bytes = remaining;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process made the pipe non-blocking, for both.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(RETRY_INTERVAL);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A stream whose disk can be full, and whose reader can stall.
    #[derive(Clone, Default)]
    struct Stream(Arc<(Mutex<Taken>, Condvar)>);

    #[derive(Default)]
    struct Taken {
        bytes: Vec<u8>,
        /// Bytes that fit until the disk is full.
        room: Option<usize>,
        is_stalled: bool,
    }

    impl Stream {
        fn set(&self, change: impl FnOnce(&mut Taken)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.0.0.lock().unwrap();
            let mut taken = self.0.1.wait_while(taken, |it| it.is_stalled).unwrap();
            let fits = taken.room.unwrap_or(usize::MAX).min(bytes.len());
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            taken.bytes.extend_from_slice(&bytes[..fits]);
            if let Some(room) = &mut taken.room {
                *room -= fits;
            }
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started(stream: &Stream) -> Arc<LineQueue> {
        LineQueue::start("lines of a test", stream.clone(), |lost| {
            format!("lost {lost}\n").into_bytes()
        })
    }

    fn push(queue: &LineQueue, line: &str) {
        queue.push(line.as_bytes().to_vec()).unwrap();
    }

    #[test]
    fn a_full_disk_loses_lines_that_are_counted_and_told_of_once_it_has_room() {
        let stream = Stream::default();
        let queue = started(&stream);
        push(&queue, "one\n");
        queue.flush_within(LONG, LONG);
        stream.set(|it| it.room = Some(2));
        push(&queue, "two\n");
        push(&queue, "three\n");
        queue.flush_within(LONG, LONG);
        assert_eq!(queue.lost().write_failed, 2);
        assert_eq!(stream.text(), "one\ntw");
        stream.set(|it| it.room = None);
        push(&queue, "four\n");
        queue.flush_within(LONG, LONG);
        assert_eq!(stream.text(), "one\ntw\nlost 2\nfour\n");
        assert_eq!(queue.lost().total(), 2);
    }

    #[test]
    fn lost_lines_are_told_of_also_where_no_other_line_comes() {
        let stream = Stream::default();
        let queue = started(&stream);
        stream.set(|it| it.room = Some(0));
        push(&queue, "one\n");
        queue.flush_within(LONG, LONG);
        stream.set(|it| it.room = None);
        let give_up = Instant::now() + LONG;
        while stream.text() != "lost 1\n" {
            assert!(Instant::now() < give_up, "{}", stream.text());
            thread::sleep(RETRY_INTERVAL);
        }
    }

    #[test]
    fn a_reader_that_stalls_blocks_no_one_and_costs_bounded_memory() {
        let stream = Stream::default();
        let queue = started(&stream);
        stream.set(|it| it.is_stalled = true);
        let line = "x".repeat(99) + "\n";
        for _ in 0..MAX_LINES + 1000 {
            push(&queue, &line);
        }
        push(&queue, &"y".repeat(MAX_BYTES));
        let lost = queue.lost().queue_full;
        // One more may be on its way.
        assert!((1000..=1001).contains(&lost), "{lost}");
        queue.flush_within(Duration::from_millis(10), LONG);
        stream.set(|it| it.is_stalled = false);
        queue.flush_within(LONG, LONG);
        let text = stream.text();
        assert_eq!(
            text.lines().filter(|it| it.starts_with('x')).count(),
            MAX_LINES + 1001 - lost as usize
        );
        // In two lines, if the first lines were lost before the thread took its first one.
        let told = text.lines().filter_map(|it| it.strip_prefix("lost "));
        let told = told.map(|it| it.parse::<u64>().unwrap());
        assert_eq!(told.sum::<u64>(), lost);
    }
}
