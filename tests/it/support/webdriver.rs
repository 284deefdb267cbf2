//! The two WebDriver commands that fantoccini has no words for.

use fantoccini::elements::ElementRef;
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};

/// What the browser tells assistive technology about an element.
#[derive(Debug)]
pub struct Computed {
    pub element: ElementRef,
    pub what: &'static str,
}

impl WebDriverCompatibleCommand for Computed {
    fn endpoint(
        &self,
        base_url: &url::Url,
        session_id: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session_id.unwrap_or_default();
        let (element, what) = (&self.element, self.what);
        base_url.join(&format!("session/{session}/element/{element}/{what}"))
    }

    fn method_and_body(&self, _: &url::Url) -> (ureq::http::Method, Option<String>) {
        (ureq::http::Method::GET, None)
    }
}

/// A command of the DevTools protocol, which chromedriver passes on.
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

    fn method_and_body(&self, _: &url::Url) -> (ureq::http::Method, Option<String>) {
        let body = json!({"cmd": self.command, "params": self.params});
        (ureq::http::Method::POST, Some(body.to_string()))
    }
}
