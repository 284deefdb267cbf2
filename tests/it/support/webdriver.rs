//! Two WebDriver commands that fantoccini doesn't provide.

use fantoccini::elements::ElementRef;
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};

/// The command that reads a value that the browser computes for assistive technology.
#[derive(Debug)]
pub struct ComputedValue {
    pub element: ElementRef,
    /// `computedrole` or `computedlabel`.
    pub name: &'static str,
}

impl WebDriverCompatibleCommand for ComputedValue {
    fn endpoint(
        &self,
        base_url: &url::Url,
        session_id: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session_id.unwrap_or_default();
        let (element, name) = (&self.element, self.name);
        base_url.join(&format!("session/{session}/element/{element}/{name}"))
    }

    fn method_and_body(&self, _: &url::Url) -> (http1::Method, Option<String>) {
        (http1::Method::GET, None)
    }
}

/// A command of the DevTools protocol, which chromedriver forwards to Chromium.
#[derive(Debug)]
pub struct DevTools {
    pub command: &'static str,
    pub params: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base_url: &url::Url,
        session_id: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session_id.unwrap_or_default();
        base_url.join(&format!("session/{session}/goog/cdp/execute"))
    }

    fn method_and_body(&self, _: &url::Url) -> (http1::Method, Option<String>) {
        let body = json!({"cmd": self.command, "params": self.params});
        (http1::Method::POST, Some(body.to_string()))
    }
}
