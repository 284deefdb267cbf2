//! Tests that erased content can't be found by the search and isn't left in the database files.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::domain::feedback::{Actor, FeedbackStatus, NewFeedback};
use crate::domain::search::SearchQuery;
use crate::store::{FeedbackFilter, StatusChange};

const SAM_EMAIL: &str = "sam@example.com";
/// A word that is a single n-gram and doesn't occur in the files by chance.
const UNIQUE_WORD: &str = "鰻龘鱻";

async fn add_feedback(store: &Store, message: &str, email: &str) {
    let new = NewFeedback {
        project: "shop".into(),
        message: message.into(),
        email: Some(email.into()),
        url: None,
        metadata: None,
    };
    let render = |feedback: &Feedback| feedback.id.to_string();
    store.create_feedback(new, None, render).await.unwrap();
}

async fn index_all(store: &Store) {
    while store.count_unindexed_feedback().await.unwrap() > 0 {
        store.index_batch().await.unwrap();
    }
}

async fn count_matches(store: &Store) -> usize {
    let filter = FeedbackFilter {
        search: SearchQuery::parse(UNIQUE_WORD).unwrap(),
        ..FeedbackFilter::default()
    };
    store
        .feedback_list(filter, first_page())
        .await
        .unwrap()
        .items
        .len()
}

fn first_page() -> PageRequest {
    PageRequest {
        limit: 100,
        before: None,
    }
}

/// Returns whether a file contains the last two characters of [`UNIQUE_WORD`]. It doesn't search
/// for the whole word, because the index omits the prefix that a term shares with the previous
/// term.
fn is_word_in_a_file(directory: &Path) -> bool {
    let end = &UNIQUE_WORD.as_bytes()[3..];
    let has = |bytes: &[u8]| bytes.windows(end.len()).any(|part| part == end);
    let files = std::fs::read_dir(directory).unwrap();
    files
        .map(|file| file.unwrap().path())
        .any(|file| has(&std::fs::read(file).unwrap_or_default()))
}

#[tokio::test]
async fn erased_content_is_in_no_index_and_no_file() {
    let directory = TempDir::new().unwrap();
    let clock = Clock::manual(&ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
    let store = Store::open(directory.path(), None, clock).unwrap();
    store.create_project("Shop".into(), None).await.unwrap();
    for round in 0..20 {
        add_feedback(&store, &format!("Other feedback, {round}"), "o@example.com").await;
        add_feedback(&store, &format!("{UNIQUE_WORD} {round}"), SAM_EMAIL).await;
        // After some rounds, FTS5 merges index segments and frees the pages of the old segments.
        index_all(&store).await;
    }
    let feedback = store
        .feedback_by_email(SAM_EMAIL, first_page())
        .await
        .unwrap()
        .items;
    for status in [
        FeedbackStatus::Reviewed,
        FeedbackStatus::New,
        FeedbackStatus::Resolved,
    ] {
        let change = |feedback: &Feedback| StatusChange {
            id: feedback.id,
            only_from: None,
            to: status,
        };
        let by = Actor {
            email: "ada@example.com".into(),
            token: None,
        };
        let changes = feedback.iter().map(change).collect();
        store.set_statuses(changes, by).await.unwrap();
    }
    assert_eq!(count_matches(&store).await, 20);
    assert!(is_word_in_a_file(directory.path()));

    while store
        .erase_feedback_batch(SAM_EMAIL)
        .await
        .unwrap()
        .feedback
        > 0
    {}
    store.purge_erased_content().await.unwrap();
    assert_eq!(count_matches(&store).await, 0);
    assert!(!is_word_in_a_file(directory.path()));
    let check_index = "INSERT INTO feedback_search (feedback_search) VALUES ('integrity-check')";
    let remaining = "/* may scan: a test */ SELECT (SELECT count(*) FROM feedback),
        (SELECT count(*) FROM feedback_status_history)";
    let remaining = store.writer.write(move |tx| {
        sql::execute(tx, check_index, [])?;
        sql::query_optional(tx, remaining, [], |row| <(u64, u64)>::try_from(row))
    });
    assert_eq!(remaining.await.unwrap(), Some((20, 0)));
}
