//! The list, the search and the counts against what a look at every row says.

use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::domain::feedback::{Actor, Feedback, NewFeedback};
use crate::domain::id::FeedbackId;
use crate::store::{PageRequest, StatusChange};

struct Scene {
    store: Store,
    projects: Vec<ProjectId>,
    _directory: TempDir,
}

fn ada() -> Actor {
    Actor {
        email: "ada@example.com".into(),
        token: None,
    }
}

async fn scene() -> Scene {
    let directory = TempDir::new().unwrap();
    let clock = Clock::Manual(ManualClock::at(Timestamp::from_millis(1_000_000)));
    let store = Store::open(directory.path(), None, clock).unwrap();
    let mut projects = Vec::new();
    for name in ["Shop", "Docs"] {
        let made = store.create_project(name.into(), None).await.unwrap();
        projects.push(made.id);
    }
    Scene {
        store,
        projects,
        _directory: directory,
    }
}

impl Scene {
    async fn add(&self, project: usize, message: &str, email: Option<&str>) -> String {
        let new = NewFeedback {
            project: self.projects[project].as_str().into(),
            message: message.into(),
            email: email.map(str::to_owned),
            url: Some(format!("https://example.com/{project}")),
            metadata: None,
        };
        let id = |feedback: &Feedback| feedback.id.as_str().to_owned();
        self.store
            .create_feedback(new, None, id)
            .await
            .unwrap()
            .response
    }

    async fn found(&self, filter: &FeedbackFilter) -> Vec<Feedback> {
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

    async fn messages(&self, searched: &str) -> Vec<String> {
        let filter = FeedbackFilter {
            search: SearchQuery::parse(searched),
            ..FeedbackFilter::default()
        };
        self.found(&filter)
            .await
            .into_iter()
            .map(|f| f.message)
            .collect()
    }

    async fn index_all(&self) {
        while self.store.unindexed_count().await.unwrap() > 0 {
            self.store.index_batch().await.unwrap();
        }
    }

    async fn set(&self, id: &str, to: FeedbackStatus) {
        let change = StatusChange {
            id: FeedbackId::new(id),
            only_from: None,
            to,
        };
        self.store.set_statuses(vec![change], ada()).await.unwrap();
    }

    async fn sql<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let read = |connection: &Connection| Ok::<_, StoreError>(work(connection)?);
        self.store.reader.read(read).await.unwrap()
    }
}

#[tokio::test]
async fn what_waits_and_what_is_indexed_is_found_alike_and_nothing_breaks_the_query() {
    let scene = scene().await;
    scene
        .add(0, "The submit button is dead", Some("sam@example.com"))
        .await;
    scene.add(1, "写真を日付順に", None).await;
    for indexed in [false, true] {
        if indexed {
            scene.index_all().await;
        }
        for searched in [
            "utto",
            "BUTTON dead",
            "sam@",
            "\"submit button\"",
            "example.com/0",
        ] {
            assert_eq!(
                scene.messages(searched).await,
                ["The submit button is dead"],
                "{searched}"
            );
        }
        assert_eq!(scene.messages("写真").await, ["写真を日付順に"]);
        for searched in [
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
            let found = scene.messages(searched).await;
            let nothing_asked = SearchQuery::parse(searched).is_none();
            assert!(
                found.is_empty() || nothing_asked,
                "{searched:?} finds {found:?}"
            );
        }
        let long = "x".repeat(20_000);
        assert!(scene.messages(&long).await.is_empty());
        let many = (0..2000).map(|n| format!("w{n} ")).collect::<String>();
        assert!(scene.messages(&many).await.is_empty());
    }
}

/// A few numbers that look random and are the same each time.
fn dice() -> impl FnMut(usize) -> usize {
    let mut state = 7_u64;
    move |sides| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % sides
    }
}

