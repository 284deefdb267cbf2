//! Functions that run statements, and conversions between columns and domain types.
//!
//! Statements are cached per connection. In debug builds, the plan of each statement is checked
//! first (`query_plan_check`).

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ulid::Ulid;

use super::error::StoreError;
use crate::clock::Timestamp;
use crate::domain::account::{Role, Scope};
use crate::domain::delivery::{CancelReason, DeliveryState};
use crate::domain::event::EventType;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::format::Format;
use crate::domain::id::{
    AlertId, DeliveryId, FeedbackId, LinkId, ProjectId, SessionId, TokenId, UserId, WebhookId,
};
use crate::domain::project::ProjectStatus;
use crate::domain::secret::Secret;
use crate::domain::webhook::{RetryPolicy, Topic};
use crate::domain::webhook_url::WebhookUrl;

/// Returns a prepared statement, from the connection's cache if possible.
pub(in crate::store) fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> rusqlite::Result<CachedStatement<'a>> {
    #[cfg(debug_assertions)]
    super::query_plan_check::check_query_plan(connection, sql);
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

/// Returns the first row, or `None` if there are no rows.
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

/// Returns the first column of all rows.
pub(in crate::store) fn query_column<T: FromSql>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<T>, StoreError> {
    query_all(connection, sql, params, |row| row.get(0))
}

/// Returns the first column of a statement that always returns a row, such as an aggregate.
pub(in crate::store) fn query_value<T: FromSql>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<T, StoreError> {
    Ok(prepare(connection, sql)?.query_row(params, |row| row.get(0))?)
}

/// Returns whether the statement returns a row.
pub(in crate::store) fn exists(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<bool, StoreError> {
    Ok(prepare(connection, sql)?.exists(params)?)
}

/// A value stored as JSON text.
pub(in crate::store) struct Json<T>(pub T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(&self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Self)
            .map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.millis().into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

/// Implements `ToSql` and `FromSql` for types stored as text. `as_str` returns the text, and the
/// given function parses it.
macro_rules! text_columns {
    ($($type:ty: $parse:expr,)+) => {$(
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let parse: fn(&str) -> Option<$type> = $parse;
                let text = value.as_str()?;
                parse(text).ok_or_else(|| {
                    FromSqlError::Other(format!("unknown value “{text}”").into())
                })
            }
        }
    )+};
}

text_columns! {
    CancelReason: CancelReason::parse,
    DeliveryState: DeliveryState::parse,
    EventType: EventType::parse,
    FeedbackStatus: |text| text.parse().ok(),
    Format: Format::parse,
    ProjectStatus: |text| ProjectStatus::ALL.into_iter().find(|s| s.as_str() == text),
    RetryPolicy: |text| RetryPolicy::ALL.into_iter().find(|p| p.as_str() == text),
    Role: |text| text.parse().ok(),
    Scope: |text| text.parse().ok(),
    Topic: Topic::parse,
    Secret: |text| Some(Secret::from_stored(text.to_owned())),
    WebhookUrl: |text| WebhookUrl::from_stored(text).ok(),
}

/// Implements `ToSql` and `FromSql` for ids, stored as the 16 bytes of their ULIDs.
macro_rules! id_columns {
    ($($type:ty),+) => {$(
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_bytes().as_slice().into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                FromSql::column_result(value).map(Self::from_bytes)
            }
        }
    )+};
}

id_columns!(
    AlertId, DeliveryId, FeedbackId, LinkId, ProjectId, SessionId, TokenId, UserId, WebhookId
);

/// Returns the greatest ULID of all ids. New ids continue after it, even if the clock was set back.
pub(in crate::store) fn max_ulid(connection: &Connection) -> rusqlite::Result<Option<Ulid>> {
    let mut max = None;
    for table in [
        "users",
        "sessions",
        "one_time_links",
        "api_tokens",
        "projects",
        "feedback",
        "webhooks",
        "deliveries",
        "alerts",
    ] {
        let id: Option<[u8; 16]> =
            connection.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| {
                row.get(0)
            })?;
        max = max.max(id.map(Ulid::from_bytes));
    }
    Ok(max)
}
