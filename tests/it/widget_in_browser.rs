//! The widget in a real browser, on a page of another origin. The page's Content Security Policy
//! allows only Miniback's script and requests.

mod result;

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::shadow::key;
use crate::support::browser::widget::{HOST, THANKS, eval_in_widget, find, wait_for_status};
use crate::support::browser::{Browser, BrowserOptions};
use crate::support::receiver::{Receiver, Reply};

/// A website with the widget, and the site's own instance of the program.
struct Site {
    app: App,
    api: Api,
    server: Receiver,
}

impl Site {
    /// Creates a site. `attributes` are added to the script tag, and `body` to the page.
    fn with(attributes: &str, body: &str) -> Self {
        let app = App::start();
        let api = app.api();
        api.create_project("Shop");
        let server = Receiver::ok();
        let site = Self { app, api, server };
        site.show("<html lang=\"en\">", attributes, body);
        site
    }

    /// Replaces the site's page.
    fn show(&self, html: &str, attributes: &str, body: &str) {
        let host = &self.app.url;
        let page = format!(
            "<!doctype html>{html}<title>A shop</title><meta name=viewport content=\"width=device-width\"><body>\
             {body}<script src=\"{host}/widget.js\" data-project=\"shop\" {attributes} defer></script>"
        );
        let policy = format!(
            "default-src 'none'; script-src {host}; connect-src {host}; require-trusted-types-for 'script'"
        );
        self.server.set_script(move |_| {
            Reply::body(200, &page)
                .header("Content-Type", "text/html; charset=utf-8")
                .header("Content-Security-Policy", &policy)
        });
    }

    fn url(&self) -> String {
        self.server.url("/cart?x=1")
    }

    fn stored(&self) -> Vec<Value> {
        let listed = self.api.get("/api/v1/feedback").expect(200).json();
        listed["data"].as_array().unwrap().clone()
    }
}

/// Opens the page and presses the widget's button.
fn open_widget(browser: &Browser, site: &Site) {
    browser.open(&site.url());
    find(browser, "button", "Feedback").press();
    find(browser, "dialog", "Feedback");
}

#[test]
fn needs_two_requests_and_no_cookie_under_a_strict_csp() {
    let (site, browser) = (
        Site::with("data-user-email=sam@example.com", ""),
        Browser::start(),
    );
    open_widget(&browser, &site);
    // The dialog shows the email and the page URL that are sent with the message.
    assert_eq!(
        find(&browser, "textbox", "Email (optional)").value(),
        "sam@example.com"
    );
    let page = eval_in_widget(&browser, "root.getElementById('c').textContent");
    assert!(page.as_str().unwrap().contains(&site.url()), "{page}");
    find(&browser, "textbox", "Message").fill("The checkout works well");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    assert_eq!(
        eval_in_widget(&browser, "root.activeElement.ariaLabel"),
        "Close"
    );
    find(&browser, "button", "Close").press();

    let stored = site.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(text(&stored[0], "message"), "The checkout works well");
    assert_eq!(text(&stored[0], "email"), "sam@example.com");
    assert_eq!(text(&stored[0], "url"), site.url());
    let requests = eval_in_widget(
        &browser,
        "[window, root.querySelector('iframe').contentWindow]
            .flatMap(({ performance }) => performance.getEntriesByType('resource'))
            .map((entry) => entry.name)",
    );
    let expected = ["widget.js", "api/feedback"].map(|path| format!("{}/{path}", site.app.url));
    assert_eq!(requests, json!(expected));
    assert_eq!(browser.script("return document.cookie"), "");
    assert_eq!(browser.script("return localStorage.length"), 0);
    // The styles apply despite the page's policy: the button is in the corner.
    assert_eq!(
        eval_in_widget(
            &browser,
            "getComputedStyle(root.querySelector('button')).position"
        ),
        "fixed"
    );
}

