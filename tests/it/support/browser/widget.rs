//! The widget in a browser: its elements, its status, and its shadow root.

use serde_json::Value;

use super::{Browser, PageElement};

/// The name of the widget's element.
pub const HOST: &str = "miniback-widget";
/// The status that the widget shows after it has sent feedback.
pub const THANKS: &str = "Thank you. We got your feedback.";

/// Waits until exactly one visible element in the widget has this role and name.
#[track_caller]
pub fn find<'a>(browser: &'a Browser, role: &str, name: &str) -> PageElement<'a> {
    browser.find_in_shadow(HOST, role, name)
}

/// Evaluates a JavaScript expression that can use `root`, the widget's shadow root.
#[track_caller]
pub fn eval_in_widget(browser: &Browser, expression: &str) -> Value {
    browser.script(&format!(
        "const root = document.querySelector('{HOST}').shadowRoot; return {expression};"
    ))
}

#[track_caller]
pub fn wait_for_status(browser: &Browser, status: &str) {
    browser.wait_until(&format!("the status is {status:?}"), || {
        let shown = eval_in_widget(browser, "root.querySelector('[role=status]').textContent");
        (shown == status).then_some(())
    });
}
