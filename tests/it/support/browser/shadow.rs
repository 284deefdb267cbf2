//! What stands in a shadow root, found by role and name like all else; and keys, which go to whatever has the focus.

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use serde_json::{Value, json};

use super::{Browser, Found, candidates};

/// The keys that have no character.
pub mod key {
    pub const TAB: char = '\u{e004}';
    pub const ENTER: char = '\u{e007}';
    pub const ESCAPE: char = '\u{e00c}';
    pub const CONTROL: char = '\u{e009}';
}

impl Browser {
    /// Waits for the one visible element of this role and name in the shadow root of `host`, a selector.
    #[track_caller]
    pub fn find_in_shadow(&self, host: &str, role: &str, name: &str) -> Found<'_> {
        self.wait_until(&format!("one {role} named {name:?} in {host}"), || {
            let mut all = self.all_in_shadow(host, role, name);
            if all.len() == 1 { all.pop() } else { None }
        })
    }

    /// All visible elements of this role and name that are there now.
    #[track_caller]
    pub fn all_in_shadow(&self, host: &str, role: &str, name: &str) -> Vec<Found<'_>> {
        let css = candidates(role);
        let script = "const root = document.querySelector(arguments[0])?.shadowRoot;
            return root ? [...root.querySelectorAll(arguments[1])] : [];";
        let found = self.run(
            script,
            self.client.execute(script, vec![json!(host), json!(css)]),
        );
        let mut all = Vec::new();
        for value in found.as_array().cloned().unwrap_or_default() {
            let element = Element::from_element_id(self.client.clone(), id_of(&value));
            let matches = self.runtime.block_on(async {
                Ok::<_, fantoccini::error::CmdError>(
                    self.computed(&element, "computedrole").await? == role
                        && self.computed(&element, "computedlabel").await? == name
                        && element.is_displayed().await?,
                )
            });
            if matches.unwrap_or_default() {
                all.push(Found {
                    browser: self,
                    element,
                });
            }
        }
        all
    }

    /// Presses and releases keys, one after the other.
    #[track_caller]
    pub fn press_keys(&self, keys: &[char]) {
        let presses = keys.iter().flat_map(|key| {
            [
                KeyAction::Down { value: *key },
                KeyAction::Up { value: *key },
            ]
        });
        self.act(presses);
    }

    /// Presses a key while another one is held.
    #[track_caller]
    pub fn press_with(&self, held: char, key: char) {
        self.act([
            KeyAction::Down { value: held },
            KeyAction::Down { value: key },
            KeyAction::Up { value: key },
            KeyAction::Up { value: held },
        ]);
    }

    #[track_caller]
    fn act(&self, actions: impl IntoIterator<Item = KeyAction>) {
        let source = KeyActions::new("keyboard".to_owned());
        let source = actions.into_iter().fold(source, KeyActions::then);
        self.run("keys", self.client.perform_actions(source));
    }

    /// Takes the network away, or gives it back.
    #[track_caller]
    pub fn set_offline(&self, offline: bool) {
        self.devtools("Network.enable", json!({}));
        let conditions = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.devtools("Network.emulateNetworkConditions", conditions);
    }
}

/// An element as WebDriver writes it down: one member, whose value is its id.
fn id_of(value: &Value) -> ElementRef {
    let members = value.as_object().expect("an element");
    let id = members.values().next().and_then(Value::as_str);
    ElementRef::from(id.expect("an element's id").to_owned())
}
