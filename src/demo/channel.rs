//! A chat channel, as the team would see it: stores the messages that a webhook posts in Slack's
//! format, and shows them on a page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::server::render_page;
use crate::clock::{Clock, Timestamp};

/// The path that messages are posted to.
pub const CHANNEL_PATH: &str = "/services/fernweh";
const MESSAGES_MAX: usize = 100;

/// The messages of the channel; cheap to clone.
#[derive(Clone, Default)]
pub struct Channel(Arc<Mutex<VecDeque<ChannelMessage>>>);

/// A message, with the texts as the chat service would show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChannelMessage {
    /// The time in milliseconds since the Unix epoch, in ISO 8601.
    pub posted_at: String,
    pub title: String,
    pub text: String,
    /// Short lines below the text, such as the status.
    pub notes: Vec<String>,
    /// The URL and the label of the link to the feedback.
    pub link: Option<(String, String)>,
}

impl Channel {
    /// Stores a message. Returns Slack's response: the status and the body.
    pub(super) fn post(&self, body: &[u8], now: Timestamp) -> (StatusCode, &'static str) {
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            return (StatusCode::BAD_REQUEST, "invalid_payload");
        };
        let Some(mut message) = read_blocks(&json) else {
            return (StatusCode::BAD_REQUEST, "no_text");
        };
        message.posted_at = now.to_string();
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push_back(message);
        if messages.len() > MESSAGES_MAX {
            messages.pop_front();
        }
        (StatusCode::OK, "ok")
    }

    /// Returns the messages, newest first.
    fn newest_first(&self) -> Vec<ChannelMessage> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.iter().rev().cloned().collect()
    }
}

/// Reads the texts of a message. Returns `None` if it has no blocks.
fn read_blocks(json: &Value) -> Option<ChannelMessage> {
    let mut message = ChannelMessage::default();
    for block in json["blocks"].as_array()? {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        match block["type"].as_str()? {
            "header" => message.title = unescape(text),
            "section" if block["text"]["type"] == "mrkdwn" => message.link = read_link(text),
            "section" => message.text = unescape(text),
            "context" => {
                let elements = block["elements"].as_array().into_iter().flatten();
                let texts = elements.filter_map(|element| element["text"].as_str());
                message.notes.extend(texts.map(unescape));
            }
            _ => {}
        }
    }
    Some(message)
}

/// Reads a link in the form `<URL|label>`.
fn read_link(text: &str) -> Option<(String, String)> {
    let (url, label) = text.strip_prefix('<')?.strip_suffix('>')?.split_once('|')?;
    Some((unescape(url), unescape(label)))
}

/// Replaces the entities that Slack requires in texts.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[derive(Template)]
#[template(path = "demo/channel.html")]
struct ChannelPage {
    current: &'static str,
    messages: Vec<ChannelMessage>,
}

pub(super) async fn receive_message(channel: web::Data<Channel>, body: web::Bytes) -> HttpResponse {
    let (status, text) = channel.post(&body, Clock::system().now());
    HttpResponse::build(status).body(text)
}

pub(super) async fn show_page(channel: web::Data<Channel>) -> HttpResponse {
    let page = ChannelPage {
        current: "channel",
        messages: channel.newest_first(),
    };
    render_page(StatusCode::OK, &page)
}
