//! Parses pasted headers and bodies in the formats that common tools and languages print.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A base64 decoder that accepts input with or without padding.
const BASE64_DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Header names and values. If a name occurs more than once, its first value is used.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PastedHeaders(Vec<(String, String)>);

impl PastedHeaders {
    /// Parses `Name: value` lines, header lines in the output of `curl -v`, `-H` options of curl,
    /// and arrays that PHP's `print_r` prints. Also parses objects in JavaScript, JSON, and Python,
    /// and lists of pairs.
    pub fn parse(text: &str) -> Self {
        let lines = parse_header_lines(text);
        if !text.contains(['{', '(', '[']) {
            return Self(lines);
        }
        // Brackets can enclose an object, but headers such as `User-Agent` contain brackets too. A
        // line with a plain value is therefore always parsed as a header.
        let is_plain = |value: &str| {
            !value.contains(['\'', '"', '\\'])
                && !value.starts_with(['{', '(', '['])
                && !value.ends_with(['}', ')', ']'])
        };
        let (mut pairs, others): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|(_, value)| is_plain(value));
        pairs.extend(parse_header_tokens(&tokenize_headers(text)));
        pairs.extend(others);
        Self(pairs)
    }

    /// Returns a header's value. `name` must be lowercase. Pasted names can be uppercase or
    /// lowercase, or names of CGI and WSGI variables (`HTTP_X_NAME`).
    pub fn get(&self, name: &str) -> Option<String> {
        let normalize = |given: &str| {
            let given = given.to_ascii_lowercase().replace('_', "-");
            given
                .strip_prefix("http-")
                .map_or(given.clone(), str::to_owned)
        };
        let found = self.0.iter().find(|(given, _)| normalize(given) == name)?;
        Some(found.1.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_header_lines(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix(['<', '>']).unwrap_or(line).trim_start();
        let line = line.strip_prefix("-H").unwrap_or(line).trim();
        let line = line
            .trim_end_matches(['\\', ' ', ','])
            .trim_matches(['\'', '"']);
        let Some((name, value)) = line.split_once("=>").or_else(|| line.split_once(':')) else {
            continue;
        };
        let name = name.trim().trim_matches(['[', ']', '\'', '"']);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.is_empty() && name.chars().all(is_name) {
            let value = value.trim().trim_matches(['\'', '"']);
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    pairs
}

/// A token of a pasted object or list.
#[derive(Debug, PartialEq, Eq)]
enum HeaderToken {
    Text(String),
    Punctuation(char),
}

fn tokenize_headers(text: &str) -> Vec<HeaderToken> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' | '`' => {
                let mut inner = String::new();
                while let Some(next) = chars.next().filter(|next| *next != c) {
                    match next {
                        '\\' => inner.extend(chars.next()),
                        other => inner.push(other),
                    }
                }
                tokens.push(HeaderToken::Text(inner));
            }
            ':' | ',' | '{' | '}' | '[' | ']' | '(' | ')' => {
                tokens.push(HeaderToken::Punctuation(c))
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                while let Some(next) =
                    chars.next_if(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
                {
                    word.push(next);
                }
                tokens.push(HeaderToken::Text(word));
            }
        }
    }
    tokens
}

/// Returns the pairs in the formats `name: value`, `name: [value]`, `(name, value)`, and `[name,
/// value]`, at any depth.
fn parse_header_tokens(tokens: &[HeaderToken]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for index in 0..tokens.len() {
        let rest = &tokens[index..];
        use HeaderToken::{Punctuation, Text};
        let pair = match rest {
            [Text(name), Punctuation(':'), Text(value), ..] => Some((name, value)),
            [
                Text(name),
                Punctuation(':'),
                Punctuation('['),
                Text(value),
                ..,
            ] => Some((name, value)),
            [
                Punctuation('('),
                Text(name),
                Punctuation(','),
                Text(value),
                Punctuation(')'),
                ..,
            ] => Some((name, value)),
            [
                Punctuation('['),
                Text(name),
                Punctuation(','),
                Text(value),
                Punctuation(']'),
                ..,
            ] => Some((name, value)),
            _ => None,
        };
        pairs.extend(pair.map(|(name, value)| (name.clone(), value.clone())));
    }
    pairs
}

/// The encoding of the pasted body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyEncoding {
    #[default]
    Text,
    Base64,
    Hex,
}

impl BodyEncoding {
    pub const ALL: [Self; 3] = [Self::Text, Self::Base64, Self::Hex];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Base64 => "Base64 (exact bytes)",
            Self::Hex => "Hex (exact bytes)",
        }
    }

    pub fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.as_str() == text)
            .unwrap_or_default()
    }
}

/// Decodes the pasted body. The error is a message for the form.
pub fn decode_body(text: &str, encoding: BodyEncoding) -> Result<Vec<u8>, &'static str> {
    let without_whitespace = || -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    match encoding {
        // Browsers submit every line break as CR LF, so the original line breaks are unknown.
        // Assume LF.
        BodyEncoding::Text => {
            Ok(parse_python_bytes(text).unwrap_or_else(|| text.replace("\r\n", "\n").into_bytes()))
        }
        BodyEncoding::Base64 => {
            let standard = without_whitespace().replace('-', "+").replace('_', "/");
            BASE64_DECODER
                .decode(standard)
                .map_err(|_| "Invalid base64.")
        }
        BodyEncoding::Hex => {
            let digits: String = without_whitespace()
                .replace("0x", "")
                .chars()
                .filter(|c| !matches!(c, ':' | ','))
                .collect();
            let digits = digits.trim_start_matches("<Buffer").trim_end_matches('>');
            hex::decode(digits).map_err(|_| "Invalid hex. Use two digits per byte.")
        }
    }
}

