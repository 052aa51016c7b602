//! Panics, which are bugs of ours. Each is counted and logged with its location, without its message, which could hold a
//! value. Tasks that must not end are restarted.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Panics of this process.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The delay before a task that panicked is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay, where it panics repeatedly.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(60);

/// Counts and logs each panic from now on.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        log(info);
    }));
}

/// The number of panics so far.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

fn log(info: &PanicHookInfo<'_>) {
    let location = info
        .location()
        .map_or_else(String::new, ToString::to_string);
    let current = thread::current();
    let thread = current.name().unwrap_or("unnamed");
    tracing::error!(
        location,
        thread,
        "a bug of Waxseal's: the task that met it has ended"
    );
}

/// Runs the future of `make` in a task. Where it panics, a new one is run after a delay: a task that looks
/// after the process must not end unnoticed.
pub fn spawn_restarting<F>(
    name: &'static str,
    make: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(run_restarting(name, make, RESTART_DELAY))
}

async fn run_restarting<F>(name: &str, make: impl Fn() -> F, mut delay: Duration)
where
    F: Future<Output = ()>,
{
    while AssertUnwindSafe(make()).catch_unwind().await.is_err() {
        tracing::error!("{name} is started again in {} s", delay.as_secs());
        sleep(delay).await;
        delay = (delay * 2).min(MAX_RESTART_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_counted_and_logged_with_its_place_and_without_its_message() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let before = panic::take_hook();
        install_hook();
        let counted = count();
        let ended = thread::Builder::new()
            .name("worker 7".to_owned())
            .spawn(|| {
                tracing::subscriber::with_default(subscriber, || panic!("a value: {}", 5219));
            });
        assert!(ended.unwrap().join().is_err());
        panic::set_hook(before);
        assert!(count() > counted);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("a bug of Waxseal's") && text.contains("worker 7"),
            "{text}"
        );
        assert!(
            text.contains("panics.rs:") && !text.contains("5219"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_one_that_ends_is_not() {
        let runs = AtomicUsize::new(0);
        let task = || async {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            assert!(run >= 2, "the first two runs panic");
        };
        run_restarting("the task of a test", task, Duration::from_millis(1)).await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }
}
