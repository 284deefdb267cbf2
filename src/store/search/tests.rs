//! Tests of the search, and the fixture that the tests of lists and counts also use.

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::domain::feedback::{Actor, Feedback, NewFeedback};
use crate::domain::id::FeedbackId;
use crate::store::{FeedbackOrder, PageRequest, StatusChange};

mod consistency;
mod query_plans;

/// A store with two projects.
struct Fixture {
    store: Store,
    projects: Vec<ProjectId>,
    clock: ManualClock,
    _directory: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_000_000));
        let store = Store::open(directory.path(), None, Clock::manual(&clock)).unwrap();
        let mut projects = Vec::new();
        for name in ["Shop", "Docs"] {
            let project = store.create_project(name.into(), None).await.unwrap();
            projects.push(project.id);
        }
        Self {
            store,
            projects,
            clock,
            _directory: directory,
        }
    }

    async fn add_feedback(&self, project: usize, message: &str, email: Option<&str>) -> FeedbackId {
        let new = NewFeedback {
            project: self.projects[project].to_string(),
            message: message.into(),
            email: email.map(str::to_owned),
            url: Some(format!("https://example.com/{project}")),
            metadata: email.and(
                json!({"plan": "premium", "list": [message.len()]})
                    .as_object()
                    .cloned(),
            ),
        };
        let render = |_: &Feedback| String::new();
        self.store
            .create_feedback(new, None, render)
            .await
            .unwrap()
            .id
    }

    async fn list_feedback(&self, filter: &FeedbackFilter) -> Vec<Feedback> {
        let page = PageRequest {
            limit: 1000,
            before: None,
        };
        self.store
            .feedback_list(filter.clone(), page)
            .await
            .unwrap()
            .items
    }

    async fn search(&self, text: &str) -> Vec<String> {
        let filter = FeedbackFilter {
            search: SearchQuery::parse(text).unwrap(),
            ..FeedbackFilter::default()
        };
        let found = self.list_feedback(&filter).await;
        found.into_iter().map(|feedback| feedback.message).collect()
    }

    async fn index_all(&self) {
        while self.store.count_unindexed_feedback().await.unwrap() > 0 {
            self.store.index_batch().await.unwrap();
        }
    }

    async fn set_status(&self, id: &FeedbackId, to: FeedbackStatus) {
        let change = StatusChange {
            id: *id,
            only_from: None,
            to,
        };
        let by = Actor {
            email: "ada@example.com".into(),
            token: None,
        };
        self.store.set_statuses(vec![change], by).await.unwrap();
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let read = |connection: &Connection| Ok::<_, StoreError>(work(connection)?);
        self.store.reader.read(read).await.unwrap()
    }
}

async fn fixture_with_two_messages() -> Fixture {
    let fixture = Fixture::new().await;
    fixture
        .add_feedback(0, "The submit button is dead", Some("sam@example.com"))
        .await;
    fixture.add_feedback(1, "写真を日付順に", None).await;
    fixture
}

#[tokio::test]
async fn finds_feedback_before_and_after_it_is_indexed() {
    let fixture = fixture_with_two_messages().await;
    for indexed in [false, true] {
        if indexed {
            fixture.index_all().await;
        }
        for text in [
            "utto",
            "BUTTON dead",
            "sam@",
            "\"submit button\"",
            "example.com/0",
            "premium button",
            "25",
        ] {
            assert_eq!(
                fixture.search(text).await,
                ["The submit button is dead"],
                "{text}"
            );
        }
        assert_eq!(fixture.search("写真").await, ["写真を日付順に"]);
    }
}

#[tokio::test]
async fn looks_up_only_the_rarest_ngrams_of_a_word() {
    let fixture = Fixture::new().await;
    for number in 0..70 {
        let email = format!("user{number}@example.com");
        fixture.add_feedback(0, "Hello", Some(&email)).await;
    }
    fixture.index_all().await;
    let query = SearchQuery::parse("user17@example.com").unwrap().unwrap();
    let occurrences = fixture
        .read(move |c| {
            let count = "SELECT count(*) FROM feedback_search WHERE feedback_search MATCH ?1";
            let terms = Search::prepare(c, &query).unwrap().terms;
            let count = |term| c.query_row(count, [format!("\"{term}\"")], |row| row.get(0));
            terms
                .iter()
                .map(count)
                .collect::<rusqlite::Result<Vec<u64>>>()
        })
        .await;
    assert_eq!(occurrences.len(), WORD_TERMS_MAX);
    assert!(
        occurrences.iter().all(|count| *count < 70),
        "{occurrences:?}"
    );
    assert_eq!(fixture.search("user17@example.com").await.len(), 1);
}

#[tokio::test]
async fn no_input_breaks_the_query() {
    let fixture = fixture_with_two_messages().await;
    for indexed in [false, true] {
        if indexed {
            fixture.index_all().await;
        }
        for text in [
            "\"",
            "\"\"\"",
            "'",
            "NEAR(a b)",
            "a AND",
            "OR",
            "NOT x",
            "ngrams:a",
            "^a",
            "*",
            "-",
            "%",
            "_",
            "\\",
            "\0",
            "(",
            ")",
            "filterNEW",
            "💥",
            "a\0b",
            "{a}",
            "a + b",
            "\u{e000}",
        ] {
            let found = fixture.search(text).await;
            let is_empty_query = SearchQuery::parse(text).unwrap().is_none();
            assert!(
                found.is_empty() || is_empty_query,
                "{text:?} finds {found:?}"
            );
        }
        let long_word = "x".repeat(200);
        assert!(fixture.search(&long_word).await.is_empty());
        let many_words = (0..16).map(|n| format!("w{n} ")).collect::<String>();
        assert!(fixture.search(&many_words).await.is_empty());
    }
}

#[tokio::test]
async fn pages_span_unindexed_and_indexed_feedback() {
    let fixture = Fixture::new().await;
    for number in 0..120 {
        fixture
            .add_feedback(number % 2, &format!("button {number}"), None)
            .await;
        if number == 60 {
            fixture.store.index_batch().await.unwrap();
        }
    }
    assert_eq!(fixture.store.count_unindexed_feedback().await.unwrap(), 70);
    let expected: Vec<String> = (0..120).map(|number| format!("button {number}")).collect();
    for order in [FeedbackOrder::NewestFirst, FeedbackOrder::OldestFirst] {
        let filter = FeedbackFilter {
            search: SearchQuery::parse("button").unwrap(),
            order,
            ..FeedbackFilter::default()
        };
        let mut before = None;
        let mut found = Vec::new();
        loop {
            let request = PageRequest { limit: 17, before };
            let page = fixture
                .store
                .feedback_list(filter.clone(), request)
                .await
                .unwrap();
            before = page.items.last().map(|feedback| feedback.id.ulid());
            found.extend(page.items.into_iter().map(|feedback| feedback.message));
            if page.next_cursor.is_none() {
                break;
            }
        }
        if order == FeedbackOrder::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, expected, "{order:?}");
    }
}
