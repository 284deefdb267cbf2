//! An element of a page and the actions that a person can perform on it.

use fantoccini::Locator;
use fantoccini::elements::Element;

use super::Browser;

#[derive(Clone)]
pub struct PageElement<'a> {
    pub(super) browser: &'a Browser,
    pub(super) element: Element,
}

impl<'a> PageElement<'a> {
    #[track_caller]
    pub fn press(&self) {
        self.browser.run("press", self.element.click());
    }

    /// Replaces the text of a field.
    #[track_caller]
    pub fn fill(&self, text: &str) {
        self.browser.run("clear", self.element.clear());
        self.browser.run("type", self.element.send_keys(text));
    }

    #[track_caller]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.browser.run(name, self.element.attr(name))
    }

    /// Returns the value of a field.
    #[track_caller]
    pub fn value(&self) -> String {
        let value = self
            .browser
            .run("read the value", self.element.prop("value"));
        value.unwrap_or_default()
    }

    /// Returns the positions of the top and bottom edges, in CSS pixels from the top of the page.
    #[track_caller]
    pub fn vertical_edges(&self) -> (f64, f64) {
        let rectangle = self.element.rectangle();
        let (_, top, _, height) = self.browser.run("read the position", rectangle);
        (top, top + height)
    }

    #[track_caller]
    pub fn is_checked(&self) -> bool {
        self.browser
            .run("read the state", self.element.is_selected())
    }

    /// Waits until exactly one visible descendant has this role and name.
    #[track_caller]
    pub fn find(&self, role: &str, name: &str) -> PageElement<'a> {
        self.browser.find_in(Some(&self.element), role, name)
    }

    pub fn all(&self, role: &str, name: &str) -> Vec<PageElement<'a>> {
        self.browser.all_in(Some(&self.element), role, name)
    }

    /// Returns the element's expand button: a `summary`, or a button with `aria-expanded`.
    #[track_caller]
    pub fn expand_button(&self) -> PageElement<'a> {
        let button = Locator::Css("summary, button[aria-expanded]");
        PageElement {
            browser: self.browser,
            element: self
                .browser
                .run("find the expand button", self.element.find(button)),
        }
    }
}
