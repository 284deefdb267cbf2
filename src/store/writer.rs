//! The one thread that writes: group commit.
//!
//! Work comes as jobs through a bounded queue. The thread takes all that is queued, runs each job in a savepoint of one
//! `BEGIN IMMEDIATE` transaction, commits, and only then answers: what is acknowledged is on the disk
//! (`synchronous=FULL`), yet many jobs share one commit. A job that fails or panics is rolled back alone; some faults
//! of SQLite (a full disk) end the whole transaction, and then every job of the batch is answered with that fault.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{Notify, mpsc, oneshot};

use super::error::StoreError;
use crate::clock::{Clock, Timestamp};
use crate::domain::id::{Id, IdSequence};

/// How many jobs may wait; beyond that, load is refused instead of kept in memory.
const QUEUE: usize = 1024;
/// How many jobs share one commit at most, so that the first of them does not wait long for the last.
const BATCH: usize = 256;

/// What a job works with: the open transaction, ids and time.
pub(super) struct Write<'a> {
    connection: &'a Connection,
    ids: &'a mut IdSequence,
    pub(super) now: Timestamp,
    wake: &'a mut Woken,
}

/// Who is woken after a commit. Wake-ups carry no data: who is woken looks.
#[derive(Clone, Default)]
pub(super) struct Wakes {
    pub(super) deliveries: Arc<Notify>,
    pub(super) health: Arc<Notify>,
    pub(super) outbox_generation: Arc<AtomicU64>,
}

/// Whom the jobs of a batch want to wake.
#[derive(Clone, Copy, Default)]
struct Woken {
    deliveries: bool,
    health: bool,
    outbox_changed: bool,
}

impl Write<'_> {
    pub(super) fn next_id<T: Id>(&mut self) -> T {
        self.ids.next(self.now)
    }

    /// After the commit, the delivery loop looks for what is due.
    pub(super) fn wake_deliveries(&mut self) {
        self.wake.deliveries = true;
    }

    /// After the commit, and before it is answered, what was read of the outbox counts for nothing any more.
    pub(super) fn outbox_changed(&mut self) {
        self.wake.outbox_changed = true;
    }

    /// After the commit, it is looked whether somebody has to be told of a webhook's health.
    pub(super) fn wake_alerts(&mut self) {
        self.wake.health = true;
    }
}

