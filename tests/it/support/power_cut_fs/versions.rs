//! Content with changes that haven't been synced.

use std::collections::BTreeMap;
use std::ffi::OsString;

use fastrand::Rng;

/// The size of a sector in bytes. A disk writes a sector completely or not at all.
const SECTOR: usize = 512;

pub trait Change: Clone {
    type Content: Clone + Default;

    fn apply(&self, content: &mut Self::Content);

    /// Splits the change into parts. A power cut drops or keeps each part independently.
    fn split_into_parts(&self) -> Vec<Self> {
        vec![self.clone()]
    }
}

/// A change to a file's content.
#[derive(Clone)]
pub enum ContentChange {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change for ContentChange {
    type Content = Vec<u8>;

    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
            Self::Resize(size) => content.resize(*size, 0),
        }
    }

    fn split_into_parts(&self) -> Vec<Self> {
        let Self::Write { offset, bytes } = self else {
            return vec![self.clone()];
        };
        let (mut offset, mut rest) = (*offset, bytes.as_slice());
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let in_sector = (SECTOR - offset % SECTOR).min(rest.len());
            let (part, after) = rest.split_at(in_sector);
            let bytes = part.to_vec();
            parts.push(Self::Write { offset, bytes });
            (offset, rest) = (offset + in_sector, after);
        }
        parts
    }
}

/// A change to a directory.
#[derive(Clone)]
pub enum EntryChange {
    Add {
        name: OsString,
        ino: u64,
    },
    Remove {
        name: OsString,
        ino: u64,
    },
    Rename {
        from: OsString,
        to: OsString,
        ino: u64,
    },
}

impl Change for EntryChange {
    type Content = BTreeMap<OsString, u64>;

    fn apply(&self, entries: &mut Self::Content) {
        // If a power cut drops an earlier change, the name can belong to another file.
        let mut remove = |name: &OsString, ino: &u64| {
            if entries.get(name) == Some(ino) {
                entries.remove(name);
            }
        };
        match self {
            Self::Add { name, ino } => {
                entries.insert(name.clone(), *ino);
            }
            Self::Remove { name, ino } => remove(name, ino),
            Self::Rename { from, to, ino } => {
                remove(from, ino);
                entries.insert(to.clone(), *ino);
            }
        }
    }
}

/// Content as programs see it and as it is stored on the disk.
#[derive(Clone)]
pub struct VersionedContent<C: Change> {
    current: C::Content,
    synced: C::Content,
    unsynced: Vec<C>,
}

impl<C: Change> Default for VersionedContent<C> {
    fn default() -> Self {
        Self {
            current: C::Content::default(),
            synced: C::Content::default(),
            unsynced: Vec::new(),
        }
    }
}

impl<C: Change> VersionedContent<C> {
    pub fn current(&self) -> &C::Content {
        &self.current
    }

    pub fn change(&mut self, change: C) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// Returns the content after a power cut. Each part of an unsynced change survives with the
    /// probability `survival`.
    pub fn after_cut(&self, rng: &mut Rng, survival: f64) -> Self {
        let mut left = self.synced.clone();
        for part in self.unsynced.iter().flat_map(Change::split_into_parts) {
            if rng.f64() < survival {
                part.apply(&mut left);
            }
        }
        Self {
            current: left.clone(),
            synced: left,
            unsynced: Vec::new(),
        }
    }
}

/// Counts the bytes that differ. If one slice is longer, each of its additional bytes counts.
pub fn count_differences(before: &[u8], after: &[u8]) -> usize {
    let common = before.len().min(after.len());
    // Comparing whole sectors first is much faster in a debug build.
    let sectors = before[..common]
        .chunks(SECTOR)
        .zip(after[..common].chunks(SECTOR));
    let different: usize = sectors
        .filter(|(before, after)| before != after)
        .map(|(before, after)| before.iter().zip(after).filter(|(b, a)| b != a).count())
        .sum();
    different + before.len().abs_diff(after.len())
}
