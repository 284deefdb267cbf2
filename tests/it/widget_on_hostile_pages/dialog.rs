//! The dialog on pages that change while it is open, and on pages that prevent it from sending.

use serde_json::{Value, json};

use super::site::{Site, type_text};
use crate::support::api::text;
use crate::support::browser::Browser;
use crate::support::browser::shadow::key;
use crate::support::browser::widget::{HOST, THANKS, eval_in_widget, find, wait_for_status};

#[test]
fn follows_attributes_and_language_while_open() {
    let (site, browser) = (Site::start(), Browser::start());
    site.show("<!doctype html><html lang=en><title>A shop</title><body>{{tag}}");
    browser.open(&site.server.url("/"));
    find(&browser, "button", "Feedback").press();
    type_text(&browser, "Half a sen");
    let set = |attributes: Value| {
        browser.script(&format!(
            "Object.assign(document.querySelector('script').dataset, {attributes});"
        ));
    };
    let style = |selector: &str, property: &str| {
        let element = format!("root.querySelector('{selector}')");
        eval_in_widget(&browser, &format!("getComputedStyle({element}).{property}"))
    };
    for (theme, color, position, background, button) in [
        (
            "dark",
            "#ffd400",
            "bottom-left",
            "rgb(28, 28, 26)",
            "rgb(255, 212, 0)",
        ),
        (
            "light",
            "purple",
            "bottom-right",
            "rgb(255, 255, 255)",
            "rgb(128, 0, 128)",
        ),
    ] {
        set(
            json!({"theme": theme, "color": color, "position": position, "label": theme, "userEmail": "sam@example.com"}),
        );
        find(&browser, "dialog", theme);
        assert_eq!(style("dialog", "backgroundColor"), background);
        assert_eq!(style("section button", "backgroundColor"), button);
        let left = eval_in_widget(
            &browser,
            "root.querySelector('dialog').getBoundingClientRect().x < 100",
        );
        assert_eq!(left, position == "bottom-left");
        assert_eq!(
            find(&browser, "textbox", "Email (optional)").value(),
            "sam@example.com"
        );
    }
    browser.script("document.documentElement.lang = 'fr';");
    find(&browser, "button", "Envoyer");
    set(json!({"lang": "de"}));
    find(&browser, "button", "Senden");
    assert_eq!(find(&browser, "textbox", "Nachricht").value(), "Half a sen");
    browser.press_keys(&[key::ESCAPE]);
    find(&browser, "button", "light");
    // The page replaces the tag with a copy that doesn't run.
    browser.script(
        "const tag = document.querySelector('script'), copy = document.createElement('template');
         copy.innerHTML = tag.outerHTML;
         copy.content.firstChild.dataset.label = 'Copied';
         tag.replaceWith(copy.content);
         miniback.open();",
    );
    find(&browser, "dialog", "Copied");
}

#[test]
fn says_that_sending_failed_and_links_to_the_public_form() {
    let (site, browser) = (Site::start(), Browser::start());
    let form = format!("{}/f/shop", site.app.url);
    let failed = format!("Couldn’t send your feedback. Send it here instead: {form}");
    let submit = || {
        browser.open(&site.server.url("/"));
        find(&browser, "button", "Feedback").press();
        find(&browser, "textbox", "Message").fill("Not lost");
        find(&browser, "button", "Send").press();
        wait_for_status(&browser, &failed);
        assert_eq!(
            find(&browser, "link", &form).attribute("target").as_deref(),
            Some("_blank")
        );
        assert_eq!(find(&browser, "textbox", "Message").value(), "Not lost");
    };
    let policy = format!("script-src {}; connect-src 'self'", site.app.url);
    site.show(&format!("<html lang=en><meta http-equiv=Content-Security-Policy content=\"{policy}\"><body>{{{{tag}}}}"));
    submit();
    // The browser stores only the draft, so the widget doesn't try to send the feedback again.
    assert_eq!(
        browser.script("return Object.keys(localStorage).join()"),
        "miniback:shop"
    );

    let no_storage =
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });";
    let offline = "Object.defineProperty(HTMLIFrameElement.prototype, 'contentWindow', { value: null }); window.fetch = async () => { throw new TypeError(); };";
    site.show(&format!(
        "<html lang=en><script>{no_storage}{offline}</script><body>{{{{tag}}}}"
    ));
    submit();
    assert_eq!(site.stored("shop").len(), 0);
    browser.script("fetch = async () => Response.json({ id: 'fb_1' }, { status: 201 });");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
}

