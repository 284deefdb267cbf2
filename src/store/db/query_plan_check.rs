//! In debug builds, and so in every test: no statement may look through a table that grows.
//!
//! Whatever is run for the first time is explained by SQLite first (<https://sqlite.org/eqp.html>). A statement that
//! scans such a table, or sorts what it reads of one, panics; so the tests that drive the program find it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

/// Tables that grow with what people and endpoints do. All others have a row for each thing that somebody set up.
const GROWING_TABLES: [&str; 6] = [
    "feedback",
    "feedback_status_history",
    "events",
    "deliveries",
    "attempts",
    "idempotency_keys",
];
/// Statements that are to look at many rows, or sort some, begin with this and a reason.
const EXEMPT_PREFIX: &str = "/* may ";

static CHECKED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Looks at the plan of a statement that is about to be run.
pub(in crate::store) fn check(connection: &Connection, statement: &str) {
    {
        let mut known = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if statement.starts_with(EXEMPT_PREFIX) || !known.insert(statement.to_owned()) {
            return;
        }
    }
    // Where it cannot even be explained, running it will say why.
    let Ok(steps) = steps(connection, statement) else {
        return;
    };
    if let Some(step) = find_problem(&steps) {
        panic!("“{step}” in the plan of: {statement}\n{steps:#?}");
    }
}

fn steps(connection: &Connection, statement: &str) -> rusqlite::Result<Vec<String>> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
    // Values are not asked for: with the planner's stability guarantee no plan depends on them.
    explain
        .raw_query()
        .mapped(|row| row.get("detail"))
        .collect()
}

fn find_problem(steps: &[String]) -> Option<&String> {
    let table = |step: &String, how: &str| {
        let rest = step.strip_prefix(how)?;
        let table = rest.split(' ').next()?;
        GROWING_TABLES.contains(&table).then_some(())
    };
    // By an index alone it is no better: a row each.
    let scan = steps.iter().find(|step| table(step, "SCAN ").is_some());
    let sort = || {
        let read = steps.iter().any(|step| table(step, "SEARCH ").is_some());
        steps.iter().find(|step| {
            read && step.starts_with("USE TEMP B-TREE FOR") && !step.contains("LAST TERM")
        })
    };
    scan.or_else(sort)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(schema: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema).unwrap();
        connection
    }

    #[test]
    fn a_scan_of_a_table_that_grows_is_found_and_others_are_not() {
        let connection =
            plans("CREATE TABLE events (id TEXT PRIMARY KEY, a); CREATE TABLE users (id TEXT)");
        for (statement, wrong) in [
            ("SELECT * FROM events WHERE a = ?1", true),
            ("SELECT id FROM events", true),
            ("UPDATE events SET a = 1", true),
            ("SELECT * FROM events WHERE id = ?1", false),
            ("SELECT max(id) FROM events", false),
            ("SELECT * FROM events WHERE id > ?1 ORDER BY id", false),
            ("SELECT * FROM events WHERE id > ?1 ORDER BY a", true),
            ("SELECT * FROM users ORDER BY id", false),
        ] {
            let steps = steps(&connection, statement).unwrap();
            assert_eq!(
                find_problem(&steps).is_some(),
                wrong,
                "{statement}: {steps:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "in the plan of: SELECT a FROM events")]
    fn a_statement_that_scans_stops_the_test_that_runs_it() {
        check(&plans("CREATE TABLE events (a)"), "SELECT a FROM events");
    }
}
