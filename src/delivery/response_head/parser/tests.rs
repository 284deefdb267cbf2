//! Tests of accepted and rejected response heads.

use super::Framing::{Chunked, Empty, Length, UntilClose};
use super::*;

/// Parses a response head. Each `|` in `text` represents a line break.
fn parse_head(text: &str) -> Result<ParsedHead, HeadError> {
    parse(text.replace('|', "\r\n").as_bytes())
}

#[test]
fn accepts_deviations_that_the_standard_permits() {
    for (head, status, framing) in [
        ("HTTP/1.1 200 OK|Content-Length: 5||", 200, Length(5)),
        // The status line.
        ("HTTP/1.1 200 |Content-Length: 5||", 200, Length(5)),
        ("HTTP/1.1 200|Content-Length: 5||", 200, Length(5)),
        (
            "HTTP/1.1  200\tVery  fine|Content-Length: 5||",
            200,
            Length(5),
        ),
        (
            "HTTP/1.1 200 \u{7}Gr\u{fc}n|Content-Length: 5||",
            200,
            Length(5),
        ),
        ("HTTP/1.0 200 OK|Content-Length: 5||", 200, Length(5)),
        ("HTTP/1.2 200 OK|Content-Length: 5||", 200, Length(5)),
        ("HTTP/1.1 599 ?|Content-Length: 5||", 599, Length(5)),
        ("HTTP/1.1 999 ?|Content-Length: 5||", 999, Length(5)),
        // Bare line feeds.
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", 200, Length(5)),
        // The syntax of headers.
        ("HTTP/1.1 200 OK|content-LENGTH:5||", 200, Length(5)),
        ("HTTP/1.1 200 OK|Content-Length : 5 \t||", 200, Length(5)),
        ("HTTP/1.1 200 OK|Content-Length:|  5||", 200, Length(5)),
        ("HTTP/1.1 200 OK| X: 9|Content-Length: 5||", 200, Length(5)),
        (
            "HTTP/1.1 200 OK|no colon|Content-Length: 5||",
            200,
            Length(5),
        ),
        (
            "HTTP/1.1 200 OK|: no name|Content-Length: 5||",
            200,
            Length(5),
        ),
        (
            "HTTP/1.1 200 OK|X(y): z|Content-Length: 5||",
            200,
            Length(5),
        ),
        (
            "HTTP/1.1 200 OK|X: \0 \r a|Content-Length: 5||",
            200,
            Length(5),
        ),
        // Lengths.
        ("HTTP/1.1 200 OK|Content-Length: 0005||", 200, Length(5)),
        (
            "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 5||",
            200,
            Length(5),
        ),
        ("HTTP/1.1 200 OK|Content-Length: 5, 5,5||", 200, Length(5)),
        (
            "HTTP/1.1 200 OK|Content-Length: 99999999999999999999||",
            200,
            Length(u64::MAX),
        ),
        ("HTTP/1.1 200 OK||", 200, UntilClose),
        ("HTTP/1.1 200 OK|Content-Length:||", 200, UntilClose),
        (
            "HTTP/1.1 205 Reset Content|Content-Length: 0||",
            205,
            Length(0),
        ),
        // Transfer encodings.
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||", 200, Chunked),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: CHUNKED ||",
            200,
            Chunked,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: gzip, Chunked||",
            200,
            Chunked,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: gzip|Transfer-Encoding: chunked||",
            200,
            Chunked,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: , chunked,||",
            200,
            Chunked,
        ),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip||", 200, UntilClose),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: identity|Content-Length: 5||",
            200,
            Length(5),
        ),
        (
            "HTTP/1.0 200 OK|Transfer-Encoding: chunked||",
            200,
            UntilClose,
        ),
        // These statuses allow no body, whatever the headers say.
        ("HTTP/1.1 204 No Content|Content-Length: 5||", 204, Empty),
        ("HTTP/1.1 204 No Content|Content-Length: x||", 204, Empty),
        (
            "HTTP/1.1 304 Not Modified|Transfer-Encoding: chunked||",
            304,
            Empty,
        ),
        ("HTTP/1.1 101 Switching|Upgrade: x||", 101, Empty),
    ] {
        let parsed = parse_head(head).unwrap_or_else(|error| panic!("{head}: {error}"));
        assert_eq!((parsed.status, parsed.framing), (status, framing), "{head}");
    }
}

#[test]
fn rejects_ambiguous_body_lengths_and_invalid_status_lines() {
    for (head, error) in [
        ("HTTP/1.1 abc OK||", HeadError::StatusLine),
        ("HTTP/1.1 20 OK||", HeadError::StatusLine),
        ("HTTP/1.1 2000 OK||", HeadError::StatusLine),
        ("HTTP/1.1 099 OK||", HeadError::StatusLine),
        ("HTTP/1.1||", HeadError::StatusLine),
        ("HTTP/1.x 200 OK||", HeadError::StatusLine),
        (
            "HTTP/1.1 200 OK|Content-Length: x||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: -1||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: +5||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: 5 6||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: 5, 6||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: 5\rTransfer-Encoding: chunked||",
            HeadError::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: chunked||",
            HeadError::LengthAndEncoding,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked||",
            HeadError::TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked, gzip||",
            HeadError::TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked;a=b||",
            HeadError::TransferEncoding,
        ),
    ] {
        assert_eq!(parse_head(head), Err(error), "{head}");
    }
}

#[test]
fn reads_headers_as_they_were_sent() {
    let head = b"HTTP/1.1 200 OK\r\nX-Utf: \xc3\xbc\r\nx-latin: \xfc\r\nX-Folded: a\r\n\tb\r\n c\r\nX-Empty:\r\nX-Empty:\r\n d\r\n\r\n";
    let headers = parse(head).unwrap().headers;
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("X-Utf", "ü"),
        ("x-latin", "ü"),
        ("X-Folded", "a b c"),
        ("X-Empty", ""),
        ("X-Empty", "d"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn reuses_a_connection_only_if_the_framing_is_unambiguous() {
    for (head, keep_alive) in [
        ("HTTP/1.1 200 OK|Content-Length: 5||", true),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||", true),
        ("HTTP/1.1 204 No Content||", true),
        ("HTTP/1.1 204 No Content|Content-Length: 0||", true),
        (
            "HTTP/1.0 200 OK|Content-Length: 5|Connection: Keep-Alive||",
            true,
        ),
        ("HTTP/1.0 200 OK|Content-Length: 5||", false),
        (
            "HTTP/1.1 200 OK|Content-Length: 5|Connection: x, CLOSE||",
            false,
        ),
        ("HTTP/1.1 200 OK||", false),
        ("HTTP/1.1 204 No Content|Content-Length: 5||", false),
        (
            "HTTP/1.1 204 No Content|Transfer-Encoding: chunked||",
            false,
        ),
        ("HTTP/1.1 101 Switching||", false),
    ] {
        assert_eq!(parse_head(head).unwrap().keep_alive, keep_alive, "{head}");
    }
}
