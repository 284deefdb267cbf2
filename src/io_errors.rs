//! Describes I/O errors for people, without error codes and without text from a library.

use std::io::{self, ErrorKind};

/// Describes why an operation on a file, a socket, or a stream failed, as part of a sentence: `it
/// doesn’t exist`.
pub fn describe(error: &io::Error) -> String {
    // The values of `errno` on Linux: EMFILE and ENFILE, EIO, ENOMEM.
    match error.raw_os_error() {
        Some(24 | 23) => return "too many files are open".into(),
        Some(5) => return "the disk reports an error".into(),
        Some(12) => return "there isn’t enough memory".into(),
        _ => {}
    }
    let text = match error.kind() {
        ErrorKind::NotFound => "it doesn’t exist",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::AlreadyExists => "it already exists",
        ErrorKind::IsADirectory => "it is a directory",
        ErrorKind::NotADirectory => "a part of its path isn’t a directory",
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the disk quota is used up",
        ErrorKind::FileTooLarge => "the file is too large",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::ResourceBusy => "it is in use",
        ErrorKind::InvalidFilename => "the name isn’t valid",
        ErrorKind::AddrInUse => "the port is already in use",
        ErrorKind::AddrNotAvailable => "this machine doesn’t have this IP address",
        ErrorKind::ConnectionRefused => "the connection was refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "the connection was reset",
        ErrorKind::BrokenPipe | ErrorKind::NotConnected => "the connection was closed",
        ErrorKind::UnexpectedEof => "it ended early",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no route to the host"
        }
        ErrorKind::TimedOut => "it took too long",
        ErrorKind::InvalidData => "it contains invalid data",
        ErrorKind::OutOfMemory => "there isn’t enough memory",
        _ => return system_error_text(error),
    };
    text.into()
}

/// Returns the operating system's text without its code, or the kind of an error from a library.
fn system_error_text(error: &io::Error) -> String {
    if error.raw_os_error().is_none() {
        return error.kind().to_string();
    }
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_errors_of_real_operations() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let in_use = listener.local_addr().unwrap();
        let errors = [
            std::fs::read(directory.path().join("missing")).map(drop),
            std::fs::read(directory.path()).map(drop),
            std::fs::read(file.join("below")).map(drop),
            std::fs::create_dir(directory.path()),
            std::net::TcpListener::bind(in_use).map(drop),
            std::net::TcpListener::bind("192.0.2.1:0").map(drop),
            std::fs::read(directory.path().join("x".repeat(300))).map(drop),
        ];
        let texts = errors.map(|result| describe(&result.unwrap_err()));
        let expected = [
            "it doesn’t exist",
            "it is a directory",
            "a part of its path isn’t a directory",
            "it already exists",
            "the port is already in use",
            "this machine doesn’t have this IP address",
            "the name isn’t valid",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn contains_no_code_and_no_library_text() {
        for code in 1..134 {
            let text = describe(&io::Error::from_raw_os_error(code));
            assert!(
                !text.contains("os error") && !text.is_empty(),
                "{code}: {text}"
            );
            assert!(!text.starts_with(char::is_uppercase), "{code}: {text}");
        }
        let custom = io::Error::other("BadDer(Foo { bar: 1 })");
        assert_eq!(describe(&custom), "other error");
    }
}