#[tokio::test]
async fn lists_counts_and_searches_are_those_of_a_look_at_every_row_whatever_was_done() {
    let scene = scene().await;
    let mut roll = dice();
    let words = ["button", "page", "load", "写真", "für", "ui", "submit", "a"];
    let mut ids: Vec<String> = Vec::new();
    for round in 0..240 {
        match roll(10) {
            0..5 => {
                let message: Vec<&str> = (0..=roll(4)).map(|_| words[roll(words.len())]).collect();
                let email = ["x@a.example", "y@b.example"][roll(2)];
                let email = Some(email).filter(|_| roll(2) == 0);
                ids.push(scene.add(roll(2), &message.join(" "), email).await);
            }
            5..8 if !ids.is_empty() => {
                scene
                    .set(&ids[roll(ids.len())], FeedbackStatus::ALL[roll(3)])
                    .await;
            }
            8 if !ids.is_empty() => {
                let id = ids.swap_remove(roll(ids.len()));
                assert!(
                    scene
                        .store
                        .delete_feedback(FeedbackId::new(id))
                        .await
                        .unwrap()
                );
            }
            _ => scene.store.index_batch().await.unwrap(),
        }
        if round % 60 == 59 {
            compare(&scene).await;
        }
    }
    assert!(scene.store.delete_project("docs".into()).await.unwrap());
    compare(&scene).await;
    scene.index_all().await;
    compare(&scene).await;
    // The index is whole, and holds nothing of what is gone.
    let gone = scene.projects[1].clone();
    let (sound, left) = scene
        .sql(move |c| {
            let sound: String = c.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            let left = "SELECT count(*) FROM feedback_search WHERE feedback_search MATCH ?1";
            let word = filter_term(Some(gone.as_str()), None);
            Ok((
                sound,
                c.query_row(left, [word], |row| row.get::<_, u64>(0))?,
            ))
        })
        .await;
    assert_eq!((sound.as_str(), left), ("ok", 0));
}

