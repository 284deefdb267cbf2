//! Decodes a chunked body and encodes it again with the strict syntax that awc accepts (RFC 9112,
//! section 7.1). No I/O.
//!
//! awc rejects trailers, bare line feeds, and some characters in chunk extensions.

use std::mem;

/// The maximum length of one line with a chunk size, and of all trailers together.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// The reason a chunked body can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk size isn’t valid")]
    InvalidSize,
    #[error("a chunk is longer than its declared size")]
    MissingLineEnd,
    #[error("a chunk extension or a trailer is longer than 16 KiB")]
    TooLong,
}

/// Decodes the chunks of one body and encodes them again.
#[derive(Debug, Default)]
pub struct ChunkReader {
    state: ChunkState,
    line: Vec<u8>,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// Reading the line with the size of a chunk.
    #[default]
    Size,
    /// Reading the data of a chunk. Contains the number of bytes left.
    Data(u64),
    /// Reading the line end after a chunk.
    DataEnd,
    Trailer,
    Done,
}

impl ChunkReader {
    /// Decodes received bytes, and appends chunks in the strict syntax to `output`. Returns the
    /// number of bytes consumed. Bytes after the end of the body aren't consumed.
    pub fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let mut used = 0;
        while used < input.len() && self.state != ChunkState::Done {
            let rest = &input[used..];
            used += match self.state {
                ChunkState::Data(left) => self.read_data(left, rest, output),
                _ => self.read_line_part(rest, output)?,
            };
        }
        Ok(used)
    }

    /// Returns whether the end of the body has been reached.
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    fn read_data(&mut self, left: u64, input: &[u8], output: &mut Vec<u8>) -> usize {
        let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        output.extend_from_slice(format!("{count:x}\r\n").as_bytes());
        output.extend_from_slice(&input[..count]);
        output.extend_from_slice(b"\r\n");
        self.state = match left - count as u64 {
            0 => ChunkState::DataEnd,
            left => ChunkState::Data(left),
        };
        count
    }

    /// Reads up to and including the next line end, and parses the line if it is complete. Returns
    /// the number of bytes consumed.
    fn read_line_part(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = &input[..end.unwrap_or(input.len())];
        self.line.extend_from_slice(part);
        if self.line.len() + self.trailer_bytes > LINE_MAX_BYTES {
            return Err(ChunkError::TooLong);
        }
        let Some(end) = end else {
            return Ok(input.len());
        };
        let line = mem::take(&mut self.line);
        self.parse_line(line.strip_suffix(b"\r").unwrap_or(&line), output)?;
        Ok(end + 1)
    }

    fn parse_line(&mut self, line: &[u8], output: &mut Vec<u8>) -> Result<(), ChunkError> {
        self.state = match self.state {
            ChunkState::Size => match parse_chunk_size(line)? {
                0 => ChunkState::Trailer,
                size => ChunkState::Data(size),
            },
            ChunkState::DataEnd if line.is_empty() => ChunkState::Size,
            ChunkState::DataEnd => return Err(ChunkError::MissingLineEnd),
            ChunkState::Trailer if line.is_empty() => {
                output.extend_from_slice(b"0\r\n\r\n");
                ChunkState::Done
            }
            ChunkState::Trailer => {
                self.trailer_bytes += line.len() + 2;
                ChunkState::Trailer
            }
            state @ (ChunkState::Data(_) | ChunkState::Done) => state,
        };
        Ok(())
    }
}

/// Parses a line with a chunk size, and ignores extensions.
fn parse_chunk_size(line: &[u8]) -> Result<u64, ChunkError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(ChunkError::InvalidSize);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| ChunkError::InvalidSize)?;
    u64::from_str_radix(digits, 16).map_err(|_| ChunkError::InvalidSize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes chunks in the strict syntax.
    fn content(mut encoded: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        loop {
            let end = encoded.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let size = std::str::from_utf8(&encoded[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            encoded = &encoded[end + 2..];
            content.extend_from_slice(&encoded[..size]);
            assert_eq!(&encoded[size..size + 2], b"\r\n");
            encoded = &encoded[size + 2..];
            if size == 0 {
                assert!(encoded.is_empty());
                return content;
            }
        }
    }

    const BODY: &[u8] = b"5;name=\"v\\\"alue\";x\r\nhello\r\n001 \n \n2\r\n\r\n\r\n0\r\nX-Trailer: 1\r\n folded\r\n\r\nNEXT";

    #[test]
    fn accepts_extensions_trailers_and_bare_line_feeds() {
        let (mut reader, mut output) = (ChunkReader::default(), Vec::new());
        let used = reader.decode(BODY, &mut output).unwrap();
        assert!(reader.is_done());
        assert_eq!(&BODY[used..], b"NEXT");
        assert_eq!(content(&output), b"hello \r\n");
    }

    #[test]
    fn rejects_invalid_chunks() {
        let long = format!("1;{}\r\n", "x".repeat(LINE_MAX_BYTES));
        let trailers = format!("0\r\n{}", "X: y\r\n".repeat(LINE_MAX_BYTES / 4));
        for (body, error) in [
            ("zz\r\n", ChunkError::InvalidSize),
            ("\r\n", ChunkError::InvalidSize),
            ("-1\r\n", ChunkError::InvalidSize),
            ("0x1\r\n", ChunkError::InvalidSize),
            ("1 2\r\n", ChunkError::InvalidSize),
            ("11111111111111111\r\n", ChunkError::InvalidSize),
            ("1\r\nab\r\n", ChunkError::MissingLineEnd),
            (&long, ChunkError::TooLong),
            (&trailers, ChunkError::TooLong),
        ] {
            let result = ChunkReader::default().decode(body.as_bytes(), &mut Vec::new());
            assert_eq!(result, Err(error), "{:.20}", body);
        }
    }

    proptest! {
        #[test]
        fn decodes_the_same_however_the_bytes_are_split(
            cuts in prop::collection::vec(1usize..9, 0..80),
        ) {
            let (mut reader, mut output, mut unused) = (ChunkReader::default(), vec![], 0);
            let mut rest = BODY;
            for cut in cuts.into_iter().chain([BODY.len()]) {
                let (part, others) = rest.split_at(cut.min(rest.len()));
                unused += part.len() - reader.decode(part, &mut output).unwrap();
                rest = others;
            }
            prop_assert_eq!((reader.is_done(), unused), (true, 4));
            prop_assert_eq!(content(&output), b"hello \r\n");
        }
    }
}
