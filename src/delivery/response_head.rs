//! Assembles a response head from incoming bytes. Drops interim (1xx) heads and returns the final
//! one. No I/O.
//!
//! awc mistakes an interim response for the final one and would then read this delivery's response
//! as the response to the next delivery, so it must never see an interim response. awc validates
//! the final head.

use std::ops::Range;

/// The maximum size of all heads of one response, including interim heads. Equals awc's limit for
/// one head.
pub const HEADS_MAX_BYTES: usize = 128 * 1024;
/// The maximum number of headers that awc reads.
pub const HEADERS_MAX: usize = 96;

/// Why the received bytes aren't a valid response head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("it starts with “{0}” instead of HTTP/1.1")]
    NotHttp(String),
    #[error("the head is larger than 128 KiB")]
    TooLarge,
    #[error("the head has {0} headers; the maximum is 96")]
    TooManyHeaders(usize),
    #[error("more than 128 KiB of interim (1xx) responses without a final response")]
    EndlessInterim,
    #[error("the connection was closed in the middle of the head")]
    Truncated,
}

/// A complete final head.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FinalHead {
    /// The head as awc should read it, followed by the bytes that arrived after it.
    pub bytes: Vec<u8>,
    /// The headers, in their original order and case.
    pub headers: Vec<(String, String)>,
}

/// Collects the bytes of one response until its final head is complete.
#[derive(Debug, Default)]
pub struct HeadReader {
    buffer: Vec<u8>,
    /// The number of bytes in `buffer` that have been searched for the end of the head.
    searched: usize,
    /// The number of bytes dropped so far.
    dropped: usize,
}

impl HeadReader {
    /// Adds received bytes. Returns `None` until the final head is complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<FinalHead>, HeadError> {
        self.buffer.extend_from_slice(bytes);
        loop {
            // Ignore empty lines before a head, as awc does. RFC 9112, section 2.2, recommends it
            // for servers.
            let blank = self
                .buffer
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'));
            let blank = blank.count();
            self.drop_front(blank);
            let start = self.buffer.len().min(b"HTTP/1.".len());
            if self.buffer[..start] != b"HTTP/1."[..start] {
                return Err(HeadError::NotHttp(excerpt(&self.buffer)));
            }
            let Some(end) = self.find_head_end() else {
                return match self.buffer.len() {
                    _ if self.buffer.len() + self.dropped <= HEADS_MAX_BYTES => Ok(None),
                    HEADS_MAX_BYTES.. => Err(HeadError::TooLarge),
                    _ => Err(HeadError::EndlessInterim),
                };
            };
            if end > HEADS_MAX_BYTES {
                return Err(HeadError::TooLarge);
            }
            if !is_interim(&self.buffer) {
                return parse_final_head(std::mem::take(&mut self.buffer), end).map(Some);
            }
            self.drop_front(end);
            if self.dropped > HEADS_MAX_BYTES {
                return Err(HeadError::EndlessInterim);
            }
        }
    }

    /// Returns the error for a connection that closes now, or `None` if no byte of a final head
    /// arrived.
    pub fn on_eof(&self) -> Option<HeadError> {
        (!self.buffer.is_empty()).then_some(HeadError::Truncated)
    }

    /// Finds the end of the head, after its first empty line. Lines may end with a bare line feed,
    /// which awc accepts too.
    fn find_head_end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(2);
        let ends = |i: &usize| {
            self.buffer[..=*i].ends_with(b"\n\r\n") || self.buffer[..=*i].ends_with(b"\n\n")
        };
        let end = (from..self.buffer.len()).find(ends).map(|i| i + 1);
        self.searched = self.buffer.len();
        end
    }

    fn drop_front(&mut self, count: usize) {
        if count > 0 {
            self.buffer.drain(..count);
            self.dropped += count;
            self.searched = 0;
        }
    }
}

/// The position of the status code in `HTTP/1.1 200`.
const STATUS_CODE_RANGE: Range<usize> = 9..12;

fn status(head: &[u8]) -> &[u8] {
    head.get(STATUS_CODE_RANGE).unwrap_or_default()
}

/// Returns whether a head is interim. 101 is final, because the connection then switches to a
/// different protocol.
fn is_interim(head: &[u8]) -> bool {
    let status = status(head);
    status.len() == 3
        && status.iter().all(u8::is_ascii_digit)
        && status[0] == b'1'
        && status != b"101"
}

