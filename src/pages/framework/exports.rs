//! Streams exported files in small chunks. Limits the number of concurrent exports, and the memory
//! use and duration of each export.

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
use crate::domain::id::UserId;
use crate::store::StoreError;

/// The number of bytes of item text after which a chunk ends. Escaping can make the chunk larger,
/// but rarely larger than 256 KiB.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Maximum number of exports of a session at a time.
const EXPORTS_PER_SESSION: usize = 2;
/// Maximum number of exports of a user at a time. The number is below [`EXPORTS_MAX`], so one user
/// can't block the exports of all other users.
const EXPORTS_PER_USER: usize = 3;
/// Maximum number of exports of all users at a time.
const EXPORTS_MAX: usize = 8;
/// Maximum duration of an export. A client that reads nothing at all is disconnected sooner, by the
/// write timeout of its connection.
const EXPORT_DURATION_MAX: Duration = Duration::from_secs(3600);

/// The session and the user of a running export.
type ExportOwner = ([u8; 32], UserId);

/// Limits the number of running exports. Contains the owner of each running export.
#[derive(Default)]
pub struct ExportLimiter(Arc<Mutex<Vec<ExportOwner>>>);

/// A slot that a running export occupies until this value is dropped.
pub struct ExportSlot {
    owner: ExportOwner,
    running: Arc<Mutex<Vec<ExportOwner>>>,
}

fn lock_running_exports(running: &Mutex<Vec<ExportOwner>>) -> MutexGuard<'_, Vec<ExportOwner>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExportLimiter {
    /// Acquires a slot. Returns `None` if the session, the user, or all users together have too
    /// many running exports.
    fn acquire_slot(&self, session: [u8; 32], user: &UserId) -> Option<ExportSlot> {
        let mut running = lock_running_exports(&self.0);
        let of_session = running.iter().filter(|owner| owner.0 == session).count();
        let of_user = running.iter().filter(|owner| owner.1 == *user).count();
        if of_session >= EXPORTS_PER_SESSION
            || of_user >= EXPORTS_PER_USER
            || running.len() >= EXPORTS_MAX
        {
            return None;
        }
        let owner = (session, *user);
        running.push(owner);
        Some(ExportSlot {
            owner,
            running: self.0.clone(),
        })
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        let mut running = lock_running_exports(&self.running);
        if let Some(at) = running.iter().position(|other| *other == self.owner) {
            running.swap_remove(at);
        }
    }
}

/// Acquires a slot for an export of the signed-in user. The caller must hold the slot until the
/// whole file is sent.
pub fn acquire_export_slot(context: &RequestContext) -> Result<ExportSlot, PageError> {
    let session = context.session().ok_or(PageError::SignedOut)?;
    let exports = &context.state.exports;
    let slot = exports.acquire_slot(session.token_hash, &session.user.id);
    slot.ok_or(PageError::Specific {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "Too many exports",
        message: "Other exports are still running. Try again when they are finished.",
    })
}

/// An error while a file is being sent. The error aborts the response, so the client knows that the
/// file is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the export took too long")]
    TooSlow,
    #[error("writing the file failed: {0}")]
    Write(String),
}

/// Streams a file, beginning with the chunk at `first`. `next` returns the chunk at a position, and
/// the position of the following chunk or, at the end, `None`.
pub fn stream_file<P, F>(
    slot: ExportSlot,
    first: P,
    mut next: impl FnMut(P) -> F,
) -> impl Stream<Item = Result<Bytes, ExportError>>
where
    F: Future<Output = Result<(Vec<u8>, Option<P>), ExportError>>,
{
    let deadline = Instant::now() + EXPORT_DURATION_MAX;
    try_unfold(Some((slot, first)), move |state| {
        let chunk = state.map(|(slot, position)| (slot, next(position)));
        async move {
            let Some((slot, chunk)) = chunk else {
                return Ok(None);
            };
            if Instant::now() > deadline {
                return Err(ExportError::TooSlow);
            }
            let (bytes, position) = chunk.await?;
            let rest = position.map(|position| (slot, position));
            Ok(Some((Bytes::from(bytes), rest)))
        }
    })
}

/// Returns a response that browsers save as a file.
pub fn file_response(
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
    fn limits_exports_per_session_user_and_in_total() {
        let slots = ExportLimiter::default();
        let open = |session, user| {
            let user = UserId::from_bytes([user; 16]);
            slots.acquire_slot([session; 32], &user)
        };
        let mut running = vec![open(1, 1), open(1, 1)];
        assert!(open(1, 1).is_none());
        running.push(open(2, 1));
        assert!(open(3, 1).is_none());
        running.extend([open(4, 2), open(4, 2), open(5, 2), open(6, 3), open(6, 3)]);
        assert!(running.iter().all(Option::is_some));
        assert!(open(7, 4).is_none());
        running.pop();
        assert!(open(7, 4).is_some());
        running.clear();
        assert!(open(1, 1).is_some());
    }
}
