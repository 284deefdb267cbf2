//! The widget on pages that interfere with it. Each file in `tests/hostile_pages/pages` breaks one
//! assumption about the page. On every page, a person can see the button, open the dialog, type a
//! message, and send it.

mod context;
mod dialog;
mod site;

use serde_json::json;

use self::site::{Site, click, pages, type_text};
use crate::support::api::text;
use crate::support::browser::Browser;
use crate::support::browser::widget::{HOST, THANKS, find, wait_for_status};

/// If the page has a sandboxed frame, enters the frame.
fn enter_sandbox(browser: &Browser) {
    if browser.script("return !!document.querySelector('iframe[sandbox]')") == true {
        browser.enter_frame();
    }
}

#[test]
fn a_person_can_send_feedback_on_every_hostile_page() {
    let (site, browser) = (Site::start(), Browser::start());
    // All tabs are open at the same time, so that the widget's waits of 2 s before sending overlap.
    let tabs = pages().into_iter().map(|page| {
        println!("{page}"); // the last page in the output is the page that failed
        let project = json!({"name": page, "slug": page});
        site.api.post("/api/v1/projects", project).expect(201);
        let tab = browser.open_in_tab(&site.server.url(&format!("/{page}.html")));
        browser.wait_until("the page is ready", || {
            (browser.script("return window.ready") == true).then_some(())
        });
        enter_sandbox(&browser);
        find(&browser, "button", "Feedback").press();
        type_text(&browser, &format!("Sent from {page}"));
        find(&browser, "button", "Send").press();
        (page, tab)
    });
    for (page, tab) in tabs.collect::<Vec<_>>() {
        println!("{page}: sent");
        browser.switch_to(&tab);
        enter_sandbox(&browser);
        wait_for_status(&browser, THANKS);
        browser.close_tab();
        let stored = site.stored(&page);
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(text(&stored[0], "message"), format!("Sent from {page}"));
    }
}

#[test]
fn works_on_a_page_that_replaced_all_functions() {
    let (site, browser) = (Site::start(), Browser::start());
    site.show("<body style=margin:0><iframe src=/framed/globals.html?shop width=900 height=700 style=border:0>");
    browser.open(&site.server.url("/"));
    let frame = "document.querySelector('iframe').contentDocument";
    let root = format!("{frame}.querySelector('{HOST}')?.shadowRoot");
    click(&browser, &format!("{root}?.querySelector('.launcher')"));
    type_text(&browser, "Sent from a frame");
    click(&browser, &format!("{root}.querySelector('section button')"));
    browser.wait_until("the feedback is stored", || {
        let status = browser.script(&format!(
            "return {root}.querySelector('[role=status]').textContent"
        ));
        (status == THANKS).then_some(())
    });
    assert_eq!(
        text(&site.stored("shop")[0], "message"),
        "Sent from a frame"
    );
}

#[test]
fn the_page_looks_the_same_with_the_widget() {
    let (site, browser) = (Site::start(), Browser::start());
    for css in [
        "body { display: flex; flex-direction: column; justify-content: space-between; min-height: 100vh }",
        "body { display: grid; grid-template-rows: auto 1fr auto; gap: 32px; min-height: 100vh }",
        "body { display: flex; gap: 40px; justify-content: center; align-items: center; height: 100vh }",
        "body { display: flex; justify-content: space-evenly } body > * { flex: 1 1 0 }",
        "body { columns: 2 } body > * { margin: 10px; break-inside: avoid }",
        "* + * { margin-top: 40px } body > :last-child { margin-bottom: 90px }",
        "body > :nth-last-child(2) { height: 200px } body > *, html > * { padding: 7px; display: block !important }",
        "html { display: flex; gap: 30px } html > * { flex: 1 }",
        "html { display: grid; gap: 30px; grid-auto-rows: 100px } body { display: contents }",
        "html { display: table; border-spacing: 9px; writing-mode: vertical-rl }",
        "html { overflow: auto; height: 100% } body { overflow: auto; height: 100%; position: relative }",
    ] {
        let layout_with = |tag: &str| {
            let elements = "<header>H</header><main>M</main><footer>F</footer>";
            site.show(&format!(
                "<!doctype html><html lang=en><head><style>{css}</style>{tag}</head><body>{elements}</body></html>"
            ));
            browser.open(&site.server.url("/"));
            if !tag.is_empty() {
                find(&browser, "button", "Feedback");
            }
            browser.script(
                "const { scrollWidth, scrollHeight } = document.documentElement;
                 const boxes = [...document.querySelectorAll('html, body, body > *')]
                    .map((element) => JSON.stringify(element.getBoundingClientRect()));
                 return [scrollWidth, scrollHeight, ...boxes];",
            )
        };
        assert_eq!(layout_with(""), layout_with("{{tag}}"), "{css}");
    }
}

#[test]
fn reports_a_missing_project_and_a_name_conflict_in_the_console() {
    let (site, browser) = (Site::start(), Browser::start());
    let log =
        "<script>var log = []; console.error = console.warn = (line) => log.push(line);</script>";
    for (page, expected) in [
        (
            "<script src={{script}} defer></script>",
            json!(["Miniback: no script tag with data-project."]),
        ),
        (
            "<script>var miniback = Object.freeze({});</script>{{tag}}",
            json!(["Miniback: the name `miniback` is taken."]),
        ),
        (
            "<script>var miniback = { own: 1 };</script>{{tag}}",
            json!([]),
        ),
        ("<p id=miniback>{{tag}}", json!([])),
    ] {
        site.show(&format!("{log}{page}"));
        browser.open(&site.server.url("/"));
        assert_eq!(browser.script("return log"), expected, "{page}");
        if expected == json!([]) {
            browser.script("miniback.open();");
            find(&browser, "dialog", "Feedback");
        }
    }
    site.show("<script>var miniback = { own: 1 };</script>{{tag}}");
    browser.open(&site.server.url("/"));
    assert_eq!(browser.script("return miniback.own"), 1);
}
