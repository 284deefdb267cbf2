//! Limits the number of open event streams, and closes them at shutdown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Maximum number of streams per session. A further stream replaces the oldest.
const STREAMS_PER_SESSION: usize = 8;
/// Maximum number of streams of all sessions.
const STREAMS_MAX: usize = 256;

/// All open streams.
pub struct EventStreams {
    shutdown: watch::Sender<bool>,
    /// In the order in which they were opened.
    open: Arc<Mutex<Vec<OpenStream>>>,
}

struct OpenStream {
    session: [u8; 32],
    /// Notified when a newer stream replaces this one. Also identifies the stream.
    evicted: Arc<Notify>,
}

/// A stream's entry in [`EventStreams`], removed on drop.
pub struct StreamSlot {
    evicted: Arc<Notify>,
    open: Arc<Mutex<Vec<OpenStream>>>,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self {
            shutdown: watch::Sender::new(false),
            open: Arc::default(),
        }
    }
}

fn lock(open: &Mutex<Vec<OpenStream>>) -> MutexGuard<'_, Vec<OpenStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventStreams {
    /// Closes all open streams, and every stream that is opened later.
    pub fn close(&self) {
        self.shutdown.send_replace(true);
    }

    /// Returns a receiver whose value becomes true when the streams are closed.
    pub fn subscribe_to_shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    /// Registers a stream. Returns `None` if too many streams are open in total. If the session is
    /// at its limit, its oldest stream is closed. The page of that stream may be closed already,
    /// because a closed connection is only detected by the next heartbeat.
    pub fn acquire_slot(&self, session: [u8; 32]) -> Option<StreamSlot> {
        let mut open = lock(&self.open);
        let of_session = open
            .iter()
            .filter(|stream| stream.session == session)
            .count();
        if of_session >= STREAMS_PER_SESSION
            && let Some(oldest) = open.iter().position(|stream| stream.session == session)
        {
            open.remove(oldest).evicted.notify_one();
        }
        if open.len() >= STREAMS_MAX {
            return None;
        }
        let evicted = Arc::new(Notify::new());
        open.push(OpenStream {
            session,
            evicted: evicted.clone(),
        });
        Some(StreamSlot {
            evicted,
            open: self.open.clone(),
        })
    }
}

impl StreamSlot {
    /// Waits until a newer stream of the session replaces this one.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        lock(&self.open).retain(|stream| !Arc::ptr_eq(&stream.evicted, &self.evicted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_streams_per_session_and_in_total() {
        let streams = EventStreams::default();
        let count = || lock(&streams.open).len();
        let mut slots: Vec<StreamSlot> = (0..=STREAMS_PER_SESSION)
            .map(|_| streams.acquire_slot([1; 32]).unwrap())
            .collect();
        assert_eq!(count(), STREAMS_PER_SESSION);
        let others = u8::try_from(STREAMS_MAX / STREAMS_PER_SESSION).unwrap();
        for session in 2..=others {
            slots.extend(
                (0..STREAMS_PER_SESSION).map(|_| streams.acquire_slot([session; 32]).unwrap()),
            );
        }
        assert_eq!(count(), STREAMS_MAX);
        assert!(streams.acquire_slot([255; 32]).is_none());
        assert!(streams.acquire_slot([1; 32]).is_some());
        slots.clear();
        assert_eq!(count(), 0);
    }
}
