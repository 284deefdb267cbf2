//! The layout of `/feedback` in a real browser: the number of visible items, selection of text, the
//! browser's time zone, printing, and the page's title.

use serde_json::json;

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::browser::{Browser, BrowserOptions};

const PHONE: (u32, u32) = (360, 740);
const DESKTOP: (u32, u32) = (1280, 800);

fn app_with_feedback() -> (App, Api) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..14 {
        let body = json!({
            "project": "shop", "email": "sam.with.a.long.name@subdomain.example.com",
            "message": format!("Number {number}. {}", "A message of many words. ".repeat(40)),
            "url": "https://shop.example/a/long/path/to/a/page",
        });
        let feedback = api.post("/api/v1/feedback", body).expect(201).json();
        api.set_status(&feedback, ["NEW", "REVIEWED", "RESOLVED"][number % 3]);
    }
    (app, api)
}

fn open_list(app: &App, (width, height): (u32, u32), javascript: bool) -> Browser {
    let browser = Browser::with_options(BrowserOptions {
        javascript,
        width,
        height,
    });
    app.sign_in(&browser);
    browser.open(&format!("{}/feedback", app.url));
    browser.find("heading", "Feedback");
    browser
}

#[test]
fn shows_at_least_12_items_on_a_desktop_and_5_on_a_phone() {
    let (app, _) = app_with_feedback();
    for javascript in [true, false] {
        for (size, expected) in [(DESKTOP, 12), (PHONE, 5)] {
            let browser = open_list(&app, size, javascript);
            let items = browser.all("article", "");
            let buttons = browser.all("button", "Resolved");
            assert_eq!((items.len(), buttons.len()), (14, 14));
            let height = f64::from(size.1);
            let is_visible = |(_, bottom): &(f64, f64)| *bottom <= height;
            let edges: Vec<_> = items.iter().map(|item| item.vertical_edges()).collect();
            let count = edges.iter().filter(|edges| is_visible(edges)).count();
            assert!(
                count >= expected,
                "{count} items are visible at {size:?}, JavaScript: {javascript}: {edges:?}"
            );
        }
    }
}

#[test]
fn project_names_and_messages_have_enough_space() {
    let (app, _) = app_with_feedback();
    let width = |browser: &Browser, element: &str| {
        let width = browser.script(&format!(
            "return document.querySelector('.item {element}').clientWidth"
        ));
        width.as_i64().unwrap()
    };
    let phone = open_list(&app, PHONE, true);
    assert!(
        width(&phone, ".byline") >= 170,
        "{}",
        width(&phone, ".byline")
    );
    let desktop = open_list(&app, DESKTOP, true);
    assert!(
        width(&desktop, ".message") >= 600,
        "{}",
        width(&desktop, ".message")
    );
}

#[test]
fn text_of_an_open_message_can_be_selected() {
    let (app, _) = app_with_feedback();
    let browser = open_list(&app, DESKTOP, true);
    browser.script("document.querySelector('a.message').click()");
    browser.find("link", "Close");
    let url = browser.url();
    let position = browser.script(
        "const text = document.querySelector('p.message bdi').firstChild;
         const range = document.createRange();
         range.setStart(text, 0); range.setEnd(text, 6);
         const { x, y, width, height } = range.getBoundingClientRect();
         return { x: x + width / 2, y: y + height / 2 };",
    );
    for kind in ["mousePressed", "mouseReleased"] {
        browser.devtools(
            "Input.dispatchMouseEvent",
            json!({
                "type": kind, "x": position["x"], "y": position["y"],
                "button": "left", "clickCount": 2,
            }),
        );
    }
    let selected = browser.script("return getSelection().toString().trim()");
    assert_eq!(selected, "Number");
    assert_eq!(
        browser.url(),
        url,
        "a click on the message opened another page"
    );
}

#[test]
fn filters_use_the_browsers_time_zone() {
    let (app, _) = app_with_feedback();
    let browser = open_list(&app, DESKTOP, true);
    let zone = json!({"timezoneId": "America/New_York"});
    browser.devtools("Emulation.setTimezoneOverride", zone);
    let choose = |id: &str, value: &str| {
        browser.script(&format!(
            "const field = document.getElementById('{id}'); field.value = '{value}';
             field.dispatchEvent(new Event('change', {{ bubbles: true }}));"
        ));
    };
    choose("received", "range");
    browser.wait_for_text("Dates are in your time zone");
    assert_eq!(
        browser.script("return document.activeElement.id"),
        "from",
        "the first field of the range doesn't have focus"
    );
    browser.script(
        "document.getElementById('from').value = '2026-07-01';
         document.getElementById('to').value = '2036-12-01';",
    );
    browser.find("button", "Apply").press();
    browser.wait_until("the URL contains the range", || {
        browser.url().contains("to=2036-12-01").then_some(())
    });
    let url = browser.url();
    assert!(url.contains("tz=-240%2C-300"), "{url}");
    assert!(!url.contains("q=") && !url.contains("status="), "{url}");
    browser.wait_for_text("14 items");
    browser.find("link", "Clear filters").press();
    browser.wait_until("the filters are removed", || {
        (!browser.url().contains('?')).then_some(())
    });
}

#[test]
fn the_title_counts_new_items_and_is_updated() {
    let (app, api) = app_with_feedback();
    let browser = open_list(&app, DESKTOP, true);
    assert_eq!(browser.title(), "(5) Feedback · Miniback");
    api.create_feedback("shop", "One more");
    browser.wait_until("the title counts the new item", || {
        (browser.title() == "(6) Feedback · Miniback").then_some(())
    });
}

#[test]
fn prints_the_status_but_no_controls() {
    let (app, _) = app_with_feedback();
    let browser = open_list(&app, DESKTOP, true);
    browser.devtools("Emulation.setEmulatedMedia", json!({"media": "print"}));
    let item = &browser.all("article", "")[0];
    let names = |role: &str, names: [&str; 3]| names.map(|name| item.all(role, name).len());
    assert_eq!(names("button", ["New", "Reviewed", "Resolved"]), [0, 1, 0]);
    let shown = browser.script(
        "const item = document.querySelector('article'), label = item.querySelector(
           '.segmented [aria-pressed=true] span');
         return [getComputedStyle(label).clipPath, item.querySelector('input').offsetWidth].join()",
    );
    assert_eq!(
        shown, "none,0",
        "the status is clipped, or the checkbox is printed"
    );
}
