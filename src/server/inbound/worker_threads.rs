//! The worker threads of an HTTP server, for the watchdog.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

/// The worker threads of an HTTP server; cheap to clone.
#[derive(Clone, Default)]
pub struct WorkerThreads(Arc<Mutex<Vec<Handle>>>);

impl WorkerThreads {
    /// Adds the runtime of the current thread.
    pub(super) fn add_current(&self) {
        self.locked().push(Handle::current());
    }

    /// Waits until every worker thread has run a task. Never returns while a thread is blocked.
    pub async fn wait_until_responsive(&self) {
        let handles = self.locked().clone();
        let tasks: Vec<_> = handles
            .iter()
            .map(|handle| handle.spawn(async {}))
            .collect();
        for task in tasks {
            // A task fails if its thread has ended. The server replaces a thread that panics.
            let _ = task.await;
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn waits_for_a_blocked_thread_and_ignores_an_ended_thread() {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let workers = WorkerThreads::default();
        let (started, has_started) = channel();
        let (unblock, unblocked) = channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn({
            let workers = workers.clone();
            move || {
                runtime().block_on(async {
                    workers.add_current();
                    started.send(()).unwrap();
                    unblocked.recv().unwrap();
                    let _ = ended.await;
                });
            }
        });
        has_started.recv().unwrap();
        runtime().block_on(async {
            let check = timeout(Duration::from_millis(50), workers.wait_until_responsive());
            assert!(check.await.is_err());
            unblock.send(()).unwrap();
            workers.wait_until_responsive().await;
            drop(end);
            thread.join().unwrap();
            workers.wait_until_responsive().await;
        });
    }
}
