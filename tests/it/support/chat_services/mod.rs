//! Strict stubs of chat services. A stub rejects what the service rejects, with the service's
//! error, and reports how the service shows a message: its texts, links, mentions, and formatted
//! texts.
//!
//! A stub assumes the worst if the documentation is silent: a text that could be markup is markup.

mod discord;
mod google_chat;
mod markup;
mod mattermost;
mod ntfy;
mod slack;
mod teams;

use miniback::domain::format::Format;
use miniback::domain::webhook_url::WebhookUrl;
use miniback::formats::add_ntfy_topic;
use serde_json::Value;

use super::receiver::{Receiver, Reply};

/// A message as the service shows it.
#[derive(Debug, Default)]
pub struct Shown {
    /// The texts that a person reads, without markup.
    pub texts: Vec<String>,
    /// The URLs that a person can open with one click.
    pub links: Vec<String>,
    pub mentions: Vec<String>,
    /// The texts that look different from the text around them, for example bold text.
    pub formatted: Vec<String>,
    /// Whether the service adds previews of linked pages.
    pub has_previews: bool,
}

/// The error response of a service.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub status: u16,
    pub body: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Rejection {
    fn new(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            body: body.to_string(),
            headers: Vec::new(),
        }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The chat formats.
pub const CHAT_FORMATS: [Format; 6] = [
    Format::Slack,
    Format::Discord,
    Format::Teams,
    Format::GoogleChat,
    Format::Mattermost,
    Format::Ntfy,
];

/// Texts that contain the markup, links, and mentions of all services.
pub const HOSTILE_TEXTS: &[&str] = &[
    "*bold* **bold** _italic_ __underline__ ~strike~ ~~strike~~ ||spoiler||",
    "`code` and ```\ncode\n```",
    r"\*escaped\* \[a](https://evil.example) \) \\ C:\dir",
    "[link](https://evil.example) <https://evil.example|link> <a href=\"https://evil.example\">link</a>",
    "https://evil.example/a?b=1 HTTP://EVIL.EXAMPLE www.evil.example evil.example/path sam@evil.example",
    "@everyone @here @channel @all @sam",
    "<!channel> <!here|here> <@U012AB3CD> <#C123> <@&165> </cmd:1> <t:1618953630:R> <id:home>",
    "<users/all> <users/123> <at>Sam</at>",
    ":smile: :) :d ;) ;d <3 x-d",
    "# Heading\n## Heading\n-# subtext\n#hashtag ~channel",
    "> quote\n>>> quote",
    "- item\n* item\n+ item\n1. item\n2) item",
    "heading\n===\nheading\n---\n***",
    "a | b\n--- | ---\nc | d",
    "text\n\n    code\n\tcode\n\u{a0}\u{a0}\u{a0}\u{a0}code",
    "<b>bold</b> <img src=x onerror=alert(1)> &lt;b&gt; &amp; &#42; &copy;",
    "$x^2$ {{DATE(2017-02-14T06:00:00Z, SHORT)}} {{TIME(2017-02-14T06:00:00Z)}} {{{DATE(x)}}}",
    "line\u{2424}# heading",
    "\u{202e}right to left\u{202c} e\u{301} 👩\u{200d}💻 \u{1}\u{7f}",
    "1 < 2 && 3 > 2",
];

/// Posts a body to a service. Returns how the service shows the message, or its error.
pub fn post(format: Format, body: &[u8]) -> Result<Shown, Rejection> {
    let json = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    match format {
        Format::Slack => slack::post(&json),
        Format::Discord => discord::post(&json),
        Format::Teams => teams::post(&json, body.len()),
        Format::GoogleChat => google_chat::post(&json, body.len()),
        Format::Mattermost => mattermost::post(&json),
        Format::Ntfy => ntfy::post(&json),
        Format::Standard | Format::Email => panic!("{format:?} isn't a chat format"),
    }
}

/// Adds the topic to a message for ntfy, as Miniback does when it stores the body.
pub fn with_ntfy_topic(format: Format, body: &[u8]) -> Vec<u8> {
    let url = WebhookUrl::parse("https://chat.example.com/alerts").expect("parse the URL");
    add_ntfy_topic(format, &url, body.to_vec())
}

/// Returns the errors of a service that don't depend on the message.
pub fn rejections(format: Format) -> Vec<Rejection> {
    match format {
        Format::Slack => slack::rejections(),
        Format::Discord => discord::rejections(),
        Format::Teams => teams::rejections(),
        Format::GoogleChat => google_chat::rejections(),
        Format::Mattermost => mattermost::rejections(),
        Format::Ntfy => ntfy::rejections(),
        Format::Standard | Format::Email => Vec::new(),
    }
}

/// Starts a receiver that behaves like the service.
pub fn receiver(format: Format) -> Receiver {
    Receiver::script(move |request| {
        let content_type = request.header("Content-Type");
        assert!(
            content_type.starts_with("application/json"),
            "{content_type}"
        );
        match post(format, &request.body) {
            Ok(_) => Reply::body(200, "ok"),
            Err(rejection) => reply(&rejection),
        }
    })
}

/// Returns the error as a response.
pub fn reply(rejection: &Rejection) -> Reply {
    let reply = Reply::body(rejection.status, &rejection.body);
    let headers = rejection.headers.iter();
    headers.fold(reply, |reply, (name, value)| reply.header(name, value))
}

/// Returns the name of a member that the service doesn't know.
fn unknown_member(object: &Value, known: &[&str]) -> Option<String> {
    let members = object.as_object()?.keys();
    members
        .map(String::as_str)
        .find(|name| !known.contains(name))
        .map(str::to_owned)
}

/// Returns the items of an array; none if the value isn't an array.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns the number of UTF-16 code units.
fn characters(value: &Value) -> usize {
    value.as_str().unwrap_or_default().encode_utf16().count()
}
