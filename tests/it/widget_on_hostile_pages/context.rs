//! The context that the widget sends, and shows before it sends it.

use serde_json::{Value, json};

use super::site::{Site, type_text};
use crate::support::browser::Browser;
use crate::support::browser::widget::{THANKS, eval_in_widget, find, wait_for_status};

/// The members that the dialog shows without a label.
const FACTS: [&str; 4] = ["browser", "system", "window", "language"];

/// Returns the texts that the open dialog shows as sent.
fn shown(browser: &Browser) -> Value {
    let texts = "[...root.querySelectorAll('#c bdi')].map((text) => text.textContent)";
    eval_in_widget(browser, texts)
}

/// Presses "Send" and returns the stored page URL and metadata as the dialog shows them, and the
/// metadata.
fn send(site: &Site, browser: &Browser, count: usize) -> (Value, Value) {
    type_text(browser, "Hello");
    find(browser, "button", "Send").press();
    wait_for_status(browser, THANKS);
    let stored = site.stored("shop");
    assert_eq!(stored.len(), count);
    let metadata = stored[0]["metadata"].clone();
    let mut texts = vec![stored[0]["url"].clone()];
    texts.extend(metadata.as_object().unwrap().iter().map(|(name, value)| {
        let value = value.as_str().expect("every value is a text");
        match FACTS.contains(&name.as_str()) {
            true => json!(value),
            false => json!(format!("{name}: {value}")),
        }
    }));
    (Value::from(texts), metadata)
}

#[test]
fn the_dialog_shows_exactly_what_is_stored() {
    let (site, browser) = (Site::start(), Browser::start());
    let agent = "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0";
    let override_ = json!({"userAgent": agent, "acceptLanguage": "de-DE"});
    browser.devtools("Emulation.setUserAgentOverride", override_);
    let tag = format!(
        "<script src=\"{}/widget.js\" data-project=shop data-context-plan=pro
            data-context-user_id=17 data-context-markup=\"<b onclick=x>&amp;amp;</b>\"
            data-context-empty=\"\" data-context-bad.name=x defer></script>",
        site.app.url
    );
    site.show(&format!(
        "<!doctype html><html lang=en><script>miniback = {{ context: {{ early: true }} }};</script><body>{tag}"
    ));
    browser.open(&site.server.url("/"));
    find(&browser, "button", "Feedback");
    browser.script("miniback.context({ plan: 'team', 'not valid': 1, list: [1], none: null });");
    find(&browser, "button", "Feedback").press();
    find(&browser, "dialog", "Feedback");
    // Changes are shown while the dialog is open.
    browser.script(
        "miniback.context({ late: 'ü 👋', __proto__: { inherited: 1 }, browser: 'mine' });
         document.querySelector('script[data-project]').dataset.contextCart = '3 items';",
    );
    browser.wait_until("the attribute is shown", || {
        let texts = shown(&browser);
        texts
            .as_array()?
            .contains(&json!("cart: 3 items"))
            .then_some(())
    });
    let texts = shown(&browser);
    let (stored, metadata) = send(&site, &browser, 1);
    assert_eq!(texts, stored);
    let window = browser.script("return `${innerWidth} × ${innerHeight}`");
    assert_eq!(
        metadata,
        json!({
            "browser": "Firefox 131", "system": "Android", "window": window, "language": "de-DE",
            "early": "true", "plan": "team", "late": "ü 👋", "user_id": "17",
            "markup": "<b onclick=x>&amp;</b>", "cart": "3 items",
        })
    );
    let text = eval_in_widget(&browser, "root.getElementById('c').textContent");
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("Sent with your message: http"),
        "{text}"
    );
}

#[test]
fn feedback_with_too_much_context_is_sent_without_the_rest() {
    let (site, browser) = (Site::start(), Browser::start());
    site.show("<!doctype html><html lang=en><body>{{tag}}");
    browser.open(&site.server.url("/"));
    find(&browser, "button", "Feedback").press();
    browser.script(
        "const fields = { half: '👋'.slice(0, 1), long: 'x'.repeat(201), emoji: '👋'.repeat(200) };
         for (let number = 0; number < 60; number++) fields[`n${number}`] = '\"<\\u0001ü'.repeat(25);
         fields.last = 'fits';
         miniback.context(fields);
         miniback.context(null);
         miniback.context();",
    );
    let texts = shown(&browser);
    let (stored, metadata) = send(&site, &browser, 1);
    assert_eq!(texts, stored);
    assert_eq!(metadata["emoji"], "👋".repeat(200));
    assert_eq!(metadata["last"], "fits");
    assert_eq!(metadata.get("half").or_else(|| metadata.get("long")), None);
    let size = metadata.to_string().len();
    assert!((3_600..=4_096).contains(&size), "{size}");
}

#[test]
fn a_page_without_a_web_url_and_an_unknown_browser_sends_the_rest() {
    let (site, browser) = (Site::start(), Browser::start());
    let unknown = json!({"userAgent": "Mozilla/5.0 (Unknown)", "acceptLanguage": "ja"});
    browser.devtools("Emulation.setUserAgentOverride", unknown);
    site.show(
        "<html lang=ja><body><iframe sandbox=allow-scripts width=900 height=700 srcdoc='{{tag}}'>",
    );
    browser.open(&site.server.url("/"));
    browser.enter_frame();
    find(&browser, "button", "Feedback").press();
    let texts = shown(&browser);
    type_text(&browser, "Hello");
    find(&browser, "button", "Send").press();
    browser.wait_until("the feedback is stored", || {
        (site.stored("shop").len() == 1).then_some(())
    });
    let stored = &site.stored("shop")[0];
    assert_eq!(stored["url"], Value::Null);
    let metadata = &stored["metadata"];
    assert_eq!(texts, json!([metadata["window"], metadata["language"]]));
    assert_eq!(metadata.as_object().unwrap().len(), 2, "{metadata}");
}