#[test]
fn every_press_of_send_shows_a_message() {
    let (site, browser) = (Site::start(), Browser::start());
    site.show("<html lang=en><body><iframe sandbox=allow-scripts src=/framed/sandboxed.html?shop width=900 height=700>");
    browser.open(&site.server.url("/"));
    browser.enter_frame();
    find(&browser, "button", "Feedback").press();
    for (field, value) in [
        ("Message", ""),
        ("Message", "  "),
        ("Email (optional)", "sam@"),
    ] {
        find(&browser, "textbox", field).fill(value);
        find(&browser, "button", "Send").press();
        let reason = eval_in_widget(&browser, "root.querySelector('[role=status]').textContent");
        let expected = eval_in_widget(&browser, "root.activeElement.validationMessage");
        assert_eq!(reason, expected, "{field:?} is {value:?}");
        assert_ne!(reason, "", "{field:?} is {value:?}");
        find(&browser, "textbox", "Message").fill("A message");
    }
    find(&browser, "textbox", "Email (optional)").fill("sam@example.com");
    browser.press_keys(&[key::ENTER]);
    wait_for_status(&browser, THANKS);
    assert_eq!(text(&site.stored("shop")[0], "email"), "sam@example.com");
}

#[test]
fn an_open_dialog_survives_when_the_page_replaces_everything() {
    let (site, browser) = (Site::start(), Browser::start());
    site.show("<!doctype html><html lang=en><title>A shop</title><body>{{tag}}");
    browser.open(&site.server.url("/"));
    find(&browser, "button", "Feedback").press();
    for (text, change) in [
        ("One ", "document.body = document.createElement('body')"),
        (
            "two ",
            &format!("document.querySelector('{HOST}').remove()") as &str,
        ),
        (
            "three",
            "document.replaceChild(document.createElement('html'), document.documentElement)",
        ),
    ] {
        type_text(&browser, text);
        browser.script(change);
        browser.wait_until("the dialog is modal", || {
            let modal = browser.script(&format!(
                "return document.querySelector('{HOST}')?.shadowRoot.activeElement?.matches(':modal textarea')"
            ));
            (modal == true).then_some(())
        });
    }
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    assert_eq!(text(&site.stored("shop")[0], "message"), "One two three");
}

#[test]
fn follows_the_direction_of_the_page() {
    let (site, browser) = (Site::start(), Browser::start());
    for direction in [
        "<body dir=rtl>",
        "<style>body { direction: rtl }</style><body>",
    ] {
        site.show(&format!(
            "<!doctype html><html lang=en>{direction}{{{{tag}}}}"
        ));
        browser.open(&site.server.url("/"));
        find(&browser, "button", "Feedback").press();
        let message_direction = || {
            let message = "getComputedStyle(root.querySelector('textarea')).direction";
            eval_in_widget(&browser, message)
        };
        assert_eq!(message_direction(), "rtl");
        type_text(&browser, "Hello");
        assert_eq!(message_direction(), "ltr");
        browser.press_keys(&[key::BACKSPACE; 5]);
        assert_eq!(message_direction(), "rtl");
        type_text(&browser, "שלום");
        assert_eq!(message_direction(), "rtl");
        let mirrored = eval_in_widget(
            &browser,
            "root.querySelector('header button').getBoundingClientRect().x
                < root.querySelector('h2').getBoundingClientRect().x",
        );
        assert_eq!(mirrored, true);
        find(&browser, "button", "Close").press();
        let x = eval_in_widget(
            &browser,
            "root.querySelector('.launcher').getBoundingClientRect().x",
        );
        assert!(
            x.as_f64().unwrap() > 640.0,
            "the button stays on the right: {x}"
        );
        browser.script("localStorage.clear();");
    }
}
