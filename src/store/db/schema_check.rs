//! Compares the schema in a database with the expected schema of its version.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite_migration::Migrations;

use super::MIGRATIONS;
use crate::store::search;

/// The objects of a schema by type and name, each with its SQL statement.
type SchemaObjects = BTreeMap<(String, String), String>;

/// Returns the first difference from the expected schema, such as `table users is missing`.
pub(in crate::store) fn find_schema_difference(
    connection: &Connection,
) -> Result<Option<String>, rusqlite_migration::Error> {
    let version: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut expected = Connection::open_in_memory()?;
    search::register_functions(&expected)?;
    let applied = &MIGRATIONS[..version.min(MIGRATIONS.len())];
    Migrations::from_slice(applied).to_latest(&mut expected)?;
    let (expected, found) = (
        read_schema_objects(&expected)?,
        read_schema_objects(connection)?,
    );
    let describe = |(kind, name): &(String, String), problem| format!("{kind} {name} {problem}");
    let missing_or_changed = expected.iter().find_map(|(key, sql)| match found.get(key) {
        None => Some(describe(key, "is missing")),
        Some(found) if found != sql => Some(describe(key, "was changed")),
        Some(_) => None,
    });
    let unexpected = || found.keys().find(|key| !expected.contains_key(key));
    Ok(missing_or_changed.or_else(|| unexpected().map(|key| describe(key, "is unexpected"))))
}

/// Reads the schema. Ignores the objects of SQLite and of Litestream, which adds two tables to the
/// database that it replicates. Omits the statements of the search index's
/// internal tables, because they depend on the version of SQLite.
fn read_schema_objects(connection: &Connection) -> rusqlite::Result<SchemaObjects> {
    let mut statement = connection.prepare(
        "SELECT type, name, iif(name IN (SELECT name FROM pragma_table_list WHERE type = 'shadow'),
                                '', ifnull(sql, ''))
         FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' AND name NOT GLOB '_litestream_*'",
    )?;
    let rows = statement.query_map([], |row| {
        let sql: String = row.get(2)?;
        let words: Vec<&str> = sql.split_whitespace().collect();
        Ok(((row.get(0)?, row.get(1)?), words.join(" ")))
    })?;
    rows.collect()
}
