//! Assembles a response head from incoming bytes. Drops interim heads (1xx except 101) and returns
//! the final head. No I/O.
//!
//! awc must never receive an interim response, because it mistakes an interim response for the
//! final response. awc would then read the final response as the response to the next delivery.
//!
//! awc also never receives the original head. Instead, it receives a new head with the framing that
//! [`parser`] found.

mod parser;

pub use parser::{Framing, ParsedHead};

/// The maximum total size of all heads of one response, including interim heads.
pub const HEADS_MAX_BYTES: usize = 128 * 1024;

/// The reason the received bytes aren't a valid response head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("it is TLS")]
    Tls,
    #[error("it starts with “{0}” instead of HTTP/1.1")]
    NotHttp(String),
    #[error("the head is larger than 128 KiB")]
    TooLarge,
    #[error("the status line isn’t valid")]
    StatusLine,
    #[error("Content-Length isn’t a number, or has several values")]
    ContentLength,
    #[error("it has both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    #[error("Transfer-Encoding isn’t valid")]
    TransferEncoding,
    #[error("too many interim (1xx) responses without a final response")]
    EndlessInterim,
    #[error("the connection was closed in the middle of the head")]
    Truncated,
}

/// A complete final head.
#[derive(Debug, PartialEq, Eq)]
pub struct FinalHead {
    pub head: ParsedHead,
    /// The bytes that arrived after the head.
    pub rest: Vec<u8>,
}

/// Collects the bytes of one response until its final head is complete.
#[derive(Debug, Default)]
pub struct HeadReader {
    buffer: Vec<u8>,
    /// The number of bytes in `buffer` that have been searched for the end of the head.
    searched: usize,
    /// The number of bytes of interim heads and empty lines that have been dropped.
    dropped: usize,
}

impl HeadReader {
    /// Adds received bytes. Returns the final head when it is complete, and `None` until then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<FinalHead>, HeadError> {
        self.buffer.extend_from_slice(bytes);
        loop {
            // Ignore empty lines before a head, as awc does. RFC 9112, section 2.2, recommends this
            // for servers.
            let blank = self
                .buffer
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'));
            let blank = blank.count();
            self.drop_leading_bytes(blank);
            if self.dropped > HEADS_MAX_BYTES {
                return Err(self.size_error());
            }
            let start = self.buffer.len().min(b"HTTP/1.".len());
            if self.buffer[..start] != b"HTTP/1."[..start] {
                return Err(match self.buffer[0] {
                    // A TLS alert or handshake.
                    0x15 | 0x16 => HeadError::Tls,
                    _ => HeadError::NotHttp(first_line_excerpt(&self.buffer)),
                });
            }
            let Some(end) = self.find_head_end() else {
                return match self.dropped + self.buffer.len() {
                    0..=HEADS_MAX_BYTES => Ok(None),
                    _ => Err(self.size_error()),
                };
            };
            if self.dropped + end > HEADS_MAX_BYTES {
                return Err(self.size_error());
            }
            // A 101 is final, because no further HTTP response follows it.
            if !matches!(parser::status(&self.buffer[..end])?, 100 | 102..200) {
                let head = parser::parse(&self.buffer[..end])?;
                let rest = self.buffer.split_off(end);
                self.buffer.clear();
                return Ok(Some(FinalHead { head, rest }));
            }
            self.drop_leading_bytes(end);
        }
    }

    /// Returns the error for a connection that is closed in the middle of a head. Returns `None` if
    /// no head has started.
    pub fn eof_error(&self) -> Option<HeadError> {
        (!self.buffer.is_empty()).then_some(HeadError::Truncated)
    }

    /// Returns the error for heads that exceed [`HEADS_MAX_BYTES`]: [`HeadError::EndlessInterim`]
    /// if interim heads take more than half of the limit, and otherwise [`HeadError::TooLarge`].
    fn size_error(&self) -> HeadError {
        if self.dropped > HEADS_MAX_BYTES / 2 {
            HeadError::EndlessInterim
        } else {
            HeadError::TooLarge
        }
    }

    /// Returns the position after the first empty line, where the head ends. Lines can end with a
    /// bare line feed, which awc accepts too.
    fn find_head_end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(2);
        let ends = |i: &usize| {
            self.buffer[..=*i].ends_with(b"\n\r\n") || self.buffer[..=*i].ends_with(b"\n\n")
        };
        let end = (from..self.buffer.len()).find(ends).map(|i| i + 1);
        self.searched = self.buffer.len();
        end
    }

    fn drop_leading_bytes(&mut self, count: usize) {
        if count > 0 {
            self.buffer.drain(..count);
            self.dropped += count;
            self.searched = 0;
        }
    }
}