fn parse_final_head(mut bytes: Vec<u8>, end: usize) -> Result<FinalHead, HeadError> {
    let headers: Vec<(String, String)> = String::from_utf8_lossy(&bytes[..end])
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    if headers.len() > HEADERS_MAX {
        return Err(HeadError::TooManyHeaders(headers.len()));
    }
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let no_body = matches!(status(&bytes), b"101" | b"204" | b"304");
    let websocket = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("upgrade") && value.eq_ignore_ascii_case("websocket")
    });
    let has_length = has("transfer-encoding") || has("content-length") && !websocket;
    // A body without a length extends to the end of the connection. awc handles this only for
    // HTTP/1.0. For HTTP/1.1 it assumes an empty body (with `Upgrade: websocket`, even if there is
    // a length) and reuses the connection, so the next delivery would read that body as its
    // response. Rewrite the version to 1.0.
    if !no_body
        && !has_length
        && let Some(minor) = bytes.get_mut(b"HTTP/1.".len())
        && *minor == b'1'
    {
        *minor = b'0';
    }
    Ok(FinalHead { bytes, headers })
}

/// Returns the first bytes, escaped for display.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(20)])
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(parts: &[&[u8]]) -> Result<Option<FinalHead>, HeadError> {
        let mut reader = HeadReader::default();
        for (i, part) in parts.iter().enumerate() {
            if let Some(mut head) = reader.push(part)? {
                // After the final head, the caller stops using the reader and reads all bytes
                // itself.
                head.bytes
                    .extend(parts[i + 1..].iter().flat_map(|p| p.iter()));
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn bytes(text: &str) -> Vec<u8> {
        read(&[text.as_bytes()]).unwrap().unwrap().bytes
    }

    const INTERIM: &str =
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: ü \r\n\r\nok";

    #[test]
    fn drops_interim_heads_and_returns_the_final_head() {
        let head = read(&[INTERIM.as_bytes(), FINAL.as_bytes()])
            .unwrap()
            .unwrap();
        assert_eq!(head.bytes, FINAL.as_bytes());
        let headers = [("Content-Length", "2"), ("X-One", "ü")];
        assert_eq!(
            head.headers,
            headers.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(read(&[INTERIM.as_bytes()]), Ok(None));
        for text in [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.0 200 OK\n\nbody",
            "HTTP/1.1 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(bytes(text)[8..], text.as_bytes()[8..], "{text}");
        }
    }

    #[test]
    fn rewrites_the_version_to_1_0_for_a_body_without_a_length() {
        assert!(bytes("HTTP/1.1 200 OK\r\n\r\nhello").starts_with(b"HTTP/1.0 200"));
        assert!(
            bytes("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
                .starts_with(b"HTTP/1.0")
        );
        for framed in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\n\r\n",
        ] {
            assert!(bytes(framed).starts_with(b"HTTP/1.1"), "{framed}");
        }
    }

    #[test]
    fn rejects_invalid_and_oversized_heads() {
        let error_for = |text: &str| read(&[text.as_bytes()]).unwrap_err();
        assert_eq!(
            error_for("SSH-2.0-OpenSSH\r\n"),
            HeadError::NotHttp(r"SSH-2.0-OpenSSH\r\n".into())
        );
        assert!(matches!(error_for("HTTP/2"), HeadError::NotHttp(_)));
        assert!(matches!(error_for("\x15\x03\x01"), HeadError::NotHttp(_)));
        let headers = |n| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
        assert!(read(&[headers(96).as_bytes()]).is_ok());
        assert_eq!(error_for(&headers(97)), HeadError::TooManyHeaders(97));
        let large = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEADS_MAX_BYTES));
        assert_eq!(error_for(&large), HeadError::TooLarge);
        assert_eq!(error_for(&format!("{large}\r\n\r\n")), HeadError::TooLarge);

        let mut reader = HeadReader::default();
        let endless = (0..100_000).find_map(|_| reader.push(INTERIM.as_bytes()).err());
        assert_eq!(endless, Some(HeadError::EndlessInterim));
        let mut reader = HeadReader::default();
        let blank = (0..100_000).find_map(|_| reader.push(b"\r\n\r\n").err());
        assert_eq!(blank, Some(HeadError::EndlessInterim));

        let mut reader = HeadReader::default();
        assert_eq!(reader.on_eof(), None);
        reader.push(INTERIM.as_bytes()).unwrap();
        assert_eq!(reader.on_eof(), None);
        reader.push(b"HTTP/1.1 2").unwrap();
        assert_eq!(reader.on_eof(), Some(HeadError::Truncated));
    }

    proptest! {
        #[test]
        fn returns_the_same_head_however_the_bytes_are_split(
            interims in prop::collection::vec(
                prop::sample::select(vec![INTERIM, "\r\n", "HTTP/1.1 199 x\n\n"]),
                0..4,
            ),
            cuts in prop::collection::vec(1usize..12, 0..200),
        ) {
            let text = format!("{}{FINAL}", interims.concat());
            let mut rest = text.as_bytes();
            let mut parts = vec![];
            for cut in cuts {
                let (part, others) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = others;
            }
            parts.push(rest);
            prop_assert_eq!(read(&parts).unwrap().unwrap().bytes, FINAL.as_bytes());
        }
    }
}
