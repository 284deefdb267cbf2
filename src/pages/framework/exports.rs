//! Exports: files that are streamed in small pieces. Limits how many run, how much memory each one
//! uses, and how long it can take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use futures_util::stream::{Stream, try_unfold};
use tokio::time::Instant;

use super::context::RequestContext;
use super::page_error::PageError;
use crate::store::StoreError;

/// Size of the text in a piece, in bytes. Escaping makes a piece larger, but rarely larger than
/// 256 KiB.
pub const PIECE_BYTES: usize = 64 * 1024;
/// Maximum number of exports of a session at a time.
const EXPORTS_PER_SESSION: usize = 2;
/// Maximum number of exports of all sessions at a time.
const EXPORTS_MAX: usize = 8;
/// Maximum duration of an export. A client that reads nothing at all is disconnected sooner, by the
/// write timeout of its connection.
const DURATION_MAX: Duration = Duration::from_secs(3600);

/// The running exports, each with its session.
#[derive(Default)]
pub struct ExportSlots(Arc<Mutex<Vec<[u8; 32]>>>);

/// A running export, until it is dropped.
pub struct ExportSlot {
    session: [u8; 32],
    running: Arc<Mutex<Vec<[u8; 32]>>>,
}

fn lock(running: &Mutex<Vec<[u8; 32]>>) -> MutexGuard<'_, Vec<[u8; 32]>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExportSlots {
    /// Returns `None` if the session or all sessions have too many exports.
    fn acquire(&self, session: [u8; 32]) -> Option<ExportSlot> {
        let mut running = lock(&self.0);
        let of_session = running.iter().filter(|other| **other == session).count();
        if of_session >= EXPORTS_PER_SESSION || running.len() >= EXPORTS_MAX {
            return None;
        }
        running.push(session);
        Some(ExportSlot {
            session,
            running: self.0.clone(),
        })
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        if let Some(at) = running.iter().position(|other| *other == self.session) {
            running.swap_remove(at);
        }
    }
}

/// Starts an export of the signed-in user. Keep the slot until the file is complete.
pub fn start(context: &RequestContext) -> Result<ExportSlot, PageError> {
    let session = context.session().ok_or(PageError::SignedOut)?.token_hash;
    let slot = context.state.exports.acquire(session);
    slot.ok_or(PageError::Specific {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "Too many exports",
        message: "Other exports are still running. Try again when they are finished.",
    })
}

/// An error while a file is being sent. It aborts the response, so the client knows that the file
/// is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the export took too long")]
    TooSlow,
    #[error("writing the file failed: {0}")]
    Write(String),
}

/// Streams a file. `next` returns a piece and the position of the following piece, `None` at the
/// end.
pub fn stream<P, F>(
    slot: ExportSlot,
    first: P,
    mut next: impl FnMut(P) -> F,
) -> impl Stream<Item = Result<Bytes, ExportError>>
where
    F: Future<Output = Result<(Vec<u8>, Option<P>), ExportError>>,
{
    let deadline = Instant::now() + DURATION_MAX;
    try_unfold(Some((slot, first)), move |state| {
        let piece = state.map(|(slot, position)| (slot, next(position)));
        async move {
            let Some((slot, piece)) = piece else {
                return Ok(None);
            };
            if Instant::now() > deadline {
                return Err(ExportError::TooSlow);
            }
            let (bytes, position) = piece.await?;
            let rest = position.map(|position| (slot, position));
            Ok(Some((Bytes::from(bytes), rest)))
        }
    })
}

/// Returns the response that downloads the file.
pub fn response(
    content_type: &str,
    name: &str,
    file: impl Stream<Item = Result<Bytes, ExportError>> + 'static,
) -> HttpResponse {
    let disposition = format!("attachment; filename=\"{name}\"");
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_DISPOSITION, disposition))
        .streaming(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_exports_per_session_and_in_total() {
        let slots = ExportSlots::default();
        let mut open: Vec<_> = (0..EXPORTS_PER_SESSION)
            .map(|_| slots.acquire([1; 32]))
            .collect();
        assert!(open.iter().all(Option::is_some));
        assert!(slots.acquire([1; 32]).is_none());
        open.extend((2..=7).map(|session| slots.acquire([session; 32])));
        assert!(open.iter().all(Option::is_some));
        assert!(slots.acquire([8; 32]).is_none());
        open.pop();
        assert!(slots.acquire([8; 32]).is_some());
        open.clear();
        assert!(slots.acquire([1; 32]).is_some());
    }
}