#[test]
fn works_with_the_keyboard_and_returns_the_focus() {
    let body = "<a href=#before id=before>Before</a>";
    let (site, browser) = (Site::with("", body), Browser::start());
    browser.open(&site.url());
    find(&browser, "button", "Feedback");
    // The page has a key handler. It must not receive keys that are pressed in the dialog.
    browser
        .script("window.keys = []; addEventListener('keydown', (event) => keys.push(event.key));");
    browser.press_keys(&[key::TAB, key::TAB, key::ENTER]);
    find(&browser, "dialog", "Feedback");
    assert_eq!(
        eval_in_widget(&browser, "root.activeElement.tagName"),
        "TEXTAREA"
    );
    browser.press_keys(&['j', 'k']);
    for _ in 0..12 {
        browser.press_keys(&[key::TAB]);
        assert_ne!(browser.script("return document.activeElement.id"), "before");
    }
    browser.press_keys(&[key::ESCAPE]);
    browser.wait_until("the dialog is closed", || {
        let open = eval_in_widget(&browser, "root.querySelector('dialog').open");
        (open == false).then_some(())
    });
    browser.wait_until("the button has focus", || {
        let focus = eval_in_widget(&browser, "root.activeElement?.textContent");
        (focus == "Feedback").then_some(())
    });
    let keys = "return window.keys.filter((key) => key != 'Tab').join()";
    assert_eq!(browser.script(keys), "Enter");

    browser.press_keys(&[key::ENTER]);
    assert_eq!(find(&browser, "textbox", "Message").value(), "jk");
    browser.press_with(key::CONTROL, key::ENTER);
    wait_for_status(&browser, THANKS);
    browser.press_keys(&[key::ENTER]);
    assert_eq!(
        eval_in_widget(&browser, "root.querySelector('dialog').open"),
        false
    );
    assert_eq!(site.stored().len(), 1);
}

#[test]
fn opens_above_a_modal_by_link_and_by_javascript() {
    let body = "<dialog id=own><a href=#elsewhere data-miniback-open><b>Tell us</b></a></dialog>";
    let (site, browser) = (
        Site::with("data-position=bottom-left data-label=\"Say it\"", body),
        Browser::start(),
    );
    browser.open(&site.url());
    find(&browser, "button", "Say it");
    browser.script("document.getElementById('own').showModal();");
    browser.find("link", "Tell us").press();
    find(&browser, "dialog", "Say it");
    find(&browser, "textbox", "Message").fill("Sent from a modal");
    let on_top = browser.script(&format!(
        "const root = document.querySelector('{HOST}').shadowRoot;
         const box = root.querySelector('dialog').getBoundingClientRect();
         return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).localName;"
    ));
    assert_eq!(on_top, HOST);
    browser.press_keys(&[key::ESCAPE]);
    browser.wait_until("the focus returns to the page's modal", || {
        let focus = browser.script("return document.activeElement.textContent");
        (focus == "Tell us").then_some(())
    });
    assert_eq!(
        browser.script("return document.getElementById('own').open"),
        true
    );
    assert_eq!(browser.script("return location.hash"), "");

    browser.script("document.getElementById('own').close(); miniback.open(); miniback.open();");
    assert_eq!(
        find(&browser, "textbox", "Message").value(),
        "Sent from a modal"
    );
    let remaining = eval_in_widget(
        &browser,
        "root.querySelector('dialog').getBoundingClientRect().left",
    );
    assert!(remaining.as_f64().unwrap() < 100.0, "{remaining}");
}

#[test]
fn a_draft_survives_a_reload_and_is_deleted_after_sending() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    open_widget(&browser, &site);
    find(&browser, "textbox", "Message").fill("An unfinished mess");
    find(&browser, "textbox", "Email (optional)").fill("sam@example.com");
    find(&browser, "button", "Close").press();
    find(&browser, "button", "Feedback").press();
    assert_eq!(
        find(&browser, "textbox", "Message").value(),
        "An unfinished mess"
    );
    browser.reload();
    find(&browser, "button", "Feedback").press();
    assert_eq!(
        find(&browser, "textbox", "Message").value(),
        "An unfinished mess"
    );
    assert_eq!(
        find(&browser, "textbox", "Email (optional)").value(),
        "sam@example.com"
    );
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    browser.reload();
    find(&browser, "button", "Feedback").press();
    assert_eq!(find(&browser, "textbox", "Message").value(), "");
}