/// Parses a Python bytes literal, `b'…'`.
fn parse_python_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().strip_prefix('b')?;
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut bytes = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.to_string().bytes());
            continue;
        }
        match chars.next()? {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).ok()?);
            }
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_headers_in_all_formats() {
        for pasted in [
            "Host: a.example\r\nX-Miniback-Signature: abc\r\nX-Miniback-Timestamp: 2025-10-31T12:34:56.789Z",
            "POST /hook HTTP/1.1\nx-miniback-signature:abc\nx-miniback-timestamp: 2025-10-31T12:34:56.789Z",
            "* Connected\n> POST / HTTP/1.1\n> X-Miniback-Signature: abc\n> X-Miniback-Timestamp: 2025-10-31T12:34:56.789Z\n>",
            "curl https://a.example \\\n  -H 'X-Miniback-Signature: abc' \\\n  -H 'X-Miniback-Timestamp: 2025-10-31T12:34:56.789Z' \\",
            r#"{"x-miniback-signature": "abc", "x-miniback-timestamp": "2025-10-31T12:34:56.789Z", "n": 1}"#,
            r#"{"headers": {"X-Miniback-Signature": ["abc"], "X-Miniback-Timestamp": ["2025-10-31T12:34:56.789Z"]}}"#,
            "{\n  host: 'a.example:80',\n  'x-miniback-signature': 'abc',\n  'x-miniback-timestamp': '2025-10-31T12:34:56.789Z'\n}",
            "{'X-Miniback-Signature': 'abc', 'X-Miniback-Timestamp': '2025-10-31T12:34:56.789Z'}",
            "EnvironHeaders([('X-Miniback-Signature', 'abc'), ('X-Miniback-Timestamp', '2025-10-31T12:34:56.789Z')])",
            r#"[["X-Miniback-Signature","abc"],["X-Miniback-Timestamp","2025-10-31T12:34:56.789Z"]]"#,
            "{'HTTP_X_MINIBACK_SIGNATURE': 'abc', 'HTTP_X_MINIBACK_TIMESTAMP': '2025-10-31T12:34:56.789Z'}",
            "Array\n[X-Miniback-Signature] => abc\n[X-Miniback-Timestamp] => 2025-10-31T12:34:56.789Z",
            "Array\n(\n    [X-Miniback-Signature] => abc\n    [X-Miniback-Timestamp] => 2025-10-31T12:34:56.789Z\n)",
            "Host: a.example\nUser-Agent: proxy (2.0)\nX-Miniback-Signature: abc\nX-Miniback-Timestamp: 2025-10-31T12:34:56.789Z",
            "curl https://a.example -d '{\"a\":1}' \\\n  -H 'X-Miniback-Signature: abc' \\\n  -H 'X-Miniback-Timestamp: 2025-10-31T12:34:56.789Z'",
            "{'X-Miniback-Signature': 'abc',\n 'X-Miniback-Timestamp': '2025-10-31T12:34:56.789Z'}",
        ] {
            let headers = PastedHeaders::parse(pasted);
            let get = |name| headers.get(name).unwrap_or_default();
            assert_eq!(get("x-miniback-signature"), "abc", "{pasted}: {headers:?}");
            assert_eq!(
                get("x-miniback-timestamp"),
                "2025-10-31T12:34:56.789Z",
                "{pasted}: {headers:?}"
            );
        }
        for invalid in ["", "no headers here", "{", "[(", "'", "\\"] {
            assert!(PastedHeaders::parse(invalid).is_empty(), "{invalid}");
        }
        let signed = PastedHeaders::parse("webhook-signature: v1,abc= v1,def=");
        assert_eq!(signed.get("webhook-signature").unwrap(), "v1,abc= v1,def=");
    }

    #[test]
    fn decodes_bodies_in_all_encodings() {
        let decode = |text, encoding| decode_body(text, encoding);
        assert_eq!(
            decode("{\"a\":1}\r\n", BodyEncoding::Text).unwrap(),
            b"{\"a\":1}\n"
        );
        assert_eq!(
            decode(r#"b'{"a":"\xc3\xbc\n\'"}'"#, BodyEncoding::Text).unwrap(),
            "{\"a\":\"ü\n'\"}".as_bytes()
        );
        for text in ["eyJhIjoi/z8ifQ==", "eyJhIjoi_z8ifQ", "eyJh\r\nIjoi/z8ifQ=="] {
            assert_eq!(
                decode(text, BodyEncoding::Base64).unwrap(),
                b"{\"a\":\"\xff?\"}",
                "{text}"
            );
        }
        for text in [
            "7b 22 0d0A",
            "7B:22:0d:0a",
            "0x7b, 0x22, 0x0d, 0x0a",
            "<Buffer 7b 22 0d 0a>",
        ] {
            assert_eq!(
                decode(text, BodyEncoding::Hex).unwrap(),
                b"{\"\r\n",
                "{text}"
            );
        }
        for (text, encoding) in [
            ("{}", BodyEncoding::Base64),
            ("7b2", BodyEncoding::Hex),
            ("zz", BodyEncoding::Hex),
            ("üü", BodyEncoding::Hex),
        ] {
            assert!(decode(text, encoding).is_err(), "{text}");
        }
    }
}
