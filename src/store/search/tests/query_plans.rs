//! Checks the query plans of the statements that list and search feedback.

use rusqlite::params_from_iter;

use super::*;
use crate::store::feedback::list_statement;
use crate::store::feedback_counts::count_statement;

fn explain_query_plan(connection: &Connection, statement: &str) -> rusqlite::Result<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
    let values = params_from_iter(std::iter::repeat_n("x", explain.parameter_count()));
    let steps = explain.query_map(values, |row| row.get::<_, String>("detail"))?;
    Ok(steps.collect::<Result<Vec<_>, _>>()?.join("; "))
}

#[tokio::test]
async fn no_list_scans_or_sorts_all_rows() {
    let fixture = Fixture::new().await;
    let mut statements = vec![];
    for project in [None, Some(ProjectId::from_bytes([1; 16]))] {
        for status in [None, Some(FeedbackStatus::New)] {
            for (has_email, order) in [
                (false, FeedbackOrder::NewestFirst),
                (true, FeedbackOrder::OldestFirst),
            ] {
                let filter = FeedbackFilter {
                    project,
                    status,
                    has_email,
                    order,
                    ..FeedbackFilter::default()
                };
                let is_filtered = project.is_some() || status.is_some();
                statements.push((list_statement(&filter), is_filtered));
                statements.push((count_statement(&filter), is_filtered));
                statements.push((unindexed_statement("feedback.*", &filter), false));
                statements.push((indexed_statement("feedback.*", &filter), false));
            }
        }
    }
    assert_eq!(statements.len(), 32);
    for (statement, needs_index) in statements {
        let plan = fixture
            .read({
                let statement = statement.clone();
                move |connection| explain_query_plan(connection, &statement)
            })
            .await;
        assert!(!plan.contains("TEMP B-TREE"), "{statement}: {plan}");
        assert!(
            !plan.contains("SCAN feedback ") && !plan.contains("SCAN projects"),
            "{statement}: {plan}"
        );
        assert!(
            plan.contains("SEARCH feedback USING"),
            "{statement}: {plan}"
        );
        assert!(
            !needs_index || plan.contains("INDEX feedback_"),
            "{statement}: {plan}"
        );
    }
}