/// Returns the first 20 bytes of the first line for display. Replaces each byte that isn't
/// printable ASCII with `·`.
pub fn first_line_excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let start = line.unwrap_or_default().iter().take(20);
    start
        .map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '·',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a response that arrives in parts. Returns its final head and all bytes after the head.
    fn read(parts: &[&[u8]]) -> Result<Option<FinalHead>, HeadError> {
        let mut reader = HeadReader::default();
        for (i, part) in parts.iter().enumerate() {
            if let Some(mut head) = reader.push(part)? {
                // Bytes after the head don't go through the reader.
                head.rest
                    .extend(parts[i + 1..].iter().flat_map(|p| p.iter()));
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    const INTERIM: &str =
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: ü \r\n\r\nok";

    #[test]
    fn drops_interim_heads_and_returns_the_final_head() {
        let read_all = |text: &str| read(&[text.as_bytes()]).unwrap();
        let response = read(&[INTERIM.as_bytes(), FINAL.as_bytes()])
            .unwrap()
            .unwrap();
        assert_eq!(response.rest, b"ok");
        let headers = [("Content-Length", "2"), ("X-One", "ü")];
        assert_eq!(
            response.head.headers,
            headers.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(read_all(INTERIM), None);
        for (text, status) in [
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                101,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204),
            ("HTTP/1.0 200 OK\n\nbody", 200),
            ("HTTP/1.1  103\nX: y\n\n\r\n\nHTTP/1.1 201 \r\n\r\n", 201),
        ] {
            assert_eq!(read_all(text).unwrap().head.status, status, "{text}");
        }
    }

    #[test]
    fn rejects_invalid_and_oversized_heads() {
        let error_for = |text: &str| read(&[text.as_bytes()]).unwrap_err();
        assert_eq!(
            error_for("SSH-2.0-OpenSSH\r\n"),
            HeadError::NotHttp("SSH-2.0-OpenSSH".into())
        );
        assert!(matches!(error_for("HTTP/2"), HeadError::NotHttp(_)));
        assert_eq!(error_for("\x15\x03\x01"), HeadError::Tls);
        assert_eq!(error_for("HTTP/1.1 1\r\n\r\n"), HeadError::StatusLine);
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
        assert_eq!(reader.eof_error(), None);
        reader.push(INTERIM.as_bytes()).unwrap();
        assert_eq!(reader.eof_error(), None);
        reader.push(b"HTTP/1.1 2").unwrap();
        assert_eq!(reader.eof_error(), Some(HeadError::Truncated));
    }

    #[test]
    fn the_size_limit_is_the_same_however_the_bytes_are_split() {
        let head = |status: u16, size: usize| {
            format!("HTTP/1.1 {status} \r\na: {}\r\n\r\n", "b".repeat(size - 22))
        };
        let (kib, max) = (1024, HEADS_MAX_BYTES);
        for (text, error) in [
            (head(103, 100 * kib) + &head(200, 28 * kib), None),
            (
                head(103, 100 * kib) + &head(200, 28 * kib + 1),
                Some(HeadError::EndlessInterim),
            ),
            (
                head(103, 28 * kib) + &head(200, 100 * kib + 1),
                Some(HeadError::TooLarge),
            ),
            (head(200, max), None),
            (head(200, max + 1), Some(HeadError::TooLarge)),
            ("\n".repeat(max + 1) + "x", Some(HeadError::EndlessInterim)),
        ] {
            for size in [text.len(), 1000, 1] {
                let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                assert_eq!(read(&parts).err(), error, "in parts of {size} bytes");
            }
        }
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
            prop_assert_eq!(read(&parts), read(&[FINAL.as_bytes()]));
        }
    }
}
