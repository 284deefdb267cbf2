//! Tests of the chat channel: the messages on its page, and the responses to wrong requests.

use serde_json::json;

use super::{SECRET, bind_listener, get, http_client};
use crate::demo::channel::{CHANNEL_PATH, Channel};
use crate::demo::mailbox::Mailbox;
use crate::demo::{DemoServer, receiver};

fn start_receiver() -> DemoServer {
    let site = "http://127.0.0.1:4999";
    let (channel, mailbox) = (Channel::default(), Mailbox::default());
    receiver::start(bind_listener(), SECRET.to_owned(), channel, mailbox, site).unwrap()
}

async fn post(receiver: &DemoServer, body: String) -> (u16, String) {
    let url = format!("{}{CHANNEL_PATH}", receiver.url);
    let mut response = http_client().post(url).send_body(body).await.unwrap();
    let text = response.body().await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    (response.status().as_u16(), text)
}

#[actix_web::test]
async fn shows_a_message_as_text_and_links_to_the_feedback() {
    let receiver = start_receiver();
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let link = "<http://127.0.0.1:8080/feedback/fb_1?a=1&amp;b=2|Open in Miniback>";
    let blocks = json!([
        {"type": "header", "text": plain("New feedback in A &amp; B")},
        {"type": "section", "text": plain("The &lt;b&gt; tag &amp;lt; is <i>shown</i>")},
        {"type": "context", "elements": [plain("Status: New")]},
        {"type": "section", "text": {"type": "mrkdwn", "text": link}},
    ]);
    let body = json!({"text": "New feedback", "blocks": blocks});
    let posted = post(&receiver, body.to_string()).await;
    assert_eq!(posted, (200, "ok".to_owned()));
    let page = get(format!("{}/channel", receiver.url)).await.text;
    for expected in [
        "New feedback in A &#38; B",
        "The &#60;b&#62; tag &#38;lt; is &#60;i&#62;shown&#60;/i&#62;",
        "Status: New",
        "href=\"http://127.0.0.1:8080/feedback/fb_1?a=1&#38;b=2\"",
        "data-refresh=\"1\"",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn rejects_what_the_chat_service_rejects() {
    let receiver = start_receiver();
    let wrong = |text: &str| (400, text.to_owned());
    assert_eq!(
        post(&receiver, "text".into()).await,
        wrong("invalid_payload")
    );
    assert_eq!(post(&receiver, "{}".into()).await, wrong("no_text"));
    let page = get(format!("{}/channel", receiver.url)).await.text;
    assert!(page.contains("No messages yet"), "{page}");
    receiver.stop().await.unwrap();
}
