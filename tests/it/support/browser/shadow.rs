//! Finds elements in a shadow root by role and name, sends keys to the focused element, and takes
//! the browser offline.

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use serde_json::{Value, json};

use super::{Browser, PageElement, candidate_selector, only_element};

/// WebDriver codes of keys without a character.
pub mod key {
    pub const BACKSPACE: char = '\u{e003}';
    pub const TAB: char = '\u{e004}';
    pub const ENTER: char = '\u{e007}';
    pub const ESCAPE: char = '\u{e00c}';
    pub const CONTROL: char = '\u{e009}';
}

impl Browser {
    /// Waits until the shadow root of `host` contains exactly one visible element with this role
    /// and name. `host` is a CSS selector.
    #[track_caller]
    pub fn find_in_shadow(&self, host: &str, role: &str, name: &str) -> PageElement<'_> {
        let what = format!("there is one {role} named {name:?} in {host}");
        self.wait_until(&what, || only_element(self.all_in_shadow(host, role, name)))
    }

    /// Returns all elements in the shadow root of `host` with this role and name that are visible
    /// now.
    #[track_caller]
    pub fn all_in_shadow(&self, host: &str, role: &str, name: &str) -> Vec<PageElement<'_>> {
        let css = candidate_selector(role);
        let script = "const root = document.querySelector(arguments[0])?.shadowRoot;
            return root ? [...root.querySelectorAll(arguments[1])] : [];";
        let found = self.run(
            script,
            self.client.execute(script, vec![json!(host), json!(css)]),
        );
        let mut all = Vec::new();
        for value in found.as_array().cloned().unwrap_or_default() {
            let element = Element::from_element_id(self.client.clone(), id_of(&value));
            let matches = self.is_visible_match(&element, role, name);
            if self.runtime.block_on(matches).unwrap_or_default() {
                all.push(PageElement {
                    browser: self,
                    element,
                });
            }
        }
        all
    }

    /// Presses and releases each key in turn.
    #[track_caller]
    pub fn press_keys(&self, keys: &[char]) {
        let presses = keys.iter().flat_map(|key| {
            [
                KeyAction::Down { value: *key },
                KeyAction::Up { value: *key },
            ]
        });
        self.perform(presses);
    }

    /// Presses a key while holding another key.
    #[track_caller]
    pub fn press_with(&self, held: char, key: char) {
        self.perform([
            KeyAction::Down { value: held },
            KeyAction::Down { value: key },
            KeyAction::Up { value: key },
            KeyAction::Up { value: held },
        ]);
    }

    #[track_caller]
    fn perform(&self, actions: impl IntoIterator<Item = KeyAction>) {
        let source = KeyActions::new("keyboard".to_owned());
        let source = actions.into_iter().fold(source, KeyActions::then);
        self.run("send keys", self.client.perform_actions(source));
    }

    /// Takes the browser offline, or online again.
    #[track_caller]
    pub fn set_offline(&self, offline: bool) {
        self.devtools("Network.enable", json!({}));
        let conditions = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.devtools("Network.emulateNetworkConditions", conditions);
    }
}

/// Returns the id of an element in WebDriver's JSON: an object whose only value is the id.
fn id_of(value: &Value) -> ElementRef {
    let members = value.as_object().expect("read an element");
    let id = members.values().next().and_then(Value::as_str);
    ElementRef::from(id.expect("read the element's id").to_owned())
}
