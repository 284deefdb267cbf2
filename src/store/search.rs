//! The search: an index of grams (FTS5), and looking through what is not in it yet.
//!
//! Taking a feedback in costs ten times as much as storing it, so that is done afterwards, some at a time
//! ([`Store::index_batch`]); until then a search reads it. What goes or changes its status is kept up by triggers,
//! in the same transaction. The index tells which texts may hold the words; each is looked at before it counts as found.

use std::ops::ControlFlow;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::ProjectId;
use crate::domain::search::{self, Ngram, SearchQuery};

/// How many feedbacks a step takes in: some milliseconds.
const STEP: i64 = 50;
/// Of what a search finds, so many are counted.
pub const SEARCH_COUNT_MAX: u64 = 500;

/// Which feedback a list shows; `None` = any.
#[derive(Clone, Debug, Default)]
pub struct FeedbackFilter {
    pub project: Option<ProjectId>,
    pub status: Option<FeedbackStatus>,
    pub search: Option<SearchQuery>,
}

impl Store {
    /// How many feedbacks are not in the index yet.
    pub async fn unindexed_count(&self) -> Result<u64, StoreError> {
        let waiting = "SELECT max(0, coalesce(max(number), 0) - (SELECT indexed_until FROM feedback_index_state)) FROM feedback";
        self.reader
            .read(move |c| Ok(sql::query_optional(c, waiting, [], |row| row.get(0))?.unwrap_or(0)))
            .await
    }

    /// Takes some of them in, the oldest first.
    pub async fn index_batch(&self) -> Result<(), StoreError> {
        self.writer
            .write(|write| {
                let last = "SELECT max(number) FROM (SELECT number FROM feedback
                     WHERE number > (SELECT indexed_until FROM feedback_index_state) ORDER BY number LIMIT ?1)";
                let last: Option<i64> = sql::query_optional(write, last, [STEP], |row| row.get(0))?.flatten();
                let Some(last) = last else { return Ok(()) };
                sql::execute(
                    write,
                    "INSERT INTO feedback_search (rowid, ngrams)
                     SELECT number, search_terms(project_id, status, message, email, url) FROM feedback
                     WHERE number > (SELECT indexed_until FROM feedback_index_state) AND number <= ?1 ORDER BY number",
                    [last],
                )?;
                sql::execute(write, "UPDATE feedback_index_state SET indexed_until = ?1", [last])?;
                Ok(())
            })
            .await
    }
}

impl FeedbackFilter {
    /// Of project and status; a condition that holds for all where nothing is asked, so that others can follow with `AND`.
    pub(super) fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1"];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(project) = &self.project {
            conditions.push("project_id = ?");
            values.push(Box::new(project.as_str().to_owned()));
        }
        if let Some(status) = self.status {
            conditions.push("feedback.status = ?");
            values.push(Box::new(status.as_str()));
        }
        (conditions.join(" AND "), values)
    }
}

