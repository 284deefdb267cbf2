//! Functions that run statements, which are cached per connection.
//!
//! In debug builds, the plan of each statement is checked first (`query_plan_check`).

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ulid::Ulid;

use super::error::StoreError;
use crate::domain::id::parse_ulid;

/// Prepares a statement, or takes it from the connection's cache.
pub(in crate::store) fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> rusqlite::Result<CachedStatement<'a>> {
    #[cfg(debug_assertions)]
    super::query_plan_check::check(connection, sql);
    connection.prepare_cached(sql)
}

/// Runs a statement that changes data. Returns the number of changed rows.
pub(in crate::store) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, StoreError> {
    Ok(prepare(connection, sql)?.execute(params)?)
}

/// Returns the first row, or `None` if there is none.
pub(in crate::store) fn query_optional<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(prepare(connection, sql)?
        .query_row(params, read)
        .optional()?)
}

/// Returns all rows.
pub(in crate::store) fn query_all<T>(
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
pub(in crate::store) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::InvalidValue(error.to_string()))
}

/// A value of a JSON column, for use inside a row's reader.
pub(in crate::store) fn from_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| conversion_error(column, error))
}

/// A column that holds the name of something in the domain, for use inside a row's reader.
pub(in crate::store) fn parse_column<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| conversion_error(column, format!("unknown value “{text}”")))
}

pub(in crate::store) fn conversion_error(column: &str, error: impl ToString) -> rusqlite::Error {
    let text = format!("{column}: {}", error.to_string());
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, text.into())
}

/// Returns the greatest ULID of all ids. New ids continue after it, even if the clock was set back.
pub(in crate::store) fn max_ulid(connection: &Connection) -> rusqlite::Result<Option<Ulid>> {
    let mut max = None;
    for table in [
        "users",
        "api_tokens",
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
        max = max.max(id.as_deref().and_then(parse_ulid));
    }
    Ok(max)
}
