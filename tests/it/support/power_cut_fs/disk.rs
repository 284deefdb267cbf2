//! The content of a file system, both as programs see it and as it is stored on the disk.
//!
//! A power cut drops a random subset of the changes that haven't been synced. Modes and owners are
//! always durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use fuser::Errno;

use super::versions::{ContentChange, EntryChange, VersionedContent, count_differences};

pub const ROOT: u64 = 1;
/// Probabilities that an unsynced change survives. A power cut chooses a random probability for
/// each file and directory.
const SURVIVAL: [f64; 5] = [0.0, 0.1, 0.5, 0.9, 1.0];

/// A fault of the disk. With `IgnoresFileSync`, syncing a file succeeds but has no effect.
/// `IgnoresDirectorySync` does the same for directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    IgnoresFileSync,
    IgnoresDirectorySync,
}

/// The point at which the power fails: after `changes` further changes to the disk.
#[derive(Clone, Debug)]
pub struct CutAfter {
    pub changes: usize,
    /// If set, `changes` counts only changes to files with this name.
    pub file: Option<&'static str>,
}

/// The differences between the content before and after a power cut.
#[derive(Clone, Debug, Default)]
pub struct DroppedChanges {
    /// The number of bytes that differ in each file.
    pub bytes: BTreeMap<PathBuf, usize>,
    /// Paths that the power cut added, removed, or replaced.
    pub entries: Vec<PathBuf>,
}

#[derive(Clone)]
pub enum Node {
    File(VersionedContent<ContentChange>),
    Directory(VersionedContent<EntryChange>),
}

