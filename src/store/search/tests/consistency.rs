//! Compares lists, searches, and counts with a scan of all rows after random changes.

use std::time::Duration;

use super::*;
use crate::store::Precondition;

/// Returns a generator of pseudorandom numbers below its argument, with the same sequence in each
/// run.
fn pseudorandom_generator() -> impl FnMut(usize) -> usize {
    let mut state = 7_u64;
    move |n| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % n
    }
}

#[tokio::test]
async fn lists_searches_and_counts_match_a_full_scan() {
    let fixture = Fixture::new().await;
    let mut random = pseudorandom_generator();
    let words = ["button", "page", "load", "写真", "für", "ui", "submit", "a"];
    let mut ids: Vec<FeedbackId> = Vec::new();
    for round in 0..240 {
        fixture.clock.advance(Duration::from_secs(1));
        match random(10) {
            0..5 => {
                let message: Vec<&str> = (0..=random(4))
                    .map(|_| words[random(words.len())])
                    .collect();
                let email = ["x@a.example", "y@b.example"][random(2)];
                let email = Some(email).filter(|_| random(2) == 0);
                ids.push(
                    fixture
                        .add_feedback(random(2), &message.join(" "), email)
                        .await,
                );
            }
            5..8 if !ids.is_empty() => {
                let id = &ids[random(ids.len())];
                fixture.set_status(id, FeedbackStatus::ALL[random(3)]).await;
            }
            8 if !ids.is_empty() => {
                let id = ids.swap_remove(random(ids.len()));
                assert!(
                    fixture
                        .store
                        .delete_feedback(id, Precondition::none())
                        .await
                        .unwrap()
                );
            }
            _ => fixture.store.index_batch().await.unwrap(),
        }
        if round % 60 == 59 {
            assert_matches_full_scan(&fixture).await;
        }
    }
    assert!(
        fixture
            .store
            .delete_project("docs".into(), Precondition::none())
            .await
            .unwrap()
    );
    assert_matches_full_scan(&fixture).await;
    fixture.index_all().await;
    assert_matches_full_scan(&fixture).await;
    assert_index_is_intact_without_project(&fixture, fixture.projects[1]).await;
}

/// Asserts that the index is intact and contains no entries of the deleted project.
async fn assert_index_is_intact_without_project(fixture: &Fixture, deleted: ProjectId) {
    let (integrity, remaining) = fixture
        .read(move |c| {
            let integrity: String = c.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            let count = "SELECT count(*) FROM feedback_search WHERE feedback_search MATCH ?1";
            let term = filter_term(Some(deleted), None);
            let remaining: u64 = c.query_row(count, [term], |row| row.get(0))?;
            Ok((integrity, remaining))
        })
        .await;
    assert_eq!((integrity.as_str(), remaining), ("ok", 0));
}

async fn assert_matches_full_scan(fixture: &Fixture) {
    let all = fixture.list_feedback(&FeedbackFilter::default()).await;
    assert!(
        all.windows(2).all(|pair| pair[0].id > pair[1].id),
        "newest first"
    );
    for text in [
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
        "premium",
        "button premi",
        "absent",
    ] {
        let search = SearchQuery::parse(text).unwrap();
        for project in [None, Some(&fixture.projects[0]), Some(&fixture.projects[1])] {
            let filter = FeedbackFilter {
                project: project.cloned(),
                search: search.clone(),
                ..FeedbackFilter::default()
            };
            let start = Timestamp::from_millis(1_030_000);
            let of_period = FeedbackFilter {
                received_from: Some(start),
                received_until: Some(start.plus(Duration::from_secs(120))),
                order: FeedbackOrder::OldestFirst,
                ..filter.clone()
            };
            let with_email = FeedbackFilter {
                has_email: true,
                ..filter.clone()
            };
            for filter in [filter, of_period, with_email] {
                assert_list_matches_full_scan(fixture, &all, filter).await;
            }
        }
    }
}

async fn assert_list_matches_full_scan(
    fixture: &Fixture,
    all: &[Feedback],
    mut filter: FeedbackFilter,
) {
    let mut counts = fixture.store.count_feedback(filter.clone()).await.unwrap();
    for status in [
        None,
        Some(FeedbackStatus::New),
        Some(FeedbackStatus::Reviewed),
        Some(FeedbackStatus::Resolved),
    ] {
        filter.status = status;
        let found = fixture.list_feedback(&filter).await;
        let found: Vec<_> = found.into_iter().map(|feedback| feedback.id).collect();
        let mut expected: Vec<_> = all
            .iter()
            .filter(|feedback| is_match(feedback, &filter))
            .map(|feedback| feedback.id)
            .collect();
        if filter.order == FeedbackOrder::OldestFirst {
            expected.reverse();
        }
        assert_eq!(found, expected, "{filter:?}");
        if let Some(status) = status {
            assert_eq!(*counts.count_mut(status), expected.len() as u64);
        }
    }
}

fn is_match(feedback: &Feedback, filter: &FeedbackFilter) -> bool {
    let texts = [
        Some(&feedback.message),
        feedback.email.as_ref(),
        feedback.url.as_ref(),
    ];
    let metadata = feedback.metadata.as_ref().map(metadata_texts);
    let metadata = metadata.unwrap_or_default();
    let texts = texts.into_iter().flatten().chain(&metadata);
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    let (project, search) = (filter.project.as_ref(), filter.search.as_ref());
    let received_at = feedback.created_at;
    project.is_none_or(|project| feedback.project.id == *project)
        && filter.status.is_none_or(|status| feedback.status == status)
        && filter.received_from.is_none_or(|from| received_at >= from)
        && filter
            .received_until
            .is_none_or(|until| received_at < until)
        && (feedback.email.is_some() || !filter.has_email)
        && search.is_none_or(|search| search.matches(&texts))
}