impl Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// A job with its types erased: run once, then answered once.
trait Job: Send {
    /// Runs the work and keeps its result; `true` if it is to be committed.
    fn run(&mut self, write: &mut Write<'_>) -> bool;
    /// Answers with the kept result, or with the fault that took the transaction away.
    fn answer(self: Box<Self>, fault: Option<StoreError>);
}

struct Work<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, write: &mut Write<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(write))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(panic.as_ref()), "a write job panicked");
            Err(StoreError::Panicked.into())
        });
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, fault: Option<StoreError>) {
        let result = match (fault, self.result) {
            (None, Some(result)) | (Some(_), Some(result @ Err(_))) => result,
            (Some(fault), _) => Err(fault.into()),
            (None, None) => Err(StoreError::Closed.into()),
        };
        // Who asked may have gone away; the work is done all the same.
        let _ = self.answer.send(result);
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

fn job<T, E, F>(work: F) -> (Message, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let work = Work {
        work: Some(work),
        result: None,
        answer,
    };
    (Message::Job(Box::new(work)), answered)
}

/// The way to the writing thread.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        ids: IdSequence,
        clock: Clock,
        wakes: Wakes,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let state = State {
            connection,
            ids,
            clock,
            wakes,
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || state.run(jobs))?;
        Ok(Self {
            queue,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Runs `work` in the next commit and returns when that is on the disk; refused when too much is queued already.
    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, answered) = job(work);
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// The same for what has happened already and must be stored: waits for its place in the queue.
    pub(super) async fn write_in_turn<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, answered) = job(work);
        self.queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Finishes what is queued and closes the connection. Blocks until that is done.
    pub(super) fn close(&self) {
        // A full queue empties by itself: the thread is at work on it.
        let _ = self.queue.blocking_send(Message::Close);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct State {
    connection: Connection,
    ids: IdSequence,
    clock: Clock,
    wakes: Wakes,
}

impl State {
    fn run(mut self, mut jobs: mpsc::Receiver<Message>) {
        let mut open = true;
        while open {
            let Some(first) = jobs.blocking_recv() else {
                break;
            };
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Job(job) => batch.push(job),
                    Message::Close => {
                        open = false;
                        break;
                    }
                }
                next = if batch.len() < BATCH {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(batch);
        }
        // What came after the close is answered by the queue's end: `StoreError::Closed`.
        let _ = self.connection.execute_batch("PRAGMA optimize");
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let mut woken = Woken::default();
        let fault = self.transaction(&mut batch, &mut woken).err();
        if fault.is_none() && woken.outbox_changed {
            self.wakes.outbox_generation.fetch_add(1, Ordering::Release);
        }
        if fault.is_none() && woken.deliveries {
            self.wakes.deliveries.notify_one();
        }
        if fault.is_none() && woken.health {
            self.wakes.health.notify_one();
        }
        for job in batch {
            job.answer(fault.clone());
        }
    }

    fn transaction(
        &mut self,
        batch: &mut [Box<dyn Job>],
        woken: &mut Woken,
    ) -> Result<(), StoreError> {
        let mut transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in batch {
            let savepoint = transaction.savepoint()?;
            let mut wanted = *woken;
            let mut write = Write {
                connection: &savepoint,
                ids: &mut self.ids,
                now: self.clock.now(),
                wake: &mut wanted,
            };
            if job.run(&mut write) {
                savepoint.commit()?;
                *woken = wanted;
            } else if savepoint.is_autocommit() {
                // SQLite has rolled back everything, savepoints or not: nothing of this batch is stored.
                return Err(StoreError::Full);
            } else {
                savepoint.finish()?;
            }
        }
        Ok(transaction.commit()?)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql;

    fn writer(prepare: &str) -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
            .unwrap();
        connection.execute_batch(prepare).unwrap();
        let clock = Clock::System;
        Writer::start(connection, IdSequence::after(None), clock, Wakes::default()).unwrap()
    }

    async fn insert(writer: &Writer, a: i64, bytes: usize) -> Result<(), StoreError> {
        let work = move |write: &mut Write<'_>| {
            sql::run(write, "INSERT INTO t VALUES (?1, zeroblob(?2))", (a, bytes)).map(|_| ())
        };
        writer.write(work).await
    }

    async fn stored(writer: &Writer) -> Vec<i64> {
        let work = |write: &mut Write<'_>| {
            sql::all(write, "SELECT a FROM t ORDER BY a", [], |row| row.get(0))
        };
        writer.write::<_, StoreError, _>(work).await.unwrap()
    }

    #[tokio::test]
    async fn a_job_that_fails_or_panics_is_rolled_back_alone() {
        let writer = writer("INSERT INTO t VALUES (1, NULL)");
        let half = |write: &mut Write<'_>| {
            sql::run(write, "INSERT INTO t VALUES (10, NULL)", [])?;
            sql::run(write, "INSERT INTO t VALUES (1, NULL)", []).map(|_| ())
        };
        let panics = |write: &mut Write<'_>| -> Result<(), StoreError> {
            sql::run(write, "INSERT INTO t VALUES (11, NULL)", [])?;
            panic!("on purpose")
        };
        // Polled together, so that they share a batch.
        let (before, failed, panicked, after) = tokio::join!(
            insert(&writer, 2, 0),
            writer.write(half),
            writer.write(panics),
            insert(&writer, 3, 0)
        );
        assert!(before.is_ok() && after.is_ok());
        assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
        assert!(
            matches!(panicked, Err(StoreError::Panicked)),
            "{panicked:?}"
        );
        assert_eq!(stored(&writer).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_full_disk_stores_nothing_of_the_batch_and_says_so_to_each() {
        let writer = writer("PRAGMA max_page_count = 20");
        let (one, two, three) = tokio::join!(
            insert(&writer, 1, 10),
            insert(&writer, 2, 500_000),
            insert(&writer, 3, 10)
        );
        // However the batches fell: who got no error is stored, who got one is not.
        let acknowledged: Vec<i64> = [(1, &one), (2, &two), (3, &three)]
            .iter()
            .filter(|(_, r)| r.is_ok())
            .map(|(a, _)| *a)
            .collect();
        assert!(matches!(two, Err(StoreError::Full)), "{two:?}");
        for failed in [one, two, three].iter().filter_map(|r| r.as_ref().err()) {
            assert!(matches!(failed, StoreError::Full), "{failed:?}");
        }
        assert_eq!(stored(&writer).await, acknowledged);
        insert(&writer, 4, 10).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_queued_before_the_close_is_done_and_nothing_after_it() {
        let writer = writer("");
        let queued = tokio::spawn({
            let writer = writer.clone();
            async move { insert(&writer, 1, 0).await }
        });
        queued.await.unwrap().unwrap();
        let closing = writer.clone();
        tokio::task::spawn_blocking(move || closing.close())
            .await
            .unwrap();
        assert!(matches!(
            insert(&writer, 2, 0).await,
            Err(StoreError::Closed)
        ));
    }
}