/// What a search looks through, newest first, until `take` has enough; it is given each row that holds the words.
/// `columns` are read of each, of `feedback` and `projects`; `message`, `email` and `url` have to be among them.
pub(super) fn scan_matches(
    connection: &Connection,
    search: &SearchQuery,
    filter: &FeedbackFilter,
    before: Option<&str>,
    columns: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let Some(last) = last_before(connection, before)? else {
        return Ok(());
    };
    let (conditions, mut values) = filter.conditions();
    values.insert(0, Box::new(last));
    let (waiting, indexed) = (
        waiting_statement(columns, &conditions),
        indexed_statement(columns),
    );
    let grams: [Box<dyn ToSql>; 2] = [Box::new(expression(search, filter)), Box::new(last)];
    for (statement, values) in [(waiting, values), (indexed, grams.into())] {
        let mut statement = sql::prepare(connection, &statement)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let text = |column| Ok::<_, StoreError>(row.get::<_, Option<String>>(column)?);
            let texts = [text("message")?, text("email")?, text("url")?];
            let texts: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
            if search.matches(&texts) && take(row)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// By number alone: another index would have to be sorted.
fn waiting_statement(columns: &str, conditions: &str) -> String {
    format!(
        "SELECT {columns} FROM feedback NOT INDEXED CROSS JOIN projects ON projects.id = project_id
         WHERE number > (SELECT indexed_until FROM feedback_index_state) AND number <= ? AND {conditions} ORDER BY number DESC"
    )
}

fn indexed_statement(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM feedback_search CROSS JOIN feedback ON number = feedback_search.rowid
         CROSS JOIN projects ON projects.id = project_id
         WHERE feedback_search MATCH ? AND feedback_search.rowid <= ? ORDER BY feedback_search.rowid DESC"
    )
}

/// How many a search finds with a status, up to [`SEARCH_COUNT_MAX`].
pub(super) fn count(
    connection: &Connection,
    search: &SearchQuery,
    filter: &FeedbackFilter,
) -> Result<u64, StoreError> {
    let mut found = 0;
    scan_matches(
        connection,
        search,
        filter,
        None,
        "message, email, feedback.url",
        |_| {
            found += 1;
            Ok(match found == SEARCH_COUNT_MAX {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        },
    )?;
    Ok(found)
}

/// The number of the last feedback before an id: numbers have the order of ids.
fn last_before(connection: &Connection, before: Option<&str>) -> Result<Option<i64>, StoreError> {
    match before {
        None => Ok(Some(i64::MAX)),
        Some(id) => sql::query_optional(
            connection,
            "SELECT number FROM feedback WHERE id < ?1 ORDER BY id DESC LIMIT 1",
            [id],
            |row| row.get(0),
        ),
    }
}

/// What the index is asked: it never holds more of what a person wrote than letters, digits and quotes of ours.
fn expression(search: &SearchQuery, filter: &FeedbackFilter) -> String {
    let encode = |gram: &Ngram| gram.chars().iter().map(encode_char).collect();
    let mut words: Vec<String> = search.ngrams().iter().map(encode).collect();
    if filter.project.is_some() || filter.status.is_some() {
        words.push(filter_term(
            filter.project.as_ref().map(ProjectId::as_str),
            filter.status.map(FeedbackStatus::as_str),
        ));
    }
    format!("\"{}\"", words.join("\" AND \""))
}

/// The word by which the index knows a project, a status or both; longer than any gram.
fn filter_term(project: Option<&str>, status: Option<&str>) -> String {
    let names = [project, status].into_iter().flatten();
    let letters = names
        .flat_map(str::chars)
        .filter(char::is_ascii_alphanumeric);
    format!("filter{}", letters.collect::<String>())
}

/// A gram's letter as the index takes it for a part of a word: ASCII signs would end one, so they stand among the private
/// characters.
fn encode_char(letter: &char) -> char {
    match letter {
        'a'..='z' | '0'..='9' | '\u{80}'.. => *letter,
        _ => char::from_u32(0xE000 + u32::from(*letter)).unwrap_or(*letter),
    }
}

/// While it is on, what goes is taken out of the index itself; else it is marked there as gone, which costs less, and
/// stays in the file until parts of the index are put together.
pub(super) fn set_secure_delete(write: &Connection, on: bool) -> Result<(), StoreError> {
    // What was deleted so far waits in memory, and goes into the index as the setting is at that moment.
    let flush = "INSERT INTO feedback_search (feedback_search) VALUES ('flush')";
    sql::execute(write, flush, [])?;
    let set = "INSERT INTO feedback_search (feedback_search, rank) VALUES ('secure-delete', ?1)";
    sql::execute(write, set, [on])?;
    Ok(())
}

/// Teaches a writing connection the functions that the schema's triggers use.
pub(super) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("search_status_terms", 2, flags, status_terms)?;
    connection.create_scalar_function("search_terms", 5, flags, |given| {
        let mut texts = Vec::new();
        for index in 2..5 {
            texts.extend(given.get_raw(index).as_str_or_null()?);
        }
        let mut words = status_terms(given)?;
        words.push(' ');
        words.push_str(&filter_term(Some(&given.get::<String>(0)?), None));
        for gram in search::ngrams(texts) {
            words.push(' ');
            words.extend(gram.chars().iter().map(encode_char));
        }
        Ok(words)
    })
}

/// The words that change with a status; of a function's first two arguments, project and status.
fn status_terms(given: &Context<'_>) -> rusqlite::Result<String> {
    let (project, status): (String, String) = (given.get(0)?, given.get(1)?);
    Ok(format!(
        "{} {}",
        filter_term(None, Some(&status)),
        filter_term(Some(&project), Some(&status))
    ))
}

#[cfg(test)]
mod tests;