#[derive(Clone)]
pub struct Inode {
    pub node: Node,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Inode {
    pub fn file(mode: u32, uid: u32, gid: u32) -> Self {
        let node = Node::File(VersionedContent::default());
        Self {
            node,
            mode,
            uid,
            gid,
        }
    }

    pub fn directory(mode: u32, uid: u32, gid: u32) -> Self {
        let node = Node::Directory(VersionedContent::default());
        Self {
            node,
            mode,
            uid,
            gid,
        }
    }
}

pub struct Disk {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    fault: Fault,
    rng: Rng,
    cut_after: Option<CutAfter>,
    /// The content after a power cut and the dropped changes; `None` while the power is on.
    left: Option<(BTreeMap<u64, Inode>, DroppedChanges)>,
}

impl Disk {
    /// Creates an empty disk that belongs to the current user. `seed` determines what its power
    /// cuts drop.
    pub fn new(seed: u64) -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let root = Inode::directory(0o700, uid.as_raw(), gid.as_raw());
        Self {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            fault: Fault::None,
            rng: Rng::with_seed(seed),
            cut_after: None,
            left: None,
        }
    }

    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = fault;
    }

    /// Schedules a power cut. `None` cancels the scheduled power cut.
    pub fn cut_after(&mut self, cut: Option<CutAfter>) {
        self.cut_after = cut;
    }

    pub fn is_cut(&self) -> bool {
        self.left.is_some()
    }

    pub fn inode(&self, ino: u64) -> Result<&Inode, Errno> {
        self.check_power()?;
        self.inodes.get(&ino).ok_or(Errno::ENOENT)
    }

    pub fn inode_mut(&mut self, ino: u64) -> Result<&mut Inode, Errno> {
        self.check_power()?;
        self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    pub fn entries(&self, directory: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match &self.inode(directory)?.node {
            Node::Directory(entries) => Ok(entries.current()),
            Node::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub fn content(&self, file: u64) -> Result<&Vec<u8>, Errno> {
        match &self.inode(file)?.node {
            Node::File(content) => Ok(content.current()),
            Node::Directory(_) => Err(Errno::EISDIR),
        }
    }

    pub fn lookup(&self, directory: u64, name: &OsStr) -> Result<u64, Errno> {
        let entries = self.entries(directory)?;
        entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub fn create(&mut self, directory: u64, name: &OsStr, inode: Inode) -> Result<u64, Errno> {
        match self.lookup(directory, name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        let ino = self.next;
        self.next += 1;
        self.inodes.insert(ino, inode);
        let name = name.to_owned();
        self.change_entries(directory, EntryChange::Add { name, ino })?;
        Ok(ino)
    }

    /// Adds a name of an existing file.
    pub fn link(&mut self, directory: u64, name: &OsStr, ino: u64) -> Result<(), Errno> {
        if self.lookup(directory, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let name = name.to_owned();
        self.change_entries(directory, EntryChange::Add { name, ino })
    }

    pub fn remove(&mut self, directory: u64, name: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, name)?;
        if self.entries(ino).is_ok_and(|entries| !entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        let name = name.to_owned();
        self.change_entries(directory, EntryChange::Remove { name, ino })
    }

    /// Renames a file or directory within its directory. A power cut keeps or drops the whole
    /// change.
    pub fn rename(&mut self, directory: u64, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, from)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change_entries(directory, EntryChange::Rename { from, to, ino })
    }

    pub fn change_content(&mut self, file: u64, change: ContentChange) -> Result<(), Errno> {
        match &mut self.inode_mut(file)?.node {
            Node::File(content) => content.change(change),
            Node::Directory(_) => return Err(Errno::EISDIR),
        }
        self.count_change(file);
        Ok(())
    }

    fn change_entries(&mut self, directory: u64, change: EntryChange) -> Result<(), Errno> {
        match &mut self.inode_mut(directory)?.node {
            Node::Directory(entries) => entries.change(change),
            Node::File(_) => return Err(Errno::ENOTDIR),
        }
        self.count_change(directory);
        Ok(())
    }

    /// Makes all changes to a file or a directory durable, unless the disk's fault ignores the
    /// sync.
    pub fn sync(&mut self, ino: u64) -> Result<(), Errno> {
        let fault = self.fault;
        match &mut self.inode_mut(ino)?.node {
            Node::File(content) if fault != Fault::IgnoresFileSync => content.sync(),
            Node::Directory(entries) if fault != Fault::IgnoresDirectorySync => entries.sync(),
            _ => {}
        }
        Ok(())
    }

    /// Returns the paths and inode numbers of all files and directories.
    pub fn paths(&self) -> BTreeMap<PathBuf, u64> {
        paths(&self.inodes)
    }

    /// Copies all files into a directory of another file system.
    pub fn copy_to(&self, target: &Path) {
        for (path, ino) in self.paths() {
            let path = target.join(path);
            match &self.inodes[&ino].node {
                Node::Directory(_) => std::fs::create_dir_all(path).expect("create a directory"),
                Node::File(content) => {
                    std::fs::write(path, content.current()).expect("write a file");
                }
            }
        }
    }

    /// Cuts the power. All accesses by programs fail until the disk is restarted.
    pub fn cut_power(&mut self) {
        let mut left = BTreeMap::new();
        for (ino, inode) in &self.inodes {
            let chance = SURVIVAL[self.rng.usize(..SURVIVAL.len())];
            let node = match &inode.node {
                Node::File(content) => Node::File(content.after_cut(&mut self.rng, chance)),
                Node::Directory(entries) => {
                    Node::Directory(entries.after_cut(&mut self.rng, chance))
                }
            };
            let inode = Inode { node, ..*inode };
            left.insert(*ino, inode);
        }
        let dropped = self.compare(&left);
        self.left = Some((left, dropped));
    }

    /// Turns the power on again. Returns the disk after the power cut, and the dropped changes.
    pub fn restart(self) -> (Self, DroppedChanges) {
        let (inodes, dropped) = self.left.expect("cut the power");
        let (cut_after, left) = (None, None);
        let restarted = Self {
            inodes,
            cut_after,
            left,
            ..self
        };
        (restarted, dropped)
    }

    fn check_power(&self) -> Result<(), Errno> {
        if self.is_cut() {
            Err(Errno::EIO)
        } else {
            Ok(())
        }
    }

    fn count_change(&mut self, ino: u64) {
        let Some(file) = self.cut_after.as_ref().map(|cut| cut.file) else {
            return;
        };
        let is_file =
            |(path, at): (&PathBuf, &u64)| *at == ino && path.file_name() == file.map(OsStr::new);
        if file.is_some() && !self.paths().iter().any(is_file) {
            return;
        }
        if let Some(cut) = &mut self.cut_after {
            cut.changes = cut.changes.saturating_sub(1);
            if cut.changes == 0 {
                self.cut_power();
            }
        }
    }

    fn compare(&self, left: &BTreeMap<u64, Inode>) -> DroppedChanges {
        let (before, after) = (self.paths(), paths(left));
        let mut dropped = DroppedChanges::default();
        for (path, ino) in &before {
            if after.get(path) != Some(ino) {
                dropped.entries.push(path.clone());
            }
            if let (Node::File(before), Node::File(after)) =
                (&self.inodes[ino].node, &left[ino].node)
            {
                let bytes = count_differences(before.current(), after.current());
                dropped.bytes.insert(path.clone(), bytes);
            }
        }
        let removed = after.into_keys().filter(|path| !before.contains_key(path));
        dropped.entries.extend(removed);
        dropped
    }
}

fn paths(inodes: &BTreeMap<u64, Inode>) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut directories = vec![(PathBuf::new(), ROOT)];
    while let Some((directory, ino)) = directories.pop() {
        let Node::Directory(entries) = &inodes[&ino].node else {
            continue;
        };
        for (name, ino) in entries.current() {
            let path = directory.join(name);
            directories.push((path.clone(), *ino));
            found.insert(path, *ino);
        }
    }
    found
}
