//! The widget in a real browser, on a page of another origin that allows nothing but Miniback's
//! script and its calls.

use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::browser::shadow::key;
use crate::support::browser::{Browser, BrowserOptions, PageElement};
use crate::support::receiver::{Receiver, Reply};

const HOST: &str = "miniback-widget";
const THANKS: &str = "Thank you. We got your feedback.";

/// Somebody else's site, with the widget of a program of its own.
struct Site {
    app: App,
    api: Api,
    server: Receiver,
}

impl Site {
    /// `attributes` of the script tag, and what stands in the page's body beside it.
    fn with(attributes: &str, body: &str) -> Self {
        let app = App::start();
        let api = app.api();
        api.create_project("Shop");
        let server = Receiver::ok();
        let site = Self { app, api, server };
        site.show("<html lang=\"en\">", attributes, body);
        site
    }

    /// Has another page from now on.
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

fn find<'a>(browser: &'a Browser, role: &str, name: &str) -> PageElement<'a> {
    browser.find_in_shadow(HOST, role, name)
}

/// What an expression in the widget's shadow root comes to; `root` is that.
#[track_caller]
fn look(browser: &Browser, expression: &str) -> Value {
    browser.script(&format!(
        "const root = document.querySelector('{HOST}').shadowRoot; return {expression};"
    ))
}

#[track_caller]
fn wait_for_status(browser: &Browser, status: &str) {
    browser.wait_until(&format!("the status is {status:?}"), || {
        let said = look(browser, "root.querySelector('[role=status]').textContent");
        (said == status).then_some(())
    });
}

/// Opens the dialog by its button.
fn opened(browser: &Browser, site: &Site) {
    browser.open(&site.url());
    find(browser, "button", "Feedback").press();
    find(browser, "dialog", "Feedback");
}

#[test]
fn it_sends_from_a_strict_page_of_another_origin_with_two_requests_and_no_cookie() {
    let (site, browser) = (
        Site::with("data-user-email=sam@example.com", ""),
        Browser::start(),
    );
    opened(&browser, &site);
    // What goes along is to be seen.
    assert_eq!(
        find(&browser, "textbox", "Email (optional)").value(),
        "sam@example.com"
    );
    let page = look(&browser, "root.querySelector('.page').textContent");
    assert!(page.as_str().unwrap().contains(&site.url()), "{page}");
    find(&browser, "textbox", "Message").fill("It works");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    assert_eq!(look(&browser, "root.activeElement.ariaLabel"), "Close");
    find(&browser, "button", "Close").press();

    let stored = site.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(text(&stored[0], "message"), "It works");
    assert_eq!(text(&stored[0], "email"), "sam@example.com");
    assert_eq!(text(&stored[0], "url"), site.url());
    let requests =
        browser.script("return performance.getEntriesByType('resource').map((one) => one.name)");
    let expected = ["widget.js", "api/feedback"].map(|path| format!("{}/{path}", site.app.url));
    assert_eq!(requests, json!(expected));
    assert_eq!(browser.script("return document.cookie"), "");
    assert_eq!(browser.script("return localStorage.length"), 0);
    // The style is in force: the button stands in the corner, and the page's policy has let it.
    assert_eq!(
        look(
            &browser,
            "getComputedStyle(root.querySelector('button')).position"
        ),
        "fixed"
    );
}

#[test]
fn by_keyboard_alone_it_opens_keeps_the_focus_sends_closes_and_gives_the_focus_back() {
    let body = "<a href=#before id=before>Before</a>";
    let (site, browser) = (Site::with("", body), Browser::start());
    browser.open(&site.url());
    find(&browser, "button", "Feedback");
    // The page has keys of its own, which are none of the dialog's business.
    browser.script(
        "window.heard = []; addEventListener('keydown', (event) => heard.push(event.key));",
    );
    browser.press_keys(&[key::TAB, key::TAB, key::ENTER]);
    find(&browser, "dialog", "Feedback");
    assert_eq!(look(&browser, "root.activeElement.tagName"), "TEXTAREA");
    browser.press_keys(&['j', 'k']);
    for _ in 0..12 {
        browser.press_keys(&[key::TAB]);
        assert_ne!(browser.script("return document.activeElement.id"), "before");
    }
    browser.press_keys(&[key::ESCAPE]);
    browser.wait_until("the dialog is closed", || {
        let open = look(&browser, "root.querySelector('dialog').open");
        (open == false).then_some(())
    });
    browser.wait_until("the button has the focus", || {
        let focus = look(&browser, "root.activeElement?.textContent");
        (focus == "Feedback").then_some(())
    });
    let heard = "return window.heard.filter((key) => key != 'Tab').join()";
    assert_eq!(browser.script(heard), "Enter");

    browser.press_keys(&[key::ENTER]);
    assert_eq!(find(&browser, "textbox", "Message").value(), "jk");
    browser.press_with(key::CONTROL, key::ENTER);
    wait_for_status(&browser, THANKS);
    browser.press_keys(&[key::ENTER]);
    assert_eq!(look(&browser, "root.querySelector('dialog').open"), false);
    assert_eq!(site.stored().len(), 1);
}

