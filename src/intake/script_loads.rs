//! From which sites the widget's script was fetched, kept in memory for who has just put it on a page and wants to know
//! whether it is there. The script's address names no project, so neither does this.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::domain::project::origin_of;

/// How many sites are remembered.
const REMEMBERED: usize = 20;

#[derive(Default)]
pub struct Loads(Mutex<VecDeque<Load>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub origin: String,
    pub at: Timestamp,
}

impl Loads {
    /// Notes where a request for the script came from, by its `Referer`, of which only the origin is kept.
    pub fn note(&self, referrer: &str, at: Timestamp) {
        let Some(origin) = origin_of(referrer) else {
            return;
        };
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loads.retain(|load| load.origin != origin);
        loads.truncate(REMEMBERED - 1);
        loads.push_front(Load { origin, at });
    }

    /// The latest first.
    pub fn latest(&self, count: usize) -> Vec<Load> {
        let loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loads.iter().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_is_remembered_once_by_its_origin_the_latest_first() {
        let loads = Loads::default();
        let at = Timestamp::from_millis;
        loads.note("https://a.example/page?x=1", at(1));
        loads.note("https://b.example", at(2));
        loads.note("https://a.example/", at(3));
        for nothing in ["", "about:blank", "nonsense", "ftp://c.example/"] {
            loads.note(nothing, at(4));
        }
        let load = |origin: &str, millis| Load {
            origin: origin.into(),
            at: at(millis),
        };
        assert_eq!(
            loads.latest(5),
            [load("https://a.example", 3), load("https://b.example", 2)]
        );
        for n in 0..100 {
            loads.note(&format!("https://{n}.example"), at(5));
        }
        assert_eq!(loads.latest(100).len(), REMEMBERED);
    }
}
