//! Records which origins loaded the widget's script most recently, so that users can check whether
//! the snippet works. The origins are stored in memory.
//!
//! A load isn't assigned to a project, because the script's URL doesn't identify a project.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::domain::project::parse_origin;

/// Maximum number of origins in memory.
const STORED_ORIGINS_MAX: usize = 20;

/// The time of the last load of the widget's script for each origin, newest first.
#[derive(Default)]
pub struct ScriptLoads(Mutex<VecDeque<ScriptLoad>>);

/// The last load of the script by an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLoad {
    pub origin: String,
    pub at: Timestamp,
}

impl ScriptLoads {
    /// Records that the origin of `referrer`, the value of a `Referer` header, loaded the script.
    /// Returns the origin if this is the first recorded load since the program started.
    pub(super) fn record(&self, referrer: &str, at: Timestamp) -> Option<String> {
        let origin = parse_origin(referrer)?;
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = loads.is_empty().then(|| origin.clone());
        loads.retain(|load| load.origin != origin);
        loads.truncate(STORED_ORIGINS_MAX - 1);
        loads.push_front(ScriptLoad { origin, at });
        first
    }

    /// Returns the last loads of at most `count` origins, newest first.
    pub fn latest(&self, count: usize) -> Vec<ScriptLoad> {
        let loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loads.iter().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_each_origin_once_newest_first() {
        let loads = ScriptLoads::default();
        let at = Timestamp::from_millis;
        let first = loads.record("https://a.example/page?x=1", at(1));
        assert_eq!(first.as_deref(), Some("https://a.example"));
        assert_eq!(loads.record("https://b.example", at(2)), None);
        loads.record("https://a.example/", at(3));
        for invalid in ["", "about:blank", "nonsense", "ftp://c.example/"] {
            loads.record(invalid, at(4));
        }
        let load = |origin: &str, millis| ScriptLoad {
            origin: origin.into(),
            at: at(millis),
        };
        assert_eq!(
            loads.latest(5),
            [load("https://a.example", 3), load("https://b.example", 2)]
        );
        for n in 0..100 {
            loads.record(&format!("https://{n}.example"), at(5));
        }
        assert_eq!(loads.latest(100).len(), STORED_ORIGINS_MAX);
    }
}
