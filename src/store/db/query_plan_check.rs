//! Checks the query plan of each statement before its first run
//! (<https://sqlite.org/eqp.html>).
//!
//! Debug builds panic if a statement scans a growing table or sorts its rows, so tests detect such
//! a statement.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

/// Tables that grow with use. The other tables are small enough to be scanned and sorted.
const GROWING_TABLES: [&str; 7] = [
    "feedback",
    "feedback_status_history",
    "events",
    "deliveries",
    "attempts",
    "attempt_statistics",
    "idempotency_keys",
];
/// The start of the SQL comment that exempts a statement from the check. The rest of the comment
/// says which rows the statement may scan or sort.
const EXEMPTION_PREFIX: &str = "/* may ";

static CHECKED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Checks the plan of a statement before its first run.
///
/// # Panics
///
/// Panics if the statement scans a growing table or sorts its rows, and isn't exempt.
pub(super) fn check_query_plan(connection: &Connection, statement: &str) {
    {
        let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = checked.get_or_insert_default();
        if statement.starts_with(EXEMPTION_PREFIX) || !checked.insert(statement.to_owned()) {
            return;
        }
    }
    // If EXPLAIN fails, running the statement reports the error.
    let Ok(steps) = explain_query_plan(connection, statement) else {
        return;
    };
    if let Some(step) = find_scan_or_sort(&steps) {
        panic!("“{step}” in the plan of: {statement}\n{steps:#?}");
    }
}

fn explain_query_plan(connection: &Connection, statement: &str) -> rusqlite::Result<Vec<String>> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
    // No values are bound: with the query planner stability guarantee, plans don't depend on them.
    explain
        .raw_query()
        .mapped(|row| row.get("detail"))
        .collect()
}

/// Returns the first step that scans a growing table or sorts its rows.
fn find_scan_or_sort(steps: &[String]) -> Option<&String> {
    let is_on_growing_table = |step: &String, operation: &str| {
        step.strip_prefix(operation)
            .and_then(|rest| rest.split(' ').next())
            .is_some_and(|table| GROWING_TABLES.contains(&table))
    };
    // A scan of an index counts too, because it reads one entry for each row.
    let scan = steps.iter().find(|step| is_on_growing_table(step, "SCAN "));
    let sort = || {
        let reads_growing_table = steps
            .iter()
            .any(|step| is_on_growing_table(step, "SEARCH "));
        steps.iter().find(|step| {
            reads_growing_table
                && step.starts_with("USE TEMP B-TREE FOR")
                && !step.contains("LAST TERM")
        })
    };
    scan.or_else(sort)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(schema: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema).unwrap();
        connection
    }

    #[test]
    fn finds_scans_and_sorts_of_growing_tables_only() {
        let connection =
            database("CREATE TABLE events (id TEXT PRIMARY KEY, a); CREATE TABLE users (id TEXT)");
        for (statement, has_problem) in [
            ("SELECT * FROM events WHERE a = ?1", true),
            ("SELECT id FROM events", true),
            ("UPDATE events SET a = 1", true),
            ("SELECT * FROM events WHERE id = ?1", false),
            ("SELECT max(id) FROM events", false),
            ("SELECT * FROM events WHERE id > ?1 ORDER BY id", false),
            ("SELECT * FROM events WHERE id > ?1 ORDER BY a", true),
            ("SELECT * FROM users ORDER BY id", false),
        ] {
            let steps = explain_query_plan(&connection, statement).unwrap();
            assert_eq!(
                find_scan_or_sort(&steps).is_some(),
                has_problem,
                "{statement}: {steps:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "in the plan of: SELECT a FROM events")]
    fn panics_before_running_a_scan() {
        check_query_plan(&database("CREATE TABLE events (a)"), "SELECT a FROM events");
    }
}
