//! The full-text search: an n-gram index (FTS5), plus a scan of feedback that isn't indexed yet.
//!
//! Indexing costs several times as much as storing feedback, so it is deferred and done in batches
//! ([`Store::index_batch`]). Searches scan rows that aren't indexed yet. Triggers update the index
//! when feedback is deleted or changes its status.
//!
//! A search looks up only the rarest n-grams of each word, because reading all entries of a
//! frequent n-gram takes long. The index returns candidates; each candidate is compared with the
//! query before it counts as a match.

use std::collections::BTreeSet;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Row, params};
use ulid::Ulid;

use super::Store;
use super::db::error::StoreError;
use super::db::sql::{self, Json};
use super::feedback_filter::{FeedbackFilter, FeedbackOrder};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{Id, ProjectId};
use crate::domain::search::{SearchQuery, for_each_ngram, metadata_texts};

/// Maximum number of feedback items indexed in one transaction. The transaction takes a few
/// milliseconds.
const INDEX_BATCH_SIZE: i64 = 50;
/// Maximum number of n-grams that are looked up for each word of a query. With fewer n-grams, more
/// candidates don't match.
const WORD_TERMS_MAX: usize = 2;
/// The number of occurrences from which the frequency of an n-gram is estimated.
const FREQUENCY_SAMPLE_SIZE: i64 = 64;
/// The index term of feedback with an email.
const EMAIL_TERM: &str = "filteremail";
/// Maximum number of matches that are counted.
pub const SEARCH_COUNT_MAX: u64 = 500;

impl Store {
    /// Returns the number of feedback items that aren't indexed yet. The number can include deleted
    /// items.
    pub async fn count_unindexed_feedback(&self) -> Result<u64, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT max(0, coalesce(max(number), 0)
                    - (SELECT indexed_until FROM feedback_index_state)) FROM feedback";
                sql::query_value(c, statement, [])
            })
            .await
    }

    /// Indexes a batch of feedback, oldest first.
    pub async fn index_batch(&self) -> Result<(), StoreError> {
        self.writer
            .write(|tx| {
                let last = "SELECT max(number) FROM (SELECT number FROM feedback
                     WHERE number > (SELECT indexed_until FROM feedback_index_state)
                     ORDER BY number LIMIT ?1)";
                let last: Option<i64> = sql::query_value(tx, last, [INDEX_BATCH_SIZE])?;
                let Some(last) = last else {
                    return Ok(());
                };
                let insert = "INSERT INTO feedback_search (rowid, ngrams)
                    SELECT number,
                           search_terms(project_id, status, message, email, url, metadata)
                    FROM feedback
                    WHERE number > (SELECT indexed_until FROM feedback_index_state)
                    AND number <= ?1 ORDER BY number";
                sql::execute(tx, insert, [last])?;
                let update = "UPDATE feedback_index_state SET indexed_until = ?1";
                sql::execute(tx, update, [last])?;
                Ok(())
            })
            .await
    }
}

/// A search query with the n-grams that are looked up in the index.
pub(super) struct Search<'a> {
    connection: &'a Connection,
    query: &'a SearchQuery,
    terms: BTreeSet<String>,
}

impl<'a> Search<'a> {
    /// Selects the n-grams that are looked up: the rarest n-grams of each word.
    pub(super) fn prepare(
        connection: &'a Connection,
        query: &'a SearchQuery,
    ) -> Result<Self, StoreError> {
        let mut terms = BTreeSet::new();
        for ngrams in query.ngrams_by_word() {
            terms.extend(rarest_terms(connection, &ngrams)?);
        }
        Ok(Self {
            connection,
            query,
            terms,
        })
    }

