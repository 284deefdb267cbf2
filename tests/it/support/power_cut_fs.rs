//! A FUSE file system in memory that simulates power cuts.
//!
//! Changes are stored separately until they are synced. A power cut drops a random subset of the
//! unsynced changes: parts of writes in units of 512 bytes, changes to a file's size, and the
//! creation, renaming, and removal of files. Programs can map files and lock them, because the
//! kernel implements both.

pub mod disk;
pub mod versions;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use self::disk::{CutAfter, Disk, Fault, Inode, Node};
use self::versions::ContentChange;
use super::wait::wait_until;

/// The time for which the kernel caches names and attributes. All changes go through the kernel, so
/// the cache is always correct.
const CACHED: Duration = Duration::from_secs(3600);
const BLOCK: u32 = 4096;
/// The size of the disk and its free space, in blocks.
const BLOCKS: u64 = 1 << 20;

/// A mounted file system. Dropping the value unmounts the file system.
pub struct PowerCutFs {
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
}

impl PowerCutFs {
    /// Mounts the disk at an existing directory.
    #[track_caller]
    pub fn mount(disk: Disk, at: &Path) -> Self {
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("power-cut".to_owned()),
            MountOption::DefaultPermissions,
        ];
        let handler = Handler(Arc::clone(&disk));
        match fuser::spawn_mount(handler, at, &config) {
            Ok(session) => Self {
                disk,
                session: Some(session),
            },
            Err(error) => panic!(
                "can't mount a FUSE file system: {error}; this test needs /dev/fuse and, unless it \
                 runs as root, fusermount3 (Debian's package fuse3)"
            ),
        }
    }

    pub fn set_fault(&self, fault: Fault) {
        self.disk.lock().unwrap().set_fault(fault);
    }

    pub fn cut_after(&self, cut: CutAfter) {
        self.disk.lock().unwrap().cut_after(Some(cut));
    }

    /// Cancels the scheduled power cut. Returns false if the power has failed already.
    pub fn cancel_power_cut(&self) -> bool {
        let mut disk = self.disk.lock().unwrap();
        disk.cut_after(None);
        !disk.is_cut()
    }

    /// Cuts the power immediately.
    pub fn cut_power(&self) {
        self.disk.lock().unwrap().cut_power();
    }

    /// Waits for the power cut that [`cut_after`](Self::cut_after) has scheduled.
    #[track_caller]
    pub fn wait_for_cut(&self) {
        wait_until("the power is cut", || {
            self.disk.lock().unwrap().is_cut().then_some(())
        });
    }

    /// Unmounts the file system and returns the disk. No process may be using the file system.
    #[track_caller]
    pub fn unmount(mut self) -> Disk {
        let session = self.session.take().expect("unmount once");
        match session.umount_and_join() {
            Ok(()) => {}
            // The kernel reports this error if it closes the FUSE connection while the thread of
            // the file system reads the next request.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => panic!("can't unmount the file system: {error}"),
        }
        let disk = Arc::into_inner(self.disk).expect("end the file system's thread");
        disk.into_inner().unwrap()
    }
}

struct Handler(Arc<Mutex<Disk>>);

impl Handler {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn create_inode(&self, parent: INodeNo, name: &OsStr, inode: Inode) -> Result<FileAttr, Errno> {
        let mut disk = self.disk();
        let ino = disk.create(parent.0, name, inode)?;
        attributes(&disk, ino)
    }

    fn set_attributes(
        &self,
        ino: u64,
        (mode, uid, gid): (Option<u32>, Option<u32>, Option<u32>),
        size: Option<u64>,
    ) -> Result<FileAttr, Errno> {
        let mut disk = self.disk();
        let inode = disk.inode_mut(ino)?;
        inode.mode = mode.map_or(inode.mode, |mode| mode & 0o7777);
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        if let Some(size) = size {
            disk.change_content(ino, ContentChange::Resize(size as usize))?;
        }
        attributes(&disk, ino)
    }
}

fn attributes(disk: &Disk, ino: u64) -> Result<FileAttr, Errno> {
    let inode = disk.inode(ino)?;
    let (kind, size) = match &inode.node {
        Node::File(content) => (FileType::RegularFile, content.current().len() as u64),
        Node::Directory(_) => (FileType::Directory, 0),
    };
    let names = disk.paths().values().filter(|named| **named == ino).count();
    Ok(FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: inode.mode as u16,
        nlink: u32::from(ino == disk::ROOT) + names as u32,
        uid: inode.uid,
        gid: inode.gid,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn reply_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&CACHED, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn reply_attributes(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.attr(&CACHED, &attributes),
        Err(error) => reply.error(error),
    }
}

fn reply_empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Handler {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk();
        let found = disk.lookup(parent.0, name);
        reply_entry(reply, found.and_then(|ino| attributes(&disk, ino)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply_attributes(reply, attributes(&self.disk(), ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply_attributes(reply, self.set_attributes(ino.0, (mode, uid, gid), size));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let inode = Inode::directory(mode & !umask & 0o7777, request.uid(), request.gid());
        reply_entry(reply, self.create_inode(parent, name, inode));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().remove(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().remove(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let result = if new_parent != parent {
            Err(Errno::EXDEV)
        } else if flags.is_empty() {
            self.disk().rename(parent.0, name, new_name)
        } else {
            Err(Errno::EINVAL)
        };
        reply_empty(reply, result);
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let linked = disk.link(parent.0, name, ino.0);
        reply_entry(reply, linked.and_then(|()| attributes(&disk, ino.0)));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let inode = Inode::file(mode & !umask & 0o7777, request.uid(), request.gid());
        match self.create_inode(parent, name, inode) {
            Ok(attributes) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&CACHED, &attributes, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().content(ino.0) {
            Ok(content) => {
                let start = content.len().min(offset as usize);
                let end = content.len().min(start + size as usize);
                reply.data(&content[start..end]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let change = ContentChange::Write {
            offset: offset as usize,
            bytes: data.to_vec(),
        };
        match self.disk().change_content(ino.0, change) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().sync(ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().sync(ino.0));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let disk = self.disk();
        let entries = match disk.entries(ino.0) {
            Ok(entries) => entries,
            Err(error) => return reply.error(error),
        };
        for (index, (name, ino)) in entries.iter().enumerate().skip(offset as usize) {
            let kind = match disk.inode(*ino).map(|inode| &inode.node) {
                Ok(Node::Directory(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(*ino), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
