//! The documentation in a browser: the API reference with its filter, anchors, and print view, the
//! choice of a programming language for the guide's code, and the sidebar.

use crate::guide::GUIDE;
use crate::support::app::App;
use crate::support::browser::shadow::key;
use crate::support::browser::{Browser, BrowserOptions};

fn visible_calls(browser: &Browser) -> usize {
    let count = "return [...document.querySelectorAll('#calls .call')]
        .filter((call) => call.checkVisibility()).length";
    let count = browser.script(count).as_u64().unwrap();
    usize::try_from(count).unwrap()
}

/// Returns the summaries of the API calls whose details are open, separated by `; `.
fn open_calls(browser: &Browser) -> String {
    let open = "return [...document.querySelectorAll('.call > details[open] > summary')]
        .map((summary) => summary.innerText.replace(/\\s+/g, ' ').trim()).join('; ')";
    browser.script(open).as_str().unwrap().to_owned()
}

#[test]
fn the_api_reference_filters_calls_and_opens_the_first_match() {
    let app = App::start();
    let browser = Browser::start();
    browser.open(&format!("{}/docs/api", app.url));
    let all = visible_calls(&browser);
    assert!(all > 25, "{all} calls");
    let height = browser.script("return document.body.scrollHeight").as_u64();
    assert!(height.is_some_and(|height| height < 8_000), "{height:?} px");
    let filter = browser.find("searchbox", "Filter calls");
    filter.fill("post rotate");
    browser.wait_for_text(&format!("2 of {all} calls"));
    assert_eq!(visible_calls(&browser), 2);
    browser.press_keys(&[key::ENTER]);
    browser.find("button", "Copy");
    assert!(open_calls(&browser).contains("/secret/rotate"));
    assert!(
        browser.url().ends_with("#rotateSecret"),
        "{}",
        browser.url()
    );
    // Only the details of calls contain this field name.
    filter.fill("overlapHours");
    browser.wait_until("1 to 3 calls are visible", || {
        (1..4).contains(&visible_calls(&browser)).then_some(())
    });
    filter.fill("nothing like this");
    browser.wait_for_text("No calls match.");
    // A link to a hidden call shows all calls again.
    browser.script("location.hash = '#listProjects'");
    browser.wait_until("all calls are visible", || {
        (visible_calls(&browser) == all).then_some(())
    });
}

#[test]
fn a_call_opens_by_its_anchor_with_and_without_scripts() {
    let app = App::start();
    for javascript in [true, false] {
        let browser = Browser::with_options(BrowserOptions {
            javascript,
            width: 360,
            height: 780,
        });
        browser.open(&format!("{}/docs/api#rotateSecret", app.url));
        browser.wait_until("the call is open", || {
            open_calls(&browser)
                .contains("/secret/rotate")
                .then_some(())
        });
        let in_view = browser.script(
            "const { top, bottom } = document.querySelector('details[open] > summary')
                .getBoundingClientRect();
             return top >= 0 && bottom < innerHeight;",
        );
        assert_eq!(in_view, true, "javascript: {javascript}");
        assert_eq!(
            browser.all("searchbox", "Filter calls").len(),
            usize::from(javascript)
        );
        assert_eq!(browser.all("button", "Copy").len(), usize::from(javascript));
        browser.find("DisclosureTriangle", "On this page").press();
        browser.find("link", "Schemas").press();
        assert!(browser.url().ends_with("#schemas"), "{}", browser.url());
    }
}

#[test]
fn the_language_changes_without_a_reload_and_the_sidebar_follows() {
    let app = App::start();
    let browser = Browser::start();
    browser.open(&format!("{}{GUIDE}", app.url));
    browser.script("window.isSamePage = true");
    browser.find("link", "Go").press();
    browser.wait_for_text("hmac.Equal");
    assert_eq!(browser.script("return window.isSamePage"), true);
    assert!(browser.url().contains("language=go"), "{}", browser.url());
    let focus = browser.script("return document.activeElement.textContent");
    assert_eq!(focus, "Go");
    browser.open(&format!("{}{GUIDE}", app.url));
    browser.wait_for_text("hmac.Equal");
    let current = |name: &str| browser.find("link", name).attribute("aria-current");
    assert_eq!(current("Webhooks").as_deref(), Some("page"));
    browser.find("link", "Retries").press();
    browser.wait_until("the section is marked", || {
        (current("Retries").as_deref() == Some("true")).then_some(())
    });
    assert_eq!(current("Events"), None);
    browser.find("link", "Documentation").press();
    browser.find("heading", "Keyboard shortcuts");
}

#[test]
fn printing_the_api_reference_opens_all_calls() {
    let app = App::start();
    let browser = Browser::start();
    browser.open(&format!("{}/docs/api", app.url));
    let is_visible = "return document.getElementById('rotateSecret').checkVisibility()";
    assert_eq!(browser.script(is_visible), false);
    let print = serde_json::json!({"media": "print"});
    browser.devtools("Emulation.setEmulatedMedia", print);
    assert_eq!(browser.script(is_visible), true);
}
