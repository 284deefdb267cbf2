//! Exports the feedback list as CSV or JSON. Each chunk of the file starts after the last item of
//! the previous chunk. The memory use and the query time of a chunk therefore don't depend on the
//! number of exported items.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::csv_cells::{BYTE_ORDER_MARK, write_row};
use super::query::FeedbackListQuery;
use crate::domain::context::{BROWSER, LANGUAGE, SYSTEM, WINDOW};
use crate::domain::feedback::Feedback;
use crate::domain::id::{FeedbackId, Id, UserId};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::exports::{self, CHUNK_BYTES, ExportError};
use crate::pages::framework::page_error::PageError;
use crate::server::long_reads::run_blocking;
use crate::store::{FeedbackFilter, PageRequest};

/// Maximum number of items in a chunk of the file.
const BATCH_SIZE: usize = 500;
const CSV_COLUMNS: [&str; 12] = [
    "id",
    "createdAt",
    "status",
    "project",
    "message",
    "email",
    "url",
    "metadata",
    // Members of the metadata, so that people can sort and filter by them.
    BROWSER,
    SYSTEM,
    WINDOW,
    LANGUAGE,
];

pub async fn export_csv(context: RequestContext) -> Result<HttpResponse, PageError> {
    export(context, ExportFormat::Csv).await
}

pub async fn export_json(context: RequestContext) -> Result<HttpResponse, PageError> {
    export(context, ExportFormat::Json).await
}

#[derive(Clone, Copy)]
enum ExportFormat {
    Csv,
    Json,
}

/// The position of a chunk: at the start of the file, or after the item with this id.
enum ExportPosition {
    Start,
    After(FeedbackId),
}

async fn export(context: RequestContext, format: ExportFormat) -> Result<HttpResponse, PageError> {
    let query = FeedbackListQuery::parse(&context).await?;
    if let Some(message) = query.filter_problem() {
        return Err(PageError::Specific {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Invalid search",
            message,
        });
    }
    let date = context.app.clock.now().to_jiff().strftime("%F").to_string();
    let parts = [
        Some("feedback".to_owned()),
        query.project.as_ref().map(|project| project.slug.clone()),
        query.status.map(|status| status.as_str().to_lowercase()),
        Some(date),
    ];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
    let (content_type, extension) = match format {
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        ExportFormat::Json => ("application/json", "json"),
    };
    let slot = exports::acquire_export_slot(&context)?;
    let (user, filter) = (context.user()?.id, query.to_feedback_filter());
    let file = exports::stream_file(slot, ExportPosition::Start, move |position| {
        next_chunk(context.clone(), user, filter.clone(), format, position)
    });
    Ok(exports::file_response(
        content_type,
        &format!("{name}.{extension}"),
        file,
    ))
}

async fn next_chunk(
    context: RequestContext,
    user: UserId,
    filter: FeedbackFilter,
    format: ExportFormat,
    position: ExportPosition,
) -> Result<(Vec<u8>, Option<ExportPosition>), ExportError> {
    let app = context.app.clone();
    let read = async move {
        let (is_first, before) = match position {
            ExportPosition::Start => (true, None),
            ExportPosition::After(id) => (false, Some(id.ulid())),
        };
        let request = PageRequest {
            limit: BATCH_SIZE,
            before,
        };
        let page = app
            .store
            .feedback_batch(filter, request, CHUNK_BYTES)
            .await?;
        let last = page.items.last().filter(|_| page.next_cursor.is_some());
        let next = last.map(|feedback| ExportPosition::After(feedback.id));
        let is_last = next.is_none();
        let bytes = run_blocking(move || match format {
            ExportFormat::Csv => render_csv_rows(&page.items, is_first),
            ExportFormat::Json => render_json_items(&page.items, is_first, is_last),
        });
        Ok((bytes.await??, next))
    };
    context.app.long_reads.run(&user, read).await
}

fn render_csv_rows(items: &[Feedback], is_first: bool) -> Result<Vec<u8>, ExportError> {
    let failed = |error: csv::Error| ExportError::Write(error.to_string());
    let mut file = Vec::new();
    if is_first {
        file = write_row(BYTE_ORDER_MARK.to_vec(), CSV_COLUMNS).map_err(failed)?;
    }
    for feedback in items {
        let metadata = feedback.metadata.as_ref().map(serde_json::to_string);
        let metadata = metadata
            .transpose()
            .map_err(|error| ExportError::Write(error.to_string()))?;
        let member = |name| feedback.metadata.as_ref()?.get(name)?.as_str();
        let text = |name| member(name).unwrap_or_default();
        let cells = [
            &feedback.id.to_string(),
            &feedback.created_at.to_string(),
            feedback.status.as_str(),
            &feedback.project.slug,
            &feedback.message,
            feedback.email.as_deref().unwrap_or_default(),
            feedback.url.as_deref().unwrap_or_default(),
            metadata.as_deref().unwrap_or_default(),
            text(BROWSER),
            text(SYSTEM),
            text(WINDOW),
            text(LANGUAGE),
        ];
        file = write_row(file, cells).map_err(failed)?;
    }
    Ok(file)
}

fn render_json_items(
    items: &[Feedback],
    is_first: bool,
    is_last: bool,
) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::new();
    for (index, feedback) in items.iter().enumerate() {
        let separator: &[u8] = if is_first && index == 0 {
            b"[\n"
        } else {
            b",\n"
        };
        bytes.extend_from_slice(separator);
        serde_json::to_writer(&mut bytes, feedback)
            .map_err(|error| ExportError::Write(error.to_string()))?;
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
