//! Keyset pagination by id. All lists are newest first; only feedback can also be listed oldest
//! first. The cursor is the last id of the previous page.

use ulid::Ulid;

use crate::domain::id::Id;

/// A request for one page of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Maximum number of items.
    pub limit: usize,
    /// The cursor: the page starts after the item with this id. `None` requests the first page.
    pub before: Option<Ulid>,
}

/// One page of a list. `next_cursor` is `None` on the last page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next_cursor: None,
        }
    }
}

impl PageRequest {
    /// Returns the number of rows to read: one more than the limit, to detect a next page.
    pub(in crate::store) fn row_limit(&self) -> i64 {
        i64::try_from(self.limit)
            .unwrap_or(i64::MAX)
            .saturating_add(1)
    }

    /// Returns the exclusive upper bound for ids, as stored.
    pub(in crate::store) fn id_upper_bound(&self) -> [u8; 16] {
        self.before.unwrap_or(Ulid(u128::MAX)).to_bytes()
    }

    /// Builds the page from the rows that were read. `id` returns the id of a row, for the cursor.
    pub(in crate::store) fn build_page<T, I: Id>(
        &self,
        mut items: Vec<T>,
        id: impl Fn(&T) -> I,
    ) -> Page<T> {
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let next_cursor = items
            .last()
            .filter(|_| has_more)
            .map(|last| id(last).to_string());
        Page { items, next_cursor }
    }
}
