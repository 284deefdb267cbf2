//! Retention: removes finished deliveries that are older than `--retention`, and feedback that is older than
//! `--feedback-retention`, a few at a time, and gives the space back.
//!
//! Each step is a write job like any other, small enough that nobody waits for it.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// How often it is looked for what is too old: gone within a minute after.
const EVERY: Duration = Duration::from_secs(50);
/// Between two steps others get their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// What is kept for how long; `None`: for ever.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub deliveries: Duration,
    pub feedback: Option<Duration>,
}

/// Runs until it is aborted.
pub async fn run(store: Store, clock: Clock, keep: Keep) {
    loop {
        // From before the look: a clock that moves on during it has moved on for what was looked at.
        let next = clock.now().plus(EVERY);
        match step(&store, &clock, keep).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => clock.sleep_until(next).await,
            Err(error) => {
                tracing::warn!(%error, "what is too old could not be removed");
                clock.sleep_until(next).await;
            }
        }
    }
}

/// Removes a little; where nothing is too old, gives a little space back. `false`: there was nothing to do.
async fn step(store: &Store, clock: &Clock, keep: Keep) -> Result<bool, StoreError> {
    let before = |age| clock.now().minus(age);
    let feedback = match keep.feedback {
        Some(age) => store.delete_feedback_created_before(before(age)).await?,
        None => 0,
    };
    let deliveries = store
        .delete_deliveries_finished_before(before(keep.deliveries))
        .await?;
    Ok(feedback + deliveries > 0 || store.vacuum_step().await? > 0)
}