#[test]
fn sends_offline_feedback_once_when_online_again() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    let saved_for_later = "Couldn’t send your feedback. It will be sent automatically.";
    let submit_offline = |message: &str| {
        find(&browser, "button", "Feedback").press();
        find(&browser, "textbox", "Message").fill(message);
        find(&browser, "button", "Send").press();
        wait_for_status(&browser, saved_for_later);
        find(&browser, "button", "Close").press();
    };
    let wait_for_stored = |count: usize| {
        browser.wait_until(&format!("{count} feedback items are stored"), || {
            (site.stored().len() == count).then_some(())
        });
    };
    browser.open(&site.url());
    find(&browser, "button", "Feedback");
    browser.set_offline(true);
    submit_offline("In a tunnel");
    browser.set_offline(false);
    wait_for_stored(1);
    // Leave the page while offline: the feedback is sent when the page is opened again.
    browser.set_offline(true);
    submit_offline("On a ferry");
    browser.open("about:blank");
    browser.set_offline(false);
    browser.open(&site.url());
    wait_for_stored(2);
    browser.wait_until("no unsent feedback is left", || {
        let remaining = browser.script("return localStorage.length");
        (remaining == 0).then_some(())
    });
    browser.reload();
    find(&browser, "button", "Feedback").press();
    find(&browser, "textbox", "Message").fill("Online");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    wait_for_stored(3);
}

#[test]
fn shows_why_feedback_was_rejected_and_keeps_the_message() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    let set = |change: Value| site.api.patch("/api/v1/projects/shop", change).expect(200);
    set(json!({"status": "PAUSED"}));
    open_widget(&browser, &site);
    find(&browser, "textbox", "Message").fill("Are you there?");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, "This project isn’t accepting feedback right now.");
    set(json!({"status": "ACTIVE", "allowedOrigins": ["https://shop.example"]}));
    find(&browser, "button", "Send").press();
    let origin = format!("http://{}", site.server.address());
    wait_for_status(
        &browser,
        &format!(
            "Couldn’t send your feedback. {origin} isn’t an allowed origin of this project. Allow it in the project’s settings. Send it here instead: {}/f/shop",
            site.app.url
        ),
    );
    set(json!({"allowedOrigins": [origin]}));
    assert_eq!(
        find(&browser, "textbox", "Message").value(),
        "Are you there?"
    );
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    assert_eq!(site.stored().len(), 1);
}

#[test]
fn uses_custom_text_and_the_language_of_the_tag_or_the_page() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    for (html, attributes, button, send) in [
        ("<html lang=de-AT>", "", "Feedback", "Senden"),
        ("<html lang=de>", "data-lang=fr", "Votre avis", "Envoyer"),
        ("<html lang=es>", "", "Comentarios", "Enviar"),
        ("<html>", "data-lang=pt-BR", "Comentários", "Enviar"),
        ("<html lang=ja>", "data-label=ご意見", "ご意見", "送信"),
        (
            "<html lang=nl>",
            "data-send=Verstuur",
            "Feedback",
            "Verstuur",
        ),
    ] {
        site.show(html, attributes, "");
        browser.open(&site.url());
        find(&browser, "button", button).press();
        find(&browser, "dialog", button);
        find(&browser, "button", send);
    }
}

#[test]
fn adapts_to_small_dark_and_right_to_left_pages_and_colors() {
    let site = Site::with("", "");
    let browser = Browser::with_options(BrowserOptions {
        width: 360,
        height: 640,
        ..BrowserOptions::default()
    });
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.devtools("Emulation.setEmulatedMedia", dark);
    for (color, text) in [
        ("", "rgb(255, 255, 255)"),
        ("#ffd400", "rgb(0, 0, 0)"),
        ("rebeccapurple", "rgb(255, 255, 255)"),
        ("not-a-color", "rgb(255, 255, 255)"),
    ] {
        site.show(
            "<html dir=rtl lang=ar>",
            &format!("data-color=\"{color}\""),
            "",
        );
        open_widget(&browser, &site);
        let style = |property: &str, selector: &str| {
            eval_in_widget(
                &browser,
                &format!("getComputedStyle(root.querySelector('{selector}')).{property}"),
            )
        };
        assert_eq!(style("color", "section button"), text, "{color}");
        assert_eq!(style("backgroundColor", "dialog"), "rgb(28, 28, 26)");
        assert_eq!(style("direction", "section"), "rtl");
        let fits = eval_in_widget(
            &browser,
            "[...root.querySelectorAll('*')].every((element) => {
                const box = element.getBoundingClientRect();
                return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
            })",
        );
        assert_eq!(fits, true);
        assert_eq!(
            browser.script("return document.documentElement.scrollWidth"),
            360
        );
    }
}
