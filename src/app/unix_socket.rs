//! Creates and removes the file of a Unix socket.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::listeners::ListenError;
use crate::io_errors;

/// The mode of the file: every user of this machine can connect, as with a port on 127.0.0.1. A
/// reverse proxy usually runs as another user. The mode of the directory can restrict the access.
const SOCKET_MODE: u32 = 0o666;

/// The file of a Unix socket. The file is removed on drop, unless another program has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// The device and the inode.
    id: (u64, u64),
}

/// Listens on a Unix socket at `path`. Replaces the socket of a server that isn't running anymore.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    let fail = |source| ListenError::UnixSocket {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) if is_in_use(path).map_err(fail)? => {
            return Err(ListenError::UnixSocketInUse(path.to_owned()));
        }
        Ok(_) => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    let file = SocketFile {
        path: path.to_owned(),
        id: file_id(path).map_err(fail)?,
    };
    // The umask may have removed permissions.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(fail)?;
    Ok((listener, file))
}

/// Returns whether a program is listening on the socket at `path`. Doesn't wait until the program
/// accepts the connection.
fn is_in_use(path: &Path) -> io::Result<bool> {
    let (family, flags) = (
        AddressFamily::UNIX,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
    );
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        // The queue of a running server is full, or the socket has another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            // If this fails, the next start replaces the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Describes why a socket can't be created.
pub(super) fn creation_error_reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "its directory doesn’t exist".to_owned(),
        ErrorKind::PermissionDenied => format!(
            "the user with id {} lacks permission",
            rustix::process::geteuid().as_raw()
        ),
        _ => io_errors::describe(error),
    }
}
