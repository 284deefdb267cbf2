//! Exports the list as CSV or JSON. The file is streamed in batches, each of which continues after
//! the last id of the previous one. Neither the memory use nor the time of a query depends on the
//! number of items.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use futures_util::stream::{self, Stream};
use serde_json::Value;

use super::ListQuery;
use crate::domain::feedback::Feedback;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{FeedbackFilter, PageRequest, Store};

/// The number of items that are read at once.
const BATCH_SIZE: usize = 500;
const COLUMNS: [&str; 8] = [
    "id",
    "createdAt",
    "status",
    "project",
    "message",
    "email",
    "url",
    "metadata",
];

pub async fn export_csv(context: RequestContext) -> Result<HttpResponse, PageError> {
    export(context, Format::Csv).await
}

pub async fn export_json(context: RequestContext) -> Result<HttpResponse, PageError> {
    export(context, Format::Json).await
}

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Json,
}

/// Progress of the export.
enum Position {
    Start,
    Before(String),
    End,
}

async fn export(context: RequestContext, format: Format) -> Result<HttpResponse, PageError> {
    let query = ListQuery::parse(&context).await?;
    let date = context.app.clock.now().to_jiff().strftime("%F").to_string();
    let parts = [
        Some("feedback".to_owned()),
        query.project.as_ref().map(|project| project.slug.clone()),
        query.status.map(|status| status.as_str().to_lowercase()),
        Some(date),
    ];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
    let (content_type, extension) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Json => ("application/json", "json"),
    };
    let disposition = format!("attachment; filename=\"{name}.{extension}\"");
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_DISPOSITION, disposition))
        .streaming(stream_rows(
            context.app.store.clone(),
            query.filter(),
            format,
        )))
}

fn stream_rows(
    store: Store,
    filter: FeedbackFilter,
    format: Format,
) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::try_unfold(Position::Start, move |position| {
        let (store, filter) = (store.clone(), filter.clone());
        async move {
            let before = match &position {
                Position::Start => None,
                Position::Before(id) => Some(id.clone()),
                Position::End => return Ok(None),
            };
            let request = PageRequest {
                limit: BATCH_SIZE,
                before,
            };
            // The response has already started, so an error aborts the transfer. The client then
            // knows that the file is incomplete.
            let page = store
                .feedback_list(filter, request)
                .await
                .map_err(PageError::from)?;
            let is_first = matches!(position, Position::Start);
            let is_last = page.next_cursor.is_none();
            let bytes = match format {
                Format::Csv => csv_rows(&page.items, is_first),
                Format::Json => json_rows(&page.items, is_first, is_last),
            }?;
            let next = page.next_cursor.map_or(Position::End, Position::Before);
            Ok(Some((Bytes::from(bytes), next)))
        }
    })
}

fn csv_rows(items: &[Feedback], is_first: bool) -> Result<Vec<u8>, PageError> {
    let internal_error = |error: csv::Error| PageError::Internal(error.to_string());
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    if is_first {
        writer.write_record(COLUMNS).map_err(internal_error)?;
    }
    for feedback in items {
        let metadata = feedback
            .metadata
            .clone()
            .map(|object| Value::Object(object).to_string());
        let record = [
            feedback.id.as_str(),
            &feedback.created_at.to_string(),
            feedback.status.as_str(),
            &feedback.project.slug,
            &feedback.message,
            feedback.email.as_deref().unwrap_or_default(),
            feedback.url.as_deref().unwrap_or_default(),
            metadata.as_deref().unwrap_or_default(),
        ]
        .map(escape_formula);
        writer.write_record(&record).map_err(internal_error)?;
    }
    writer
        .into_inner()
        .map_err(|error| PageError::Internal(error.to_string()))
}

/// Puts an apostrophe before text that a spreadsheet would evaluate as a formula.
fn escape_formula(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

fn json_rows(items: &[Feedback], is_first: bool, is_last: bool) -> Result<Vec<u8>, PageError> {
    let mut bytes = Vec::new();
    for (index, feedback) in items.iter().enumerate() {
        let separator: &[u8] = if is_first && index == 0 {
            b"[\n"
        } else {
            b",\n"
        };
        bytes.extend_from_slice(separator);
        serde_json::to_writer(&mut bytes, feedback)
            .map_err(|error| PageError::Internal(error.to_string()))?;
    }
    if is_last {
        bytes.extend_from_slice(if is_first && items.is_empty() {
            b"[]\n"
        } else {
            b"\n]\n"
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_formulas() {
        for formula in ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(escape_formula(formula), format!("'{formula}"));
        }
        for plain in ["", "a=b", "'=1", " =1", "1-1"] {
            assert_eq!(escape_formula(plain), plain);
        }
    }
}
