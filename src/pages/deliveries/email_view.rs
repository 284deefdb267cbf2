//! Decodes an email, so that people can read it without its encodings.

use mail_parser::{HeaderValue, MessageParser};

/// The headers that are shown, in this order.
const HEADERS_SHOWN: [&str; 7] = [
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "References",
];

/// An email, decoded.
pub struct EmailView {
    pub headers: Vec<(&'static str, String)>,
    /// The plain-text part.
    pub text: String,
    /// The email as sent.
    pub raw: String,
}

impl EmailView {
    /// Decodes the headers of an attempt, followed by the stored body: the other headers and the
    /// parts of the email.
    pub fn new(headers: &[(String, String)], body: &[u8]) -> Self {
        let head = headers.iter();
        let mut raw: String = head
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        raw.push_str(&String::from_utf8_lossy(body));
        let parsed = MessageParser::default().parse(raw.as_bytes());
        let text = parsed.as_ref().and_then(|email| email.body_text(0));
        let header = |name: &&'static str| {
            let value = parsed.as_ref()?.header(*name)?;
            Some((*name, decode_header(value)?))
        };
        Self {
            headers: HEADERS_SHOWN.iter().filter_map(header).collect(),
            text: text
                .map(|text| text.replace("\r\n", "\n"))
                .unwrap_or_default(),
            raw: raw.replace("\r\n", "\n"),
        }
    }
}

fn decode_header(value: &HeaderValue<'_>) -> Option<String> {
    Some(match value {
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::TextList(texts) => texts.join(" "),
        HeaderValue::DateTime(date) => date.to_rfc822(),
        HeaderValue::Address(addresses) => {
            let addresses = addresses.iter().filter_map(|address| {
                let email = address.address()?;
                Some(match address.name() {
                    Some(name) => format!("{name} <{email}>"),
                    None => email.to_owned(),
                })
            });
            addresses.collect::<Vec<_>>().join(", ")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_headers_and_the_plain_text_part() {
        let headers = [
            ("From", "Miniback <feedback@example.com>"),
            ("To", "sam@example.com"),
            ("Date", "Fri, 31 Oct 2025 12:34:56 +0000"),
            ("Message-ID", "<dlv_1@example.com>"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = "Subject: =?utf-8?q?=5BShop=5D_Br=C3=B6ken?=\r\n\
                    Reply-To: ada@example.com\r\n\
                    MIME-Version: 1.0\r\n\
                    Content-Type: multipart/alternative; boundary=\"=_miniback\"\r\n\r\n\
                    --=_miniback\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\n\
                    Br=C3=B6ken <b>\r\n\
                    --=_miniback\r\n\
                    Content-Type: text/html; charset=utf-8\r\n\
                    Content-Transfer-Encoding: base64\r\n\r\n\
                    PGI+QnLDtmtlbjwvYj4=\r\n\
                    --=_miniback--\r\n";
        let email = EmailView::new(&headers, body.as_bytes());
        assert_eq!(
            email.headers,
            [
                ("From", "Miniback <feedback@example.com>".to_owned()),
                ("To", "sam@example.com".to_owned()),
                ("Reply-To", "ada@example.com".to_owned()),
                ("Subject", "[Shop] Bröken".to_owned()),
                ("Date", "Fri, 31 Oct 2025 12:34:56 +0000".to_owned()),
                ("Message-ID", "dlv_1@example.com".to_owned()),
            ]
        );
        assert_eq!(email.text.trim_end(), "Bröken <b>");
        assert!(email.raw.starts_with("From: Miniback"));
        // A body without headers is still readable.
        assert_eq!(EmailView::new(&[], b"").text, "");
        assert_eq!(EmailView::new(&[], body.as_bytes()).headers.len(), 2);
    }
}
