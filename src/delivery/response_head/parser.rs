//! Parses a response head leniently, and decides how the response body ends (RFC 9112).
//!
//! A recipient may recover from invalid syntax (RFC 9110, section 2.4). Only invalid status lines
//! and invalid or ambiguous framing are rejected. If the end of a response is ambiguous, the next
//! response on the connection could be misread.

use super::HeadError;

#[cfg(test)]
mod tests;

/// A parsed response head.
#[derive(Debug, PartialEq, Eq)]
pub struct ParsedHead {
    pub status: u16,
    /// The headers, in their original order and case.
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
    /// Whether the connection can be used for another request.
    pub keep_alive: bool,
}

/// The framing of a response body, which determines where the body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    Length(u64),
    Chunked,
    /// The body ends when the connection is closed.
    UntilClose,
}

/// Parses a complete head, including the empty line at its end.
pub fn parse(head: &[u8]) -> Result<ParsedHead, HeadError> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (minor_version, status) = parse_status_line(lines.next().unwrap_or_default())?;
    let headers = parse_headers(lines);
    let is_http_1_0 = minor_version == 0;
    let framing = body_framing(status, is_http_1_0, &headers)?;
    let options: Vec<String> = list_items(&headers, "connection").collect();
    let has = |option: &str| options.iter().any(|o| o == option);
    // The status allows no body, but the headers declare a body. Don't reuse the connection,
    // because the next bytes could be this body.
    let is_contradictory = framing == Framing::Empty
        && header_values(&headers, "content-length")
            .chain(header_values(&headers, "transfer-encoding"))
            .any(|value| value != "0");
    let keep_alive = !has("close")
        && (!is_http_1_0 || has("keep-alive"))
        && framing != Framing::UntilClose
        && status != 101
        && !is_contradictory;
    Ok(ParsedHead {
        status,
        headers,
        framing,
        keep_alive,
    })
}

/// Returns the status of a complete head.
pub fn status(head: &[u8]) -> Result<u16, HeadError> {
    let line = head.split(|byte| *byte == b'\n').next();
    parse_status_line(line.unwrap_or_default()).map(|(_, status)| status)
}

impl ParsedHead {
    /// Returns the head for awc: the status, and only the headers for framing and connection reuse.
    pub fn for_awc(&self) -> Vec<u8> {
        // Without a length, awc reads until the connection is closed only for HTTP/1.0. For
        // HTTP/1.1, awc assumes an empty body and reuses the connection.
        let (version, length) = match self.framing {
            Framing::Empty => ("1.1", String::new()),
            Framing::Length(length) => ("1.1", format!("Content-Length: {length}\r\n")),
            Framing::Chunked => ("1.1", "Transfer-Encoding: chunked\r\n".to_owned()),
            Framing::UntilClose => ("1.0", String::new()),
        };
        let connection = if self.keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        format!(
            "HTTP/{version} {} \r\n{length}{connection}\r\n",
            self.status
        )
        .into_bytes()
    }
}

/// Returns the minor version and the status. Accepts any white space as a separator, and ignores
/// the reason phrase (RFC 9112, section 4).
fn parse_status_line(line: &[u8]) -> Result<(u8, u16), HeadError> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r');
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    let minor = match words.next().and_then(|word| word.strip_prefix(b"HTTP/1.")) {
        Some([digit @ b'0'..=b'9']) => digit - b'0',
        _ => return Err(HeadError::StatusLine),
    };
    let status = match words.next() {
        Some(digits @ [b'1'..=b'9', _, _]) if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Err(HeadError::StatusLine),
    };
    let status = status
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Ok((minor, status))
}

/// Parses header lines. Joins folded lines, and ignores lines that aren't headers (RFC 9112,
/// sections 2.2 and 5).
fn parse_headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        let line = decode_line(line);
        if line.starts_with([' ', '\t']) {
            // Ignore a folded line that has no header before it.
            if let Some((_, value)) = headers.last_mut() {
                *value = format!("{value} {}", line.trim()).trim().to_owned();
            }
            continue;
        }
        if let Some((name, value)) = line.split_once(':')
            && !name.trim().is_empty()
        {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

/// Decodes a line as UTF-8 or, if it isn't valid UTF-8, as Latin-1. Replaces NUL and CR with a
/// space (RFC 9110, section 5.5).
fn decode_line(line: &[u8]) -> String {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => line.iter().map(|byte| char::from(*byte)).collect(),
    };
    text.replace(['\0', '\r'], " ")
}

fn header_values<'a>(
    headers: &'a [(String, String)],
    name: &'static str,
) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Returns the items of a header whose value is a list, in lower case. The header can be repeated.
fn list_items(headers: &[(String, String)], name: &'static str) -> impl Iterator<Item = String> {
    header_values(headers, name)
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .filter(|item| !item.is_empty())
}

fn body_framing(
    status: u16,
    is_http_1_0: bool,
    headers: &[(String, String)],
) -> Result<Framing, HeadError> {
    if matches!(status, 101 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    // `identity` was a name for "no encoding" in RFC 2616.
    let codings: Vec<String> = list_items(headers, "transfer-encoding")
        .filter(|coding| coding != "identity")
        .collect();
    let length = content_length(headers)?;
    let Some((last, others)) = codings.split_last() else {
        return Ok(length.map_or(Framing::UntilClose, Framing::Length));
    };
    if length.is_some() {
        return Err(HeadError::LengthAndEncoding);
    }
    if others.iter().any(|coding| is_chunked(coding)) || (is_chunked(last) && last != "chunked") {
        return Err(HeadError::TransferEncoding);
    }
    // HTTP/1.0 has no transfer codings. RFC 9112, section 6.1, requires recipients to treat the
    // framing as faulty and to close the connection.
    Ok(if last == "chunked" && !is_http_1_0 {
        Framing::Chunked
    } else {
        Framing::UntilClose
    })
}

/// Returns whether a transfer coding is `chunked`, possibly with parameters.
fn is_chunked(coding: &str) -> bool {
    coding.split(';').next().unwrap_or_default().trim_end() == "chunked"
}

/// Returns the value of `Content-Length`, if present. The same value can be repeated (RFC 9112,
/// section 6.3).
fn content_length(headers: &[(String, String)]) -> Result<Option<u64>, HeadError> {
    let mut length = None;
    for item in list_items(headers, "content-length") {
        if !item.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(HeadError::ContentLength);
        }
        // A length that doesn't fit into 64 bits is valid, but such a body can't arrive in time.
        let value = item.parse().unwrap_or(u64::MAX);
        if length.is_some_and(|known| known != value) {
            return Err(HeadError::ContentLength);
        }
        length = Some(value);
    }
    Ok(length)
}
