//! Limits the number of open event streams, and closes them at shutdown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::domain::id::UserId;
use crate::metrics::METRICS;

/// Maximum number of streams per session. At the limit, a new stream replaces the session's oldest
/// stream.
const STREAMS_PER_SESSION: usize = 8;
/// Maximum number of streams per user. At the limit, a new stream replaces the user's oldest
/// stream.
const STREAMS_PER_USER: usize = 16;
/// Maximum number of streams of all users. At the limit, new streams are rejected.
const STREAMS_MAX: usize = 256;

pub struct EventStreamRegistry {
    shutdown: watch::Sender<bool>,
    /// The open streams, oldest first.
    open: Arc<Mutex<Vec<OpenStream>>>,
}

struct OpenStream {
    session: [u8; 32],
    user: UserId,
    /// Notified when a newer stream replaces this stream. The pointer also identifies the stream.
    evicted: Arc<Notify>,
}

/// A stream's entry in [`EventStreamRegistry`], removed on drop.
pub struct StreamSlot {
    evicted: Arc<Notify>,
    open: Arc<Mutex<Vec<OpenStream>>>,
}

impl Default for EventStreamRegistry {
    fn default() -> Self {
        Self {
            shutdown: watch::Sender::new(false),
            open: Arc::default(),
        }
    }
}

fn lock_streams(open: &Mutex<Vec<OpenStream>>) -> MutexGuard<'_, Vec<OpenStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventStreamRegistry {
    /// Closes all open streams, and every stream that is opened later.
    pub fn close_all(&self) {
        self.shutdown.send_replace(true);
    }

    /// Returns a receiver whose value becomes true when the streams are closed.
    pub fn subscribe_to_shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    /// Registers a stream. Returns `None` if too many streams are open in total. If the session or
    /// the user is at its limit, its oldest stream is closed. The page of that stream may be closed
    /// already, because a closed connection is only detected by the next heartbeat.
    pub fn acquire_slot(&self, session: [u8; 32], user: &UserId) -> Option<StreamSlot> {
        let mut open = lock_streams(&self.open);
        evict_oldest(&mut open, STREAMS_PER_SESSION, |stream| {
            stream.session == session
        });
        evict_oldest(&mut open, STREAMS_PER_USER, |stream| stream.user == *user);
        if open.len() >= STREAMS_MAX {
            return None;
        }
        let evicted = Arc::new(Notify::new());
        open.push(OpenStream {
            session,
            user: *user,
            evicted: evicted.clone(),
        });
        METRICS.live_streams.inc();
        Some(StreamSlot {
            evicted,
            open: self.open.clone(),
        })
    }
}

/// Closes the oldest matching stream if at least `max` streams match.
fn evict_oldest(open: &mut Vec<OpenStream>, max: usize, matches: impl Fn(&OpenStream) -> bool) {
    let count = open.iter().filter(|stream| matches(stream)).count();
    if count >= max
        && let Some(oldest) = open.iter().position(matches)
    {
        open.remove(oldest).evicted.notify_one();
    }
}

impl StreamSlot {
    /// Waits until a newer stream of the session or user replaces this stream.
    pub async fn wait_until_evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        METRICS.live_streams.dec();
        lock_streams(&self.open).retain(|stream| !Arc::ptr_eq(&stream.evicted, &self.evicted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ulid::Ulid;

    use crate::domain::id::Id;

    fn open(streams: &EventStreamRegistry, session: u8, user: usize) -> Option<StreamSlot> {
        streams.acquire_slot([session; 32], &UserId::from_ulid(Ulid(user as u128)))
    }

    #[test]
    fn limits_streams_per_session_per_user_and_in_total() {
        let streams = EventStreamRegistry::default();
        let count = || lock_streams(&streams.open).len();
        let mut slots = Vec::new();
        for _ in 0..=STREAMS_PER_SESSION {
            slots.push(open(&streams, 1, 1).unwrap());
        }
        assert_eq!(count(), STREAMS_PER_SESSION);
        for session in 2..=5 {
            slots.extend((0..5).map(|_| open(&streams, session, 1).unwrap()));
        }
        assert_eq!(count(), STREAMS_PER_USER);
        for user in 2..=STREAMS_MAX / STREAMS_PER_USER {
            for session in 0..2 {
                let session = u8::try_from(10 + 2 * user).unwrap() + session;
                let of_session = (0..STREAMS_PER_SESSION).map(|_| open(&streams, session, user));
                slots.extend(of_session.flatten());
            }
        }
        assert_eq!(count(), STREAMS_MAX);
        assert!(open(&streams, 255, 99).is_none());
        assert!(open(&streams, 1, 1).is_some());
        slots.clear();
        assert_eq!(count(), 0);
    }
}
