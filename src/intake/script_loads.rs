//! Records which origins loaded the widget's script most recently, so that users can check whether
//! the snippet works. The origins are stored in memory.
//!
//! The script's URL doesn't identify a project, unless it has the parameter `project`. Rejected
//! feedback also shows which project slug the widget of an origin uses.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::domain::project::{SLUG_MAX_BYTES, parse_origin};

/// Maximum number of origins in memory.
const STORED_ORIGINS_MAX: usize = 20;
/// Maximum number of reported loads since the program started. Strangers can cause loads.
const REPORTED_LOADS_MAX: usize = 100;

/// The last load of the widget's script for each origin, newest first.
#[derive(Default)]
pub struct ScriptLoads(Mutex<RecordedLoads>);

#[derive(Default)]
struct RecordedLoads {
    loads: VecDeque<ScriptLoad>,
    reported: usize,
}

/// The last load of the script by an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLoad {
    pub origin: String,
    /// The project slug that the widget uses, if it is known. There may be no such project.
    pub slug: Option<String>,
    pub at: Timestamp,
}

impl ScriptLoads {
    /// Records that the origin of `referrer`, a URL or an origin, loaded the script. Returns the
    /// load if it should be reported to open pages: if the origin and its slug are new.
    pub(super) fn record(
        &self,
        referrer: &str,
        slug: Option<String>,
        at: Timestamp,
    ) -> Option<ScriptLoad> {
        let is_short = |slug: &String| (1..=SLUG_MAX_BYTES).contains(&slug.len());
        let load = ScriptLoad {
            origin: parse_origin(referrer)?,
            slug: slug.filter(is_short),
            at,
        };
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |known: &ScriptLoad| known.origin == load.origin && known.slug == load.slug;
        let is_reported =
            recorded.reported < REPORTED_LOADS_MAX && !recorded.loads.iter().any(is_same);
        recorded.reported += usize::from(is_reported);
        recorded.loads.retain(|known| known.origin != load.origin);
        recorded.loads.truncate(STORED_ORIGINS_MAX - 1);
        recorded.loads.push_front(load.clone());
        is_reported.then_some(load)
    }

    /// Returns the last loads of at most `count` origins, newest first.
    pub fn latest(&self, count: usize) -> Vec<ScriptLoad> {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.loads.iter().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(origin: &str, slug: Option<&str>, millis: i64) -> ScriptLoad {
        ScriptLoad {
            origin: origin.into(),
            slug: slug.map(Into::into),
            at: Timestamp::from_millis(millis),
        }
    }

    #[test]
    fn lists_each_origin_once_newest_first() {
        let loads = ScriptLoads::default();
        let at = Timestamp::from_millis;
        let first = loads.record("https://a.example/page?x=1", None, at(1));
        assert_eq!(first, Some(load("https://a.example", None, 1)));
        loads.record("https://b.example", None, at(2));
        assert_eq!(loads.record("https://a.example/", None, at(3)), None);
        for invalid in ["", "about:blank", "nonsense", "ftp://c.example/"] {
            loads.record(invalid, None, at(4));
        }
        let expected = [
            load("https://a.example", None, 3),
            load("https://b.example", None, 2),
        ];
        assert_eq!(loads.latest(5), expected);
        for n in 0..100 {
            loads.record(&format!("https://{n}.example"), None, at(5));
        }
        assert_eq!(loads.latest(100).len(), STORED_ORIGINS_MAX);
        assert_eq!(loads.record("https://new.example", None, at(6)), None);
    }

    #[test]
    fn reports_a_new_slug_of_a_known_origin() {
        let loads = ScriptLoads::default();
        let record = |slug: &str, millis| {
            let at = Timestamp::from_millis(millis);
            loads.record("https://a.example", Some(slug.into()), at)
        };
        let reported = load("https://a.example", Some("shopp"), 1);
        assert_eq!(record("shopp", 1), Some(reported));
        assert_eq!(record("shopp", 2), None);
        assert_eq!(
            record("shop", 3),
            Some(load("https://a.example", Some("shop"), 3))
        );
        record(&"x".repeat(65), 4);
        assert_eq!(loads.latest(5), [load("https://a.example", None, 4)]);
    }
}
