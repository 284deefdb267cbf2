//! Reads small configuration files: secrets and certificates.
//!
//! A wrong path must not make a command hang or use up memory. Only regular files, pipes, and
//! terminals are read, up to a limit. Pipes are needed for `/dev/stdin` and `<(command)`.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::io_errors::describe;

/// The maximum size of a file with a secret, and of a line of standard input.
pub const SECRET_MAX_BYTES: u64 = 64 * 1024;
/// The maximum size of a PEM file. All public root certificates together take about 0.5 MiB.
pub const PEM_MAX_BYTES: u64 = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The reason why a file can't be used, as part of a sentence: `it doesn’t exist`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", describe(.0))]
    Io(#[from] std::io::Error),
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    #[error("it is larger than {} KiB", .0 / 1024)]
    TooLarge(u64),
    #[error("its first line is empty")]
    Empty,
    #[error("it isn’t UTF-8 text; save it as plain text in UTF-8")]
    NotText,
}

/// Reads a whole file of at most `max_bytes`. Omits a byte order mark at the start.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let file = open(path, max_bytes)?;
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ReadError::TooLarge(max_bytes));
    }
    Ok(match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_vec(),
        None => bytes,
    })
}

/// Reads the secret on the first line of a file.
pub fn read_secret(path: &Path) -> Result<String, ReadError> {
    let file = open(path, SECRET_MAX_BYTES)?;
    match read_first_line(BufReader::new(file))? {
        line if line.is_empty() => Err(ReadError::Empty),
        line => Ok(line),
    }
}

/// Reads the first line, without its line break and without a byte order mark. Stops at the line
/// break, so a terminal or a pipe can stay open.
pub fn read_first_line(from: impl BufRead) -> Result<String, ReadError> {
    let mut line = Vec::new();
    from.take(SECRET_MAX_BYTES + 1)
        .read_until(b'\n', &mut line)?;
    if line.len() as u64 > SECRET_MAX_BYTES {
        return Err(ReadError::TooLarge(SECRET_MAX_BYTES));
    }
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| ReadError::NotText)?;
    // A NUL character means that the file is in UTF-16, or isn't a text file.
    if text.contains('\0') {
        return Err(ReadError::NotText);
    }
    Ok(text.to_owned())
}

fn open(path: &Path, max_bytes: u64) -> Result<File, ReadError> {
    let kind_of = |kind: std::fs::FileType| {
        if kind.is_char_device() || kind.is_block_device() {
            Some("a device")
        } else {
            None
        }
    };
    let file = File::open(path).map_err(|error| {
        // The error of `open` doesn't say whether the file is a socket.
        match path.metadata() {
            Ok(metadata) if metadata.file_type().is_socket() => ReadError::NotAFile("a socket"),
            _ => error.into(),
        }
    })?;
    let metadata = file.metadata()?;
    if let Some(kind) = kind_of(metadata.file_type())
        && !file.is_terminal()
    {
        return Err(ReadError::NotAFile(kind));
    }
    if metadata.is_file() && metadata.len() > max_bytes {
        return Err(ReadError::TooLarge(max_bytes));
    }
    Ok(file)
}
