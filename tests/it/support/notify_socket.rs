//! The socket that receives the notifications for systemd (`NOTIFY_SOCKET`).

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tempfile::TempDir;

use super::wait::DEADLINE;

/// A socket that receives the notifications for systemd.
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: TempDir,
}

impl NotifySocket {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            path,
            _dir: dir,
        }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("read the path as UTF-8")
    }

    /// Waits for a notification with this line, and returns the whole notification.
    #[track_caller]
    pub fn wait_for(&self, line: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("waiting for {line}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|found| found == line) {
                return text;
            }
        }
    }

    /// Returns the notifications that have arrived already.
    pub fn received(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        let mut notifications = Vec::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            notifications.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        self.socket.set_nonblocking(false).unwrap();
        notifications
    }
}
