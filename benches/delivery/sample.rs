//! Sample feedback and sample deliveries. A message depends only on its index. Messages contain
//! different words, so that a search can find some of them.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use miniback::clock::Timestamp;
use miniback::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use miniback::domain::format::Format;
use miniback::domain::id::{FeedbackId, Id, ProjectId};
use miniback::domain::request_headers::{LoggedHeaders, LoggedRequestHeaders, RequestSignatures};
use miniback::formats::{self, Event, EventContent};
use sha2::Sha256;

/// The maximum length of a message in bytes. With this length, the body of an event has about 450
/// bytes.
const MESSAGE_LEN: usize = 173;

/// A word in only one message, which has the index [`RARE_INDEX`].
pub const RARE_WORD: &str = "quetzal";
/// A word in many messages.
pub const COMMON_WORD: &str = "button";
/// A word that isn't in any message.
pub const ABSENT_WORD: &str = "zeppelin";
const RARE_INDEX: usize = 1234;

/// The secret for requests that the benchmark signs itself.
pub const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const WORDS: [&str; 32] = [
    "the", "page", "does", "not", "load", "on", "my", "phone", "button", "nothing", "happens",
    "when", "I", "press", "send", "search", "finds", "old", "orders", "invoice", "is", "missing",
    "a", "line", "please", "add", "dark", "mode", "for", "night", "shift", "thanks",
];

/// Returns an ASCII message that needs no escaping in JSON or HTML.
pub fn message(index: usize) -> String {
    let mut text = String::with_capacity(MESSAGE_LEN + 16);
    // Writing to a string can't fail.
    let _ = write!(text, "No. {index}:");
    if index == RARE_INDEX {
        let _ = write!(text, " {RARE_WORD}");
    }
    let mut state = index as u64;
    while text.len() < MESSAGE_LEN {
        // Use SplitMix64, so that messages with consecutive indexes contain different words.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        text.push(' ');
        text.push_str(WORDS[(mixed >> 59) as usize]);
    }
    text.truncate(MESSAGE_LEN);
    text.truncate(text.trim_end().len());
    text
}

/// Returns a project that doesn't exist in the database.
pub fn project() -> ProjectSummary {
    ProjectSummary {
        id: ProjectId::parse_or_nil("prj_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        name: "Website".into(),
        slug: "website".into(),
    }
}

/// Returns new feedback with the message of `index`.
pub fn feedback(
    index: usize,
    id: FeedbackId,
    project: ProjectSummary,
    created_at: Timestamp,
) -> Feedback {
    Feedback {
        id,
        project,
        message: message(index),
        status: FeedbackStatus::New,
        created_at,
        email: None,
        url: None,
        metadata: None,
    }
}

/// Returns the body of a `feedback.created` event, as Miniback sends it.
pub fn event_body() -> String {
    let id = FeedbackId::parse_or_nil("fb_01K8X2Y3Z4A5B6C7D8E9F0G1H2");
    let created_at = Timestamp::from_millis(1_735_689_600_000);
    let body = created_body(&feedback(0, id, project(), created_at));
    String::from_utf8_lossy(&body).into_owned()
}

/// Returns the body of the `feedback.created` event of this feedback.
pub fn created_body(feedback: &Feedback) -> Vec<u8> {
    let content = EventContent {
        event: Event::Created(feedback),
        at: feedback.created_at,
        link: None,
    };
    formats::render(Format::Standard, false, &content)
}

/// Returns the headers of a delivery with this body. Only `X-Miniback-Signature` is valid for the
/// body, with [`SECRET`] as the key.
pub fn delivery_headers(body: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = [
        ("Content-Type", "application/json"),
        ("User-Agent", "Miniback-Webhook/1.0"),
        ("X-Miniback-Event", "feedback.created"),
        ("X-Miniback-Delivery", "dlv_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        ("X-Miniback-Timestamp", "2025-10-31T12:34:56.789Z"),
        ("webhook-id", "dlv_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        ("webhook-timestamp", "1761914096"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let signature = hex_signature(SECRET, body.as_bytes());
    headers.push(("X-Miniback-Signature".into(), signature));
    headers
}

/// Returns the data that the delivery log stores about the headers of a delivery.
pub fn logged_headers() -> LoggedHeaders {
    let headers = delivery_headers(&event_body());
    let value = |name: &str| {
        let found = headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    LoggedHeaders::Request(LoggedRequestHeaders {
        host: "127.0.0.1:8080".to_owned(),
        signatures: Some(RequestSignatures {
            current: value("X-Miniback-Signature").unwrap_or_default(),
            next: None,
            standard: value("webhook-signature"),
        }),
        custom: Vec::new(),
    })
}

/// Computes the hexadecimal HMAC-SHA256 of a body independently of the program's code.
pub fn hex_signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