async fn compare(scene: &Scene) {
    let all = scene.found(&FeedbackFilter::default()).await;
    assert!(
        all.windows(2).all(|pair| pair[0].id > pair[1].id),
        "newest first"
    );
    let searches = [
        "",
        "button",
        "page load",
        "写真",
        "fur",
        "ui",
        "a",
        "@b",
        "utto sub",
        "example.com/1",
        "absent",
    ];
    for searched in searches {
        for project in [None, Some(&scene.projects[0]), Some(&scene.projects[1])] {
            let search = SearchQuery::parse(searched);
            let matches = |feedback: &&Feedback, status: Option<FeedbackStatus>| {
                let texts = [
                    Some(&feedback.message),
                    feedback.email.as_ref(),
                    feedback.url.as_ref(),
                ];
                let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
                project.is_none_or(|project| feedback.project.id == *project)
                    && status.is_none_or(|status| feedback.status == status)
                    && search.as_ref().is_none_or(|search| search.matches(&texts))
            };
            let mut filter = FeedbackFilter {
                project: project.cloned(),
                status: None,
                search: search.clone(),
            };
            let counts = scene.store.count_feedback(filter.clone()).await.unwrap();
            for status in [
                None,
                Some(FeedbackStatus::New),
                Some(FeedbackStatus::Reviewed),
                Some(FeedbackStatus::Resolved),
            ] {
                filter.status = status;
                let found: Vec<_> = scene
                    .found(&filter)
                    .await
                    .into_iter()
                    .map(|f| f.id)
                    .collect();
                let expected: Vec<_> = all
                    .iter()
                    .filter(|f| matches(f, status))
                    .map(|f| f.id.clone())
                    .collect();
                assert_eq!(found, expected, "{searched:?} {project:?} {status:?}");
                if let Some(status) = status {
                    assert_eq!(*counts.clone().of(status), expected.len() as u64);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_search_is_paged_by_the_same_cursor_across_what_waits_and_what_is_indexed() {
    let scene = scene().await;
    for number in 0..120 {
        scene
            .add(number % 2, &format!("button {number}"), None)
            .await;
        if number == 60 {
            scene.store.index_batch().await.unwrap();
        }
    }
    assert_eq!(scene.store.unindexed_count().await.unwrap(), 70);
    let filter = FeedbackFilter {
        search: SearchQuery::parse("button"),
        ..FeedbackFilter::default()
    };
    let mut before = None;
    let mut found = Vec::new();
    loop {
        let request = PageRequest { limit: 17, before };
        let page = scene
            .store
            .feedback_list(filter.clone(), request)
            .await
            .unwrap();
        found.extend(page.items.into_iter().map(|feedback| feedback.message));
        match page.next_cursor {
            Some(cursor) => before = Some(cursor),
            None => break,
        }
    }
    let expected: Vec<String> = (0..120)
        .rev()
        .map(|number| format!("button {number}"))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn no_list_reads_all_rows_or_sorts_them() {
    let scene = scene().await;
    let plans = scene
        .sql(|c| {
            let mut plans = Vec::new();
            let mut plan = |statement: &str| -> rusqlite::Result<()> {
                let mut explained = c.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
                let count = explained.parameter_count();
                let values = params_from_iter(std::iter::repeat_n("x", count));
                let rows = explained.query_map(values, |row| row.get::<_, String>("detail"))?;
                let lines = rows.collect::<Result<Vec<_>, _>>()?.join("; ");
                plans.push((statement.to_owned(), lines));
                Ok(())
            };
            for project in [None, Some(ProjectId::new("prj_x"))] {
                for status in [None, Some(FeedbackStatus::New)] {
                    let filter = FeedbackFilter {
                        project: project.clone(),
                        status,
                        search: None,
                    };
                    let (conditions, _) = filter.conditions();
                    plan(&crate::store::feedback::list_statement(&conditions))?;
                    plan(&waiting_statement("feedback.*", &conditions))?;
                }
            }
            plan(&indexed_statement("feedback.*"))?;
            Ok(plans)
        })
        .await;
    assert_eq!(plans.len(), 9);
    for (statement, plan) in plans {
        assert!(!plan.contains("TEMP B-TREE"), "{statement}: {plan}");
        assert!(
            !plan.contains("SCAN feedback ") && !plan.contains("SCAN projects"),
            "{statement}: {plan}"
        );
        assert!(
            plan.contains("SEARCH feedback USING"),
            "{statement}: {plan}"
        );
    }
}

#[tokio::test]
async fn a_change_is_told_with_who_made_it_and_goes_with_the_feedback() {
    let scene = scene().await;
    let id = scene.add(0, "Hello", None).await;
    scene.set(&id, FeedbackStatus::Reviewed).await;
    scene.set(&id, FeedbackStatus::Reviewed).await;
    let by = Actor {
        email: "bob@example.com".into(),
        token: Some("ci".into()),
    };
    let resolved = scene
        .store
        .set_status(FeedbackId::new(&id), FeedbackStatus::Resolved, by)
        .await;
    assert_eq!(resolved.unwrap().unwrap().status, FeedbackStatus::Resolved);
    let told = scene.store.history(FeedbackId::new(&id)).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|entry| {
            (
                entry.previous,
                entry.status,
                entry.by.email.as_str(),
                entry.by.token.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                FeedbackStatus::New,
                FeedbackStatus::Reviewed,
                "ada@example.com",
                None
            ),
            (
                FeedbackStatus::Reviewed,
                FeedbackStatus::Resolved,
                "bob@example.com",
                Some("ci")
            ),
        ]
    );
    scene
        .store
        .delete_feedback(FeedbackId::new(&id))
        .await
        .unwrap();
    let left = scene
        .sql(|c| {
            c.query_row("SELECT count(*) FROM feedback_status_history", [], |row| {
                row.get::<_, u64>(0)
            })
        })
        .await;
    assert_eq!(left, 0);
}