    /// Calls `on_match` for each match of the query and `filter`, in the order of the filter, until
    /// `on_match` returns `false`.
    ///
    /// The matches start after the id `cursor`. `columns` are columns of `feedback` and `projects`;
    /// they must include `message`, `email`, `url`, and `metadata`.
    pub(super) fn for_each_match(
        &self,
        filter: &FeedbackFilter,
        cursor: Option<Ulid>,
        columns: &str,
        mut on_match: impl FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let (first, last) = filter.number_range(self.connection, cursor)?;
        let unindexed = unindexed_statement(columns, filter);
        let unindexed_values = params![filter.project, filter.status, first, last];
        let indexed = indexed_statement(columns, filter);
        let indexed_values = params![self.fts_match_expression(filter), first, last];
        // Feedback that isn't indexed yet is newer than all indexed feedback.
        let mut statements = [(unindexed, unindexed_values), (indexed, indexed_values)];
        if filter.order == FeedbackOrder::OldestFirst {
            statements.reverse();
        }
        for (statement, values) in statements {
            let mut statement = sql::prepare(self.connection, &statement)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                let text = |column| Ok::<_, StoreError>(row.get::<_, Option<String>>(column)?);
                let mut texts = vec![text("message")?, text("email")?, text("url")?];
                if let Some(Json(metadata)) = row.get("metadata")? {
                    texts.extend(metadata_texts(&metadata).into_iter().map(Some));
                }
                let texts: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
                if self.query.matches(&texts) && !on_match(row)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Counts the matches, up to [`SEARCH_COUNT_MAX`].
    pub(super) fn count_matches(&self, filter: &FeedbackFilter) -> Result<u64, StoreError> {
        let mut count = 0;
        let columns = "message, email, feedback.url, metadata";
        self.for_each_match(filter, None, columns, |_| {
            count += 1;
            Ok(count < SEARCH_COUNT_MAX)
        })?;
        Ok(count)
    }

    /// Returns the FTS5 expression for the query and a filter. User input can't change the syntax,
    /// because all terms are quoted and contain no ASCII punctuation.
    fn fts_match_expression(&self, filter: &FeedbackFilter) -> String {
        let mut terms: Vec<String> = self.terms.iter().cloned().collect();
        if filter.has_email {
            terms.push(EMAIL_TERM.to_owned());
        }
        if filter.project.is_some() || filter.status.is_some() {
            terms.push(filter_term(
                filter.project,
                filter.status.map(FeedbackStatus::as_str),
            ));
        }
        format!("\"{}\"", terms.join("\" AND \""))
    }
}

/// Returns the index terms of the rarest n-grams, at most [`WORD_TERMS_MAX`]. To estimate how rare
/// an n-gram is, skips its newest [`FREQUENCY_SAMPLE_SIZE`] occurrences and reads the number of the
/// next occurrence. The lower this number, the rarer the n-gram.
fn rarest_terms(
    connection: &Connection,
    ngrams: &BTreeSet<&[char]>,
) -> Result<impl Iterator<Item = String> + use<>, StoreError> {
    let statement = "SELECT rowid FROM feedback_search WHERE feedback_search MATCH ?1
        ORDER BY rowid DESC LIMIT 1 OFFSET ?2";
    let mut terms: Vec<(Option<i64>, String)> = Vec::new();
    for ngram in ngrams {
        let term = encode_ngram(ngram);
        let values = params![format!("\"{term}\""), FREQUENCY_SAMPLE_SIZE];
        let number = sql::query_optional(connection, statement, values, |row| row.get(0))?;
        terms.push((number, term));
    }
    // `None` means that there is no further occurrence. It sorts before all numbers.
    terms.sort_unstable();
    terms.truncate(WORD_TERMS_MAX);
    Ok(terms.into_iter().map(|(_, term)| term))
}

/// Returns a statement that reads feedback that isn't indexed yet. `NOT INDEXED` makes SQLite read
/// the rows in the order of `number`, so that it doesn't have to sort them.
fn unindexed_statement(columns: &str, filter: &FeedbackFilter) -> String {
    let (conditions, order) = (filter.sql_conditions(), filter.order.sql());
    format!(
        "SELECT {columns} FROM feedback NOT INDEXED
         CROSS JOIN projects ON projects.id = project_id
         WHERE {conditions}
         number >= max(?3, (SELECT indexed_until + 1 FROM feedback_index_state))
         AND number <= ?4 ORDER BY number {order}"
    )
}

fn indexed_statement(columns: &str, filter: &FeedbackFilter) -> String {
    let order = filter.order.sql();
    format!(
        "SELECT {columns} FROM feedback_search
         CROSS JOIN feedback ON number = feedback_search.rowid
         CROSS JOIN projects ON projects.id = project_id
         WHERE feedback_search MATCH ?1
         AND feedback_search.rowid >= ?2 AND feedback_search.rowid <= ?3
         ORDER BY feedback_search.rowid {order}"
    )
}

/// Returns the index term of a project, a status, or both. The term differs from every n-gram,
/// because it is longer.
fn filter_term(project: Option<ProjectId>, status: Option<&str>) -> String {
    let project = project.map(|id| id.ulid().to_string()).unwrap_or_default();
    format!("filter{project}{}", status.unwrap_or_default())
}

fn encode_ngram(ngram: &[char]) -> String {
    ngram.iter().map(encode_char).collect()
}

/// Encodes a character for FTS5. ASCII punctuation would end a token, so it is mapped to the
/// Unicode private use area.
fn encode_char(character: &char) -> char {
    match character {
        'a'..='z' | '0'..='9' | '\u{80}'.. => *character,
        _ => char::from_u32(0xE000 + u32::from(*character)).unwrap_or(*character),
    }
}

/// Sets whether deleted terms are removed from the index immediately. By default, they are only
/// marked as deleted, which is cheaper. Marked terms stay in the file until FTS5 merges the index.
pub(super) fn set_secure_delete(
    connection: &Connection,
    is_enabled: bool,
) -> Result<(), StoreError> {
    // Flush buffered deletions first, so that they are written with the previous setting.
    let flush = "INSERT INTO feedback_search (feedback_search) VALUES ('flush')";
    sql::execute(connection, flush, [])?;
    let set = "INSERT INTO feedback_search (feedback_search, rank) VALUES ('secure-delete', ?1)";
    sql::execute(connection, set, [is_enabled])?;
    Ok(())
}

/// Registers the SQL functions that the triggers and [`Store::index_batch`] use.
pub(super) fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("search_status_terms", 2, flags, status_terms)?;
    connection.create_scalar_function("search_terms", 6, flags, |arguments| {
        let mut terms = status_terms(arguments)?;
        terms.push(' ');
        terms.push_str(&filter_term(Some(arguments.get(0)?), None));
        if arguments.get_raw(3).as_str_or_null()?.is_some() {
            terms.push(' ');
            terms.push_str(EMAIL_TERM);
        }
        // Terms can repeat. FTS5 removes duplicates faster than sorting would.
        let mut add_ngrams = |text: &str| {
            for_each_ngram(text, |ngram| {
                terms.push(' ');
                terms.extend(ngram.iter().map(encode_char));
            });
        };
        for index in 2..5 {
            let text = arguments.get_raw(index).as_str_or_null()?;
            add_ngrams(text.unwrap_or_default());
        }
        if let Some(Json(metadata)) = arguments.get(5)? {
            metadata_texts(&metadata)
                .iter()
                .for_each(|text| add_ngrams(text));
        }
        Ok(terms)
    })
}

/// Returns the search terms that depend on the status. The first two arguments of the SQL function
/// are the project and the status.
fn status_terms(arguments: &Context<'_>) -> rusqlite::Result<String> {
    let (project, status): (ProjectId, String) = (arguments.get(0)?, arguments.get(1)?);
    Ok(format!(
        "{} {}",
        filter_term(None, Some(&status)),
        filter_term(Some(project), Some(&status))
    ))
}

#[cfg(test)]
mod tests;
