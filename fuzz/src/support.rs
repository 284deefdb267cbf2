//! Functions that the targets share. They split a fuzzer's bytes into inputs, and run futures.

use std::borrow::Cow;
use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// Decodes text. Replaces invalid UTF-8.
pub fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Returns the first line and the text after it.
pub fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Returns the bytes before and after the first `separator`.
pub fn split_at<'a>(data: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = data
        .windows(separator.len())
        .position(|part| part == separator);
    match at {
        Some(at) => (&data[..at], &data[at + separator.len()..]),
        None => (data, b""),
    }
}

/// Reads the piece size, 1 to 16 bytes, from the first byte: `a` is 1, `b` is 2. Returns the size
/// and the remaining bytes.
pub fn piece_size(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (usize::from(first.wrapping_sub(b'a') % 16) + 1, rest),
        None => (1, data),
    }
}

/// Runs a future on this thread's runtime and returns its output.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("start a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
