//! The question that the widget asks, and the dialog after feedback has been sent. The tests
//! control the timer that closes the dialog, because the widget calls the page's `setTimeout`.

use serde_json::{Value, json};

use super::{Site, open_widget};
use crate::support::browser::shadow::key;
use crate::support::browser::widget::{THANKS, eval_in_widget, find, wait_for_status};
use crate::support::browser::{Browser, BrowserOptions};

/// A script that stores timers of 6 s in `window.timers` instead of starting them. The widget uses
/// such a timer to close the dialog.
const CATCH_TIMERS: &str = "
    const { setTimeout: set, clearTimeout: clear } = window;
    window.timers = [];
    window.setTimeout = (run, delay) => delay == 6000 ? -timers.push(run) : set(run, delay);
    window.clearTimeout = (id) => { if (id < 0) delete timers[-id - 1]; else clear(id); };";

fn pending_timers(browser: &Browser) -> Value {
    browser.script("return timers.filter(Boolean).length")
}

fn is_open(browser: &Browser) -> Value {
    eval_in_widget(browser, "root.querySelector('dialog').open")
}

fn send(browser: &Browser, site: &Site) {
    open_widget(browser, site);
    browser.script(CATCH_TIMERS);
    find(browser, "textbox", "Message").fill("Larger buttons");
    find(browser, "button", "Send").press();
    wait_for_status(browser, THANKS);
}

#[test]
fn asks_a_question_and_leaves_the_page_visible() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    open_widget(&browser, &site);
    let message = find(&browser, "textbox", "Message");
    let placeholder = message.attribute("placeholder");
    assert_eq!(placeholder.as_deref(), Some("A problem or an idea"));
    let question = eval_in_widget(
        &browser,
        "root.getElementById(root.activeElement.getAttribute('aria-describedby')).innerText",
    );
    assert_eq!(question, "What could be better?");
    let backdrop = "getComputedStyle(root.querySelector('dialog'), '::backdrop').backgroundColor";
    let backdrop = eval_in_widget(&browser, backdrop);
    let opacity = backdrop.as_str().and_then(|color| {
        let (_, alpha) = color.trim_end_matches(')').rsplit_once(' ')?;
        alpha.parse::<f32>().ok()
    });
    assert!(opacity.is_some_and(|alpha| alpha < 0.2), "{backdrop}");

    site.show("<html lang=de>", "data-placeholder=Ideen", "");
    open_widget(&browser, &site);
    let placeholder = find(&browser, "textbox", "Nachricht").attribute("placeholder");
    assert_eq!(placeholder.as_deref(), Some("Ideen"));
    let question = eval_in_widget(&browser, "root.getElementById('q').textContent");
    assert_eq!(question, "Was können wir verbessern?");
}

/// Returns a screenshot of a corner of the page that shows only the page's background.
fn corner(browser: &Browser) -> Value {
    let clip = json!({"x": 0, "y": 0, "width": 8, "height": 8, "scale": 1});
    browser.devtools("Page.captureScreenshot", json!({"clip": clip}))["data"].clone()
}

#[test]
fn the_page_is_dimmed_only_while_the_dialog_is_open() {
    let site = Site::with("", "");
    for (width, height) in [(1280, 800), (360, 740)] {
        let browser = Browser::with_options(BrowserOptions {
            width,
            height,
            ..BrowserOptions::default()
        });
        browser.open(&site.url());
        find(&browser, "button", "Feedback");
        let with_button = corner(&browser);
        find(&browser, "button", "Feedback").press();
        find(&browser, "dialog", "Feedback");
        assert_ne!(
            corner(&browser),
            with_button,
            "{width} px: the dialog dims the page"
        );
        find(&browser, "button", "Close").press();
        assert_eq!(corner(&browser), with_button, "{width} px: after closing");
        browser.open("about:blank");
        assert_eq!(
            corner(&browser),
            with_button,
            "{width} px: without the widget"
        );
    }
}

#[test]
fn an_error_is_below_its_field_and_marks_the_field() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    open_widget(&browser, &site);
    let state = || {
        eval_in_widget(
            &browser,
            "(() => {
                const field = root.querySelector('[aria-invalid=true]');
                const described = root.getElementById(field?.getAttribute('aria-describedby'));
                const next = field?.nextElementSibling;
                return [field?.id, next == described, described?.textContent == field?.validationMessage,
                    next && getComputedStyle(next).color != getComputedStyle(root.querySelector('label')).color];
            })()",
        )
    };
    find(&browser, "button", "Send").press();
    assert_eq!(state(), json!(["m", true, true, true]));
    find(&browser, "textbox", "Message").fill("Larger buttons");
    assert_eq!(
        state()[0],
        Value::Null,
        "the corrected field is still marked"
    );
    find(&browser, "textbox", "Email (optional)").fill("sam@");
    find(&browser, "button", "Send").press();
    assert_eq!(state(), json!(["e", true, true, true]));
    find(&browser, "textbox", "Email (optional)").fill("sam@example.com");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, THANKS);
}

#[test]
fn an_unknown_project_is_reported_to_developers_only() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    open_widget(&browser, &site);
    browser.script(
        "window.warnings = [];
         console.warn = (text) => { warnings.push(text); };
         document.querySelector('script').dataset.project = 'shopp';",
    );
    find(&browser, "textbox", "Message").fill("Larger buttons");
    find(&browser, "button", "Send").press();
    wait_for_status(&browser, "Couldn’t send your feedback.");
    let warnings = browser.script("return warnings");
    assert_eq!(warnings, json!(["There is no project “shopp”."]));
}

#[test]
fn closes_automatically_after_success_and_returns_the_focus() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    send(&browser, &site);
    let mark = "getComputedStyle(root.querySelector('[role=status]'), '::before').content";
    let mark = eval_in_widget(&browser, mark);
    assert!(mark.as_str().unwrap_or_default().contains('✓'), "{mark}");
    // Moving the pointer over the message restarts the timer.
    let move_pointer =
        "root.querySelector('[role=status]').dispatchEvent(new Event('pointermove'))";
    eval_in_widget(&browser, move_pointer);
    assert_eq!(browser.script("return timers.length"), 2);
    assert_eq!(pending_timers(&browser), 1);
    browser.script("timers.filter(Boolean).forEach((run) => run())");
    assert_eq!(is_open(&browser), false);
    browser.wait_until("the button has focus", || {
        let focus = eval_in_widget(&browser, "root.activeElement?.className");
        (focus == "launcher").then_some(())
    });

    // The old timer doesn't close a dialog that was opened again.
    find(&browser, "button", "Feedback").press();
    browser.script("timers.filter(Boolean).forEach((run) => run())");
    assert_eq!(is_open(&browser), true);
    assert_eq!(find(&browser, "textbox", "Message").value(), "");
}

#[test]
fn stays_open_after_success_for_keyboards_and_reduced_motion() {
    let (site, browser) = (Site::with("", ""), Browser::start());
    send(&browser, &site);
    assert_eq!(pending_timers(&browser), 1);
    browser.press_keys(&[key::TAB]);
    assert_eq!(pending_timers(&browser), 0);
    find(&browser, "button", "Close").press();

    let reduced = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    browser.devtools("Emulation.setEmulatedMedia", reduced);
    send(&browser, &site);
    assert_eq!(pending_timers(&browser), 0);
    assert_eq!(is_open(&browser), true);
}
