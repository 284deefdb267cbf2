//! The page of a delivery in the format of a chat service.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};

const LIST: &str = "/settings/notifications";

#[test]
fn a_chat_delivery_shows_its_message_without_signature_parts() {
    let receiver = Receiver::script(|_| Reply::body(403, "invalid_token"));
    let app = App::without_retries();
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = json!({"url": receiver.url("/services/T0"), "format": "slack"});
    let webhook = api.create_webhook_with(webhook);
    api.create_project("Shop");
    api.create_feedback("shop", "<script>alert(1)</script> <!channel> & more");
    api.wait_until_none_pending(&webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["state"], "failed");

    let path = format!("{LIST}/{}", text(&webhook, "id"));
    let page = format!("{path}/deliveries/{}", text(&delivery, "id"));
    let page = admin.get(&page).expect(200);
    let shown = page.text();
    assert!(shown.contains("Format Slack"), "{shown}");
    assert!(
        shown.contains("\"blocks\"") && shown.contains("Raw body"),
        "{shown}"
    );
    assert!(!page.response.text.contains("<script>alert"));
    for hidden in ["signature", "Signature", "webhook-id"] {
        assert!(!shown.contains(hidden), "{hidden}: {shown}");
    }
    // The format of a delivery stays if the format of the webhook changes.
    api.patch_webhook(&webhook, json!({"format": "standard"}));
    let page = format!("{path}/deliveries/{}", text(&delivery, "id"));
    assert!(admin.get(&page).expect(200).text().contains("Format Slack"));
    api.patch_webhook(&webhook, json!({"format": "slack"}));

    // No page suggests that the secret is wrong.
    let guide = format!("/docs/webhooks?webhook={}", text(&webhook, "id"));
    for page in [LIST, &path, &format!("{path}/deliveries"), &guide] {
        let page = admin.get(page).expect(200);
        assert_eq!(page.link("Check a signature"), None);
    }
}
