//! A fuzz target for requests that people paste to check a signature.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use miniback::pages::request_parser::{BodyEncoding, PastedHeaders, decode_body};
use serde_json::json;

use super::support::{split_at, text};

/// Fuzzes the parsers of pasted headers and bodies. Input: pasted headers, an empty line, and a
/// pasted body.
pub fn pasted_request(data: &[u8]) -> bool {
    let (head, body) = split_at(data, b"\n\n");
    let (head, pasted_body) = (text(head), text(body));
    let headers = PastedHeaders::parse(&head);
    for name in ["x-miniback-signature", "webhook-id", "a"] {
        let value = headers.get(name).unwrap_or_default();
        assert!(value.len() <= head.len());
    }
    check_formats(&head);
    check_encodings(body);
    let mut is_decoded = false;
    for encoding in BodyEncoding::ALL {
        assert_eq!(BodyEncoding::parse(encoding.as_str()), encoding);
        if let Ok(decoded) = decode_body(&pasted_body, encoding) {
            assert!(decoded.len() <= pasted_body.len());
            is_decoded |= encoding != BodyEncoding::Text;
        }
    }
    !headers.is_empty() && is_decoded
}

/// Checks that a header is found in the formats that common programs print.
fn check_formats(text: &str) {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "+/=,:.-_".contains(*c);
    let value: String = text.chars().filter(is_plain).take(80).collect();
    let value = &format!("v1,{value}=");
    let agent = "Mozilla/5.0 (X11; Linux x86_64)";
    let json = json!({"user-agent": agent, "webhook-signature": value});
    let python = format!("{{'User-Agent': '{agent}', 'Webhook-Signature': '{value}'}}");
    for pasted in [
        format!("User-Agent: {agent}\r\nWebhook-Signature: {value}\r\n"),
        format!("> POST /hook HTTP/1.1\n> user-agent: {agent}\n> webhook-signature: {value}\n>"),
        format!(
            "curl https://a.example \\\n  -H 'webhook-signature: {value}' \\\n  -d '{{\"a\":1}}'"
        ),
        json.to_string(),
        format!("{json:#}"),
        json!({"headers": {"webhook-signature": [value]}}).to_string(),
        python,
        format!("EnvironHeaders([('User-Agent', '{agent}'), ('Webhook-Signature', '{value}')])"),
        format!("Array\n(\n    [User-Agent] => {agent}\n    [Webhook-Signature] => {value}\n)\n"),
        format!("{{'HTTP_WEBHOOK_SIGNATURE': '{value}'}}"),
    ] {
        let headers = PastedHeaders::parse(&pasted);
        let found = headers.get("webhook-signature");
        assert_eq!(found.as_ref(), Some(value), "{pasted}");
    }
}

/// Checks that a body can be decoded from hexadecimal, Base64, and a Python literal.
fn check_encodings(body: &[u8]) {
    let bytes = Ok(body.to_vec());
    let hex = hex::encode(body);
    let spaced: Vec<String> = body.iter().map(|byte| format!("{byte:02X}")).collect();
    for pasted in [
        hex.clone(),
        spaced.join(" "),
        spaced.join(":"),
        format!("0x{}", spaced.join(", 0x")),
        format!("<Buffer {}>", spaced.join(" ")),
    ] {
        if !body.is_empty() {
            assert_eq!(decode_body(&pasted, BodyEncoding::Hex), bytes, "{pasted}");
        }
    }
    for pasted in [STANDARD.encode(body), URL_SAFE_NO_PAD.encode(body)] {
        assert_eq!(
            decode_body(&pasted, BodyEncoding::Base64),
            bytes,
            "{pasted}"
        );
    }
    let python: String = body.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let python = format!("b'{python}'");
    assert_eq!(decode_body(&python, BodyEncoding::Text), bytes, "{python}");
}
