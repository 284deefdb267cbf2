//! Pages of lists: newest first, by key. The cursor is the last id of the page before.

/// Which page of a list is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// 1 to 100.
    pub limit: usize,
    /// Only what is older than this id.
    pub before: Option<String>,
}

/// Part of a list, and where the next part begins; `None`: this was the last.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl PageRequest {
    /// One more than the limit is read, which tells whether there is more.
    pub(in crate::store) fn rows(&self) -> i64 {
        i64::try_from(self.limit)
            .unwrap_or(i64::MAX)
            .saturating_add(1)
    }

    /// What ids are compared with: `~` sorts after every id.
    pub(in crate::store) fn before(&self) -> &str {
        self.before.as_deref().unwrap_or("~")
    }

    pub(in crate::store) fn page<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> &str) -> Page<T> {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|last| id(last).to_owned());
        Page { items, next_cursor }
    }
}
