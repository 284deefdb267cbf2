//! Fuzz targets for response heads and chunked bodies from endpoints.

use std::iter;

use miniback::delivery::chunked_body::{ChunkError, ChunkReader};
use miniback::delivery::response_head::{
    FinalHead, Framing, HEADS_MAX_BYTES, HeadError, HeadReader, ParsedHead,
};

use super::support::piece_size;

/// Reads a response head. Returns the head and its size in bytes, or `None` if the head is
/// incomplete.
fn read_head<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<(ParsedHead, usize)>, HeadError> {
    let (mut reader, mut received) = (HeadReader::default(), 0);
    for piece in pieces {
        received += piece.len();
        if let Some(FinalHead { head, rest }) = reader.push(piece)? {
            return Ok(Some((head, received - rest.len())));
        }
    }
    Ok(None)
}

/// Fuzzes the parser of response heads. Input: the piece size ([`piece_size`]) and a response head.
/// The result must not depend on how the head is split into pieces.
pub fn response_head(data: &[u8]) -> bool {
    let (size, input) = piece_size(data);
    let whole = read_head(iter::once(input));
    match (&whole, read_head(input.chunks(size))) {
        // The error contains an excerpt of the bytes that have arrived, so the two errors can
        // differ.
        (Err(HeadError::NotHttp(_)), Err(HeadError::NotHttp(_))) => {}
        (whole, pieces) => assert_eq!(*whole, pieces, "in pieces of {size} bytes"),
    }
    let Ok(Some((head, used))) = whole else {
        return false;
    };
    assert!(used <= HEADS_MAX_BYTES);
    assert!((101..=999).contains(&head.status));
    let mut header_bytes = 0;
    for (name, value) in &head.headers {
        for text in [name, value] {
            assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
            assert_eq!(text.trim(), text);
        }
        assert!(!name.is_empty());
        header_bytes += name.len() + value.len();
    }
    // A line that isn't valid UTF-8 is decoded as Latin-1, so one byte can become two bytes in
    // UTF-8.
    assert!(header_bytes <= 2 * used);
    if head.framing == Framing::UntilClose {
        assert!(!head.keep_alive);
    }
    let for_awc = head.for_awc();
    let (again, used) = read_head(iter::once(&for_awc[..]))
        .expect("the head for awc is valid")
        .expect("the head for awc is complete");
    assert_eq!(used, for_awc.len());
    assert_eq!(again.status, head.status);
    assert_eq!(again.framing, head.framing);
    assert_eq!(again.keep_alive, head.keep_alive);
    true
}

/// The content decoded from chunks, the number of bytes read, and whether the body is complete.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    used: usize,
    is_done: bool,
    content: Vec<u8>,
}

/// Decodes chunks. Also returns the chunks as the reader rewrites them, in strict syntax.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Result<Decoded, ChunkError>, Vec<u8>) {
    let (mut reader, mut strict, mut used) = (ChunkReader::default(), Vec::new(), 0);
    for piece in pieces {
        match reader.decode(piece, &mut strict) {
            Ok(count) => used += count,
            Err(error) => return (Err(error), strict),
        }
        assert!(reader.is_done() || used > 0 || piece.is_empty());
    }
    let is_done = reader.is_done();
    let content = strict_content(&strict, is_done);
    let decoded = Decoded {
        used,
        is_done,
        content,
    };
    (Ok(decoded), strict)
}

/// Returns the content of chunks in strict syntax. A complete body must end with an empty chunk; an
/// incomplete body must not.
fn strict_content(mut strict: &[u8], is_done: bool) -> Vec<u8> {
    let mut content = Vec::new();
    while !strict.is_empty() {
        let end = strict.windows(2).position(|pair| pair == b"\r\n");
        let (size, rest) = strict.split_at(end.expect("a line ends with CRLF"));
        let size = std::str::from_utf8(size).expect("a size is ASCII");
        let size = usize::from_str_radix(size, 16).expect("a size is a number");
        let (chunk, rest) = rest[2..].split_at(size);
        content.extend_from_slice(chunk);
        strict = rest.strip_prefix(b"\r\n").expect("a chunk ends with CRLF");
        if size == 0 {
            assert!(is_done && strict.is_empty());
            return content;
        }
    }
    assert!(!is_done);
    content
}

/// Fuzzes the parser of chunked bodies. Input: the piece size ([`piece_size`]) and a chunked body.
/// The result must not depend on how the body is split into pieces.
pub fn chunked_body(data: &[u8]) -> bool {
    let (size, input) = piece_size(data);
    let (whole, strict) = decode(iter::once(input));
    let (pieces, strict_pieces) = decode(input.chunks(size));
    assert_eq!(whole, pieces, "in pieces of {size} bytes");
    assert!(strict_pieces.len() <= 6 * input.len() + 5);
    let Ok(decoded) = whole else {
        return false;
    };
    assert!(decoded.used <= input.len());
    assert!(decoded.is_done || decoded.used == input.len());
    let (again, strict_again) = decode(iter::once(&strict[..]));
    let again = again.expect("strict chunks are valid");
    assert_eq!(again.content, decoded.content);
    assert_eq!((again.used, again.is_done), (strict.len(), decoded.is_done));
    assert_eq!(strict_again, strict);
    decoded.is_done
}
