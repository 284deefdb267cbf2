//! The jobs that wait in the writer's queue.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use super::write_tx::WriteTx;
use crate::store::db::error::StoreError;

/// A type-erased job. It runs once and replies once.
pub(super) trait Job: Send {
    /// Runs the work and stores its result. Returns whether the work succeeded.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    fn has_savepoint(&self) -> bool;
    /// Replies with the stored result. If the transaction was rolled back, replies with `error`,
    /// unless the stored result is also an error.
    fn reply(self: Box<Self>, error: Option<StoreError>);
}

struct TypedJob<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    has_savepoint: bool,
}

impl<F, T, E> Job for TypedJob<F, T, E>
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_message(panic.as_ref()), "write job panicked");
            Err(StoreError::Panicked.into())
        });
        self.result.insert(result).is_ok()
    }

    fn has_savepoint(&self) -> bool {
        self.has_savepoint
    }

    fn reply(self: Box<Self>, error: Option<StoreError>) {
        let result = match (error, self.result) {
            (None, Some(result)) | (Some(_), Some(result @ Err(_))) => result,
            (Some(error), _) => Err(error.into()),
            (None, None) => Err(StoreError::Closed.into()),
        };
        // The caller may have disconnected.
        let _ = self.reply.send(result);
    }
}

/// Returns a job that runs `work`, and the receiver of its result.
pub(super) fn new_job<T, E, F>(
    work: F,
    has_savepoint: bool,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, response) = oneshot::channel();
    let job = TypedJob {
        work: Some(work),
        result: None,
        reply,
        has_savepoint,
    };
    (Box::new(job), response)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