#[test]
fn it_opens_above_a_modal_of_the_page_from_a_link_and_from_a_call() {
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
    find(&browser, "textbox", "Message").fill("From above");
    let on_top = browser.script(&format!(
        "const box = document.querySelector('{HOST}').shadowRoot.querySelector('dialog').getBoundingClientRect();
         return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).localName;"
    ));
    assert_eq!(on_top, HOST);
    browser.press_keys(&[key::ESCAPE]);
    browser.wait_until("the focus is given back to the page's modal", || {
        let focus = browser.script("return document.activeElement.textContent");
        (focus == "Tell us").then_some(())
    });
    assert_eq!(
        browser.script("return document.getElementById('own').open"),
        true
    );
    assert_eq!(browser.script("return location.hash"), "");

    browser.script("document.getElementById('own').close(); miniback.open(); miniback.open();");
    assert_eq!(find(&browser, "textbox", "Message").value(), "From above");
    let left = look(
        &browser,
        "root.querySelector('dialog').getBoundingClientRect().left",
    );
    assert!(left.as_f64().unwrap() < 100.0, "{left}");
}

#[test]
fn a_draft_survives_closing_and_a_reload_and_is_gone_once_it_is_sent() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    opened(&browser, &site);
    find(&browser, "textbox", "Message").fill("Half a sen");
    find(&browser, "textbox", "Email (optional)").fill("sam@example.com");
    find(&browser, "button", "Close").press();
    find(&browser, "button", "Feedback").press();
    assert_eq!(find(&browser, "textbox", "Message").value(), "Half a sen");
    browser.reload();
    find(&browser, "button", "Feedback").press();
    assert_eq!(find(&browser, "textbox", "Message").value(), "Half a sen");
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
fn what_is_sent_without_a_network_is_kept_and_sent_once_when_there_is_one() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    let later =
        "Couldn’t send. Your feedback is saved in this browser and will be sent automatically.";
    let write = |message: &str| {
        find(&browser, "button", "Feedback").press();
        find(&browser, "textbox", "Message").fill(message);
        find(&browser, "button", "Send").press();
        wait_for_status(&browser, later);
        find(&browser, "button", "Close").press();
    };
    let arrive = |count: usize| {
        browser.wait_until(&format!("{count} feedbacks have arrived"), || {
            (site.stored().len() == count).then_some(())
        });
    };
    browser.open(&site.url());
    find(&browser, "button", "Feedback");
    browser.set_offline(true);
    write("In a tunnel");
    browser.set_offline(false);
    arrive(1);
    // Left before there is a network again: sent the next time that the page is opened.
    browser.set_offline(true);
    write("On a ferry");
    browser.open("about:blank");
    browser.set_offline(false);
    browser.open(&site.url());
    arrive(2);
    browser.wait_until("nothing is left to be sent", || {
        let left = browser.script("return localStorage.length");
        (left == 0).then_some(())
    });
    browser.reload();
    find(&browser, "button", "Feedback").press();
    find(&browser, "textbox", "Message").fill("Online");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
    arrive(3);
}

#[test]
fn a_paused_project_and_a_refused_origin_are_told_and_the_words_stay() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    let set = |change: Value| site.api.patch("/api/v1/projects/shop", change).expect(200);
    set(json!({"status": "PAUSED"}));
    opened(&browser, &site);
    find(&browser, "textbox", "Message").fill("Are you there?");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, "This project isn’t accepting feedback right now.");
    set(json!({"status": "ACTIVE", "allowedOrigins": ["https://shop.example"]}));
    find(&browser, "button", "Send").press();
    let origin = format!("http://{}", site.server.address());
    wait_for_status(
        &browser,
        &format!(
            "Couldn’t send your feedback. {origin} isn’t an allowed origin of this project. Allow it in the project’s settings."
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
fn it_speaks_the_language_of_its_attribute_or_of_the_page_and_each_word_can_be_replaced() {
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
fn it_fits_a_phone_a_dark_screen_right_to_left_and_any_colour() {
    let site = Site::with("", "");
    let browser = Browser::with(BrowserOptions {
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
        ("no-colour", "rgb(255, 255, 255)"),
    ] {
        site.show(
            "<html dir=rtl lang=ar>",
            &format!("data-color=\"{color}\""),
            "",
        );
        opened(&browser, &site);
        let style = |property: &str, of: &str| {
            look(
                &browser,
                &format!("getComputedStyle(root.querySelector('{of}')).{property}"),
            )
        };
        assert_eq!(style("color", "form button"), text, "{color}");
        assert_eq!(style("backgroundColor", "dialog"), "rgb(28, 28, 26)");
        assert_eq!(style("direction", "form"), "rtl");
        let fits = look(
            &browser,
            "[...root.querySelectorAll('*')].every((one) => { const box = one.getBoundingClientRect();
                return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight; })",
        );
        assert_eq!(fits, true);
        assert_eq!(
            browser.script("return document.documentElement.scrollWidth"),
            360
        );
    }
}
