//! Reading: a pool of read-only connections, used off the async threads.
//!
//! In WAL mode a reader never blocks the writer. A reader sees one snapshot for as long as its closure runs, so
//! closures are short: one that stays open keeps the WAL from being folded back.

use std::path::Path;
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::sql;

/// How many short reads run at once.
const CONNECTIONS: u32 = 4;
/// How many searches and long lists run at once: they must not keep a sign-in or the delivery loop waiting.
const SLOW_CONNECTIONS: u32 = 2;

#[derive(Clone)]
pub(in crate::store) struct Reader {
    short: Pool<SqliteConnectionManager>,
    long: Pool<SqliteConnectionManager>,
}

impl Reader {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            short: pool(path, CONNECTIONS)?,
            long: pool(path, SLOW_CONNECTIONS)?,
        })
    }

    /// Runs `work` on a thread that may block, in one read transaction: all it reads is of one moment.
    pub(in crate::store) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        read_on(self.short.clone(), work).await
    }

    /// Runs `work` on this thread, where a connection is free: for a row or two by their key, which take less time than
    /// the way to another thread and back.
    pub(in crate::store) async fn read_inline<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.short.try_get() {
            Some(connection) => work(&connection),
            None => self.read(work).await,
        }
    }

    /// The same for what may take long: a search, a list over many rows.
    pub(in crate::store) async fn read_slow<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        read_on(self.long.clone(), work).await
    }
}

async fn read_on<T, E, F>(pool: Pool<SqliteConnectionManager>, work: F) -> Result<T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let task = tokio::task::spawn_blocking(move || {
        let connection = pool.get().map_err(StoreError::from)?;
        in_transaction(&connection, work)
    });
    task.await
        .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
}

fn in_transaction<T, E: From<StoreError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    /// Ends the transaction however the work ends: the next one gets this connection.
    struct Ends<'a>(&'a Connection);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            // What is read needs no commit; where even this fails, the next `BEGIN` says so.
            let _ = sql::execute(self.0, "ROLLBACK", []);
        }
    }
    sql::execute(connection, "BEGIN", [])?;
    let _ends = Ends(connection);
    work(connection)
}

fn pool(path: &Path, connections: u32) -> Result<Pool<SqliteConnectionManager>, StoreError> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(|connection| {
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(())
        });
    let pool = Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(Duration::from_secs(5))
        .build(manager)?;
    Ok(pool)
}
