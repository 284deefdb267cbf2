//! Tests of failing jobs, of their effect on other jobs in the same commit, and of closing the
//! writer.

use super::*;
use crate::store::db::sql;

fn start_writer(setup_sql: &str) -> Writer {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        .unwrap();
    connection.execute_batch(setup_sql).unwrap();
    let clock = Clock::system();
    let (ids, notifiers) = (
        IdSequence::starting_after(None),
        CommitNotifiers::new(clock.now()),
    );
    Writer::start(
        connection,
        ids,
        clock,
        notifiers,
        DatabaseHealth::default(),
        None,
    )
    .unwrap()
}

async fn insert_row(writer: &Writer, a: i64, bytes: usize) -> Result<(), StoreError> {
    let work = move |tx: &mut WriteTx<'_>| {
        sql::execute(tx, "INSERT INTO t VALUES (?1, zeroblob(?2))", (a, bytes)).map(|_| ())
    };
    writer.write(work).await
}

/// Inserts a row, then fails because row 1 exists.
fn fail_after_a_change(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    sql::execute(tx, "INSERT INTO t VALUES (10, NULL)", [])?;
    sql::execute(tx, "INSERT INTO t VALUES (1, NULL)", []).map(|_| ())
}

async fn stored_rows(writer: &Writer) -> Vec<i64> {
    let work = |tx: &mut WriteTx<'_>| sql::query_column(tx, "SELECT a FROM t ORDER BY a", []);
    writer.write::<_, StoreError, _>(work).await.unwrap()
}

#[tokio::test]
async fn rolls_back_a_failed_or_panicked_job_alone() {
    let writer = start_writer("INSERT INTO t VALUES (1, NULL)");
    let panics = |tx: &mut WriteTx<'_>| -> Result<(), StoreError> {
        sql::execute(tx, "INSERT INTO t VALUES (11, NULL)", [])?;
        panic!("on purpose")
    };
    // `join!` queues all four jobs without waiting, so that they usually share a batch.
    let (before, failed, panicked, after) = tokio::join!(
        insert_row(&writer, 2, 0),
        writer.write(fail_after_a_change),
        writer.write(panics),
        insert_row(&writer, 3, 0)
    );
    assert!(before.is_ok() && after.is_ok());
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    assert!(
        matches!(panicked, Err(StoreError::Panicked)),
        "{panicked:?}"
    );
    assert_eq!(stored_rows(&writer).await, [1, 2, 3]);
}

#[tokio::test]
async fn without_savepoint_a_failure_before_any_change_is_isolated() {
    let writer = start_writer("INSERT INTO t VALUES (1, NULL)");
    let fails_early = |tx: &mut WriteTx<'_>| -> Result<(), StoreError> {
        sql::query_all(tx, "SELECT a FROM t", [], |row| row.get::<_, i64>(0))?;
        Err(StoreError::InvalidValue("on purpose".into()))
    };
    let (before, failed, after) = tokio::join!(
        insert_row(&writer, 2, 0),
        writer.write_without_savepoint(fails_early),
        insert_row(&writer, 3, 0)
    );
    assert!(before.is_ok() && after.is_ok());
    assert!(
        matches!(failed, Err(StoreError::InvalidValue(_))),
        "{failed:?}"
    );
    assert_eq!(stored_rows(&writer).await, [1, 2, 3]);
}

#[tokio::test]
async fn without_savepoint_a_failure_after_a_change_rolls_back_the_batch() {
    let writer = start_writer("INSERT INTO t VALUES (1, NULL)");
    let (before, failed, after) = tokio::join!(
        insert_row(&writer, 4, 0),
        writer.write_without_savepoint(fail_after_a_change),
        insert_row(&writer, 5, 0)
    );
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    // The jobs may have been in one batch or in several. Exactly the rows of jobs without an error
    // are stored.
    let mut expected = vec![1];
    for (a, result) in [(4, before), (5, after)] {
        match result {
            Ok(()) => expected.push(a),
            Err(error) => assert!(matches!(error, StoreError::BatchRolledBack), "{error:?}"),
        }
    }
    assert_eq!(stored_rows(&writer).await, expected);
    insert_row(&writer, 6, 10).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_fails_every_job_of_the_batch() {
    let writer = start_writer("PRAGMA max_page_count = 20");
    let (one, two, three) = tokio::join!(
        insert_row(&writer, 1, 10),
        insert_row(&writer, 2, 500_000),
        insert_row(&writer, 3, 10)
    );
    // The jobs may have been in one batch or in several. Exactly the rows of jobs without an error
    // are stored.
    let acknowledged: Vec<i64> = [(1, &one), (2, &two), (3, &three)]
        .iter()
        .filter(|(_, r)| r.is_ok())
        .map(|(a, _)| *a)
        .collect();
    assert!(matches!(two, Err(StoreError::DiskFull)), "{two:?}");
    for failed in [one, two, three].iter().filter_map(|r| r.as_ref().err()) {
        assert!(matches!(failed, StoreError::DiskFull), "{failed:?}");
    }
    assert_eq!(stored_rows(&writer).await, acknowledged);
    insert_row(&writer, 4, 10).await.unwrap();
}

#[tokio::test]
async fn reports_a_read_only_database() {
    let writer = start_writer("PRAGMA query_only = ON");
    let result = insert_row(&writer, 1, 10).await;
    assert!(matches!(result, Err(StoreError::ReadOnly)), "{result:?}");
}

#[tokio::test]
async fn close_finishes_queued_jobs_and_rejects_new_ones() {
    let writer = start_writer("");
    let closing = writer.clone();
    // `join!` queues the job before it calls `close`.
    let (queued, closed) = tokio::join!(insert_row(&writer, 1, 0), async {
        tokio::task::spawn_blocking(move || closing.close()).await
    });
    closed.unwrap();
    queued.unwrap();
    assert!(matches!(
        insert_row(&writer, 2, 0).await,
        Err(StoreError::Closed)
    ));
}
