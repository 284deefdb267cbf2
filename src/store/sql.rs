//! Running a statement, said once: each is prepared once a connection and kept; in debug builds its plan is looked at
//! first (`plans`).

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ulid::Ulid;

use super::error::StoreError;
use crate::domain::id::parse_ulid;

/// A statement, prepared once a connection.
pub(super) fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> rusqlite::Result<CachedStatement<'a>> {
    #[cfg(debug_assertions)]
    super::plans::check(connection, sql);
    connection.prepare_cached(sql)
}

/// Runs a statement that changes something; returns how many rows it changed.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, StoreError> {
    Ok(prepare(connection, sql)?.execute(params)?)
}

/// The first row, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(prepare(connection, sql)?
        .query_row(params, read)
        .optional()?)
}

/// All rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = prepare(connection, sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A value as it is kept in a JSON column.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

/// A value of a JSON column, for use inside a row's reader.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// A column that holds the name of something in the domain, for use inside a row's reader.
pub(super) fn named<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unreadable(column, format!("unknown value “{text}”")))
}

pub(super) fn unreadable(column: &str, error: impl ToString) -> rusqlite::Error {
    let text = format!("{column}: {}", error.to_string());
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, text.into())
}

/// The greatest ULID among all ids: the sequence goes on after it, also when the clock was set back meanwhile.
pub(super) fn greatest_ulid(connection: &Connection) -> rusqlite::Result<Option<Ulid>> {
    let mut greatest = None;
    for table in [
        "users",
        "tokens",
        "projects",
        "feedback",
        "webhooks",
        "events",
        "deliveries",
    ] {
        let id: Option<String> =
            connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| {
                row.get(0)
            })?;
        greatest = greatest.max(id.as_deref().and_then(parse_ulid));
    }
    Ok(greatest)
}
