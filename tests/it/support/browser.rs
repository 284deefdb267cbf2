//! A real browser: headless Chromium, driven by chromedriver. Elements are found by role and
//! accessible name.
//!
//! The browser itself computes roles and names for assistive technology (WebDriver's `computedrole`
//! and `computedlabel`), so the same tests work with and without scripts. Each browser has its own
//! driver and profile. Dropping the browser stops the driver and deletes the profile. The interface
//! is blocking, like the rest of the test harness.

pub mod axe;
mod element;
pub mod shadow;
mod tabs;
pub mod widget;

use std::future::Future;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use element::PageElement;

use super::wait::{poll, wait_until};
use super::webdriver::{ComputedValue, DevTools};

const CHROMEDRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";

/// Options for starting a browser. The size is in CSS pixels.
#[derive(Clone, Copy)]
pub struct BrowserOptions {
    pub javascript: bool,
    pub width: u32,
    pub height: u32,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self {
            javascript: true,
            width: 1280,
            height: 900,
        }
    }
}

pub struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        Self::with_options(BrowserOptions::default())
    }

    #[track_caller]
    pub fn without_javascript() -> Self {
        Self::with_options(BrowserOptions {
            javascript: false,
            ..BrowserOptions::default()
        })
    }

    #[track_caller]
    pub fn with_options(settings: BrowserOptions) -> Self {
        for program in [CHROMEDRIVER, CHROMIUM] {
            assert!(
                std::path::Path::new(program).exists(),
                "{program} is missing: browser tests need the Debian packages `chromium` and \
                 `chromium-driver` (apt-get install chromium chromium-driver)"
            );
        }
        let port = free_port();
        let mut driver = Command::new(CHROMEDRIVER)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromedriver");
        wait_until("chromedriver listens", || {
            let exited = driver.try_wait().expect("poll chromedriver");
            assert!(exited.is_none(), "chromedriver exited: {exited:?}");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let profile = TempDir::new().expect("create a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("create a runtime");
        let mut connector = ClientBuilder::new(HttpConnector::new());
        connector.capabilities(capabilities(settings, &profile));
        let driver_url = format!("http://127.0.0.1:{port}");
        match runtime.block_on(connector.connect(&driver_url)) {
            Ok(client) => {
                let browser = Self {
                    runtime,
                    client,
                    driver,
                    _profile: profile,
                };
                browser.resize(settings.width, settings.height);
                browser
            }
            Err(error) => {
                let _ = driver.kill();
                let _ = driver.wait();
                panic!("Chromium didn't start: {error}");
            }
        }
    }

    #[track_caller]
    fn run<T>(&self, what: &str, step: impl Future<Output = Result<T, CmdError>>) -> T {
        match self.runtime.block_on(step) {
            Ok(value) => value,
            Err(error) => panic!("{what}: {error}"),
        }
    }

    /// Sets the size of the page, because Chromium's window can't be narrower than 500 px.
    #[track_caller]
    fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sends a command of the DevTools protocol, for everything that WebDriver can't do.
    #[track_caller]
    pub fn devtools(&self, command: &'static str, params: Value) -> Value {
        self.run(command, self.client.issue_cmd(DevTools { command, params }))
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.run(url, self.client.goto(url));
    }

    #[track_caller]
    pub fn reload(&self) {
        self.run("reload", self.client.refresh());
    }

    #[track_caller]
    pub fn url(&self) -> String {
        self.run("read the URL", self.client.current_url()).into()
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.run("read the title", self.client.title())
    }

    /// Runs a script in the page and returns its result.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.run(script, self.client.execute(script, Vec::new()))
    }

    /// Returns the text that is visible on the page now.
    #[track_caller]
    pub fn text(&self) -> String {
        let body = self.run("find the body", self.client.find(Locator::Css("body")));
        self.run("read the page's text", body.text())
    }

    /// Waits until the page shows this text.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        self.wait_until(&format!("the page shows {text:?}"), || {
            let body = self.client.find(Locator::Css("body"));
            let shown = self.runtime.block_on(async { body.await?.text().await });
            shown.is_ok_and(|shown| shown.contains(text)).then_some(())
        });
    }

    /// Waits until `check` returns a value. A failure message includes the page's URL and text.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, check: impl FnMut() -> Option<T>) -> T {
        let found = poll(Duration::from_secs(15), check);
        found.unwrap_or_else(|| {
            let (url, text) = (self.url(), self.text());
            panic!("timed out waiting until {what}\nat {url}, which shows:\n{text}")
        })
    }

    /// Waits until exactly one visible element has this role and name.
    #[track_caller]
    pub fn find(&self, role: &str, name: &str) -> PageElement<'_> {
        self.find_in(None, role, name)
    }

    /// Returns all elements with this role and name that are visible now.
    pub fn all(&self, role: &str, name: &str) -> Vec<PageElement<'_>> {
        self.all_in(None, role, name)
    }

    /// Waits until exactly one visible element has one of these roles and this name.
    #[track_caller]
    pub fn find_either(&self, roles: [&str; 2], name: &str) -> PageElement<'_> {
        self.wait_until(&format!("there is one {roles:?} named {name:?}"), || {
            let all = roles.iter().flat_map(|role| self.all(role, name));
            only_element(all.collect())
        })
    }

    #[track_caller]
    fn find_in(&self, scope: Option<&Element>, role: &str, name: &str) -> PageElement<'_> {
        self.wait_until(&format!("there is one {role} named {name:?}"), || {
            only_element(self.all_in(scope, role, name))
        })
    }

    fn all_in(&self, scope: Option<&Element>, role: &str, name: &str) -> Vec<PageElement<'_>> {
        let css = candidate_selector(role);
        let search = async {
            let elements = match scope {
                Some(scope) => scope.find_all(Locator::Css(&css)).await?,
                None => self.client.find_all(Locator::Css(&css)).await?,
            };
            let mut found = Vec::new();
            for element in elements {
                if self.is_visible_match(&element, role, name).await? {
                    found.push(element);
                }
            }
            Ok::<_, CmdError>(found)
        };
        // An error means that an element was removed during the search. Return no elements, so
        // that the caller searches again.
        let found = self.runtime.block_on(search).unwrap_or_default();
        let found = found.into_iter().map(|element| PageElement {
            browser: self,
            element,
        });
        found.collect()
    }

    /// Returns whether an element is visible and has this role and name.
    async fn is_visible_match(
        &self,
        element: &Element,
        role: &str,
        name: &str,
    ) -> Result<bool, CmdError> {
        Ok(
            self.computed_property(element, "computedrole").await? == role
                && self.computed_property(element, "computedlabel").await? == name
                && element.is_displayed().await?,
        )
    }

    async fn computed_property(
        &self,
        element: &Element,
        name: &'static str,
    ) -> Result<String, CmdError> {
        let command = ComputedValue {
            element: element.element_id(),
            name,
        };
        let value = self.client.issue_cmd(command).await?;
        let text = value.as_str().unwrap_or_default();
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing the session ends Chromium. Killing only the driver would leave it running.
        let close = self.client.clone().close();
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), close).await });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Returns the only element of a list, or `None` if the list has another length.
fn only_element<T>(mut list: Vec<T>) -> Option<T> {
    if list.len() == 1 { list.pop() } else { None }
}

/// Returns a CSS selector for all elements that can have this role. Querying the role of every
/// element on a page would take too long.
fn candidate_selector(role: &str) -> String {
    let native = match role {
        "button" => "button, input[type=submit], input[type=button], summary",
        "DisclosureTriangle" => "summary",
        "link" => "a[href]",
        "textbox" => "input, textarea",
        "searchbox" => "input[type=search]",
        "checkbox" | "switch" => "input[type=checkbox], button",
        "radio" => "input[type=radio]",
        "combobox" => "select, input",
        "listbox" => "select",
        "heading" => "h1, h2, h3, h4, h5, h6",
        "article" => "article",
        "form" => "form",
        "group" => "fieldset, details",
        "dialog" | "alertdialog" => "dialog",
        "navigation" => "nav",
        "region" => "section",
        "row" => "tr",
        "table" => "table",
        "status" => "output",
        _ => "*",
    };
    format!("{native}, [role={role}]")
}

fn capabilities(settings: BrowserOptions, profile: &TempDir) -> fantoccini::wd::Capabilities {
    let mut args: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // chromedriver can't compute roles in a frame that has a separate process.
        "--disable-features=IsolateSandboxedIframes",
    ]
    .map(str::to_owned)
    .to_vec();
    args.push(format!("--user-data-dir={}", profile.path().display()));
    args.push(format!(
        "--window-size={},{}",
        settings.width, settings.height
    ));
    let mut options = json!({"args": args, "binary": CHROMIUM});
    if !settings.javascript {
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let mut capabilities = fantoccini::wd::Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port on loopback");
    let address = listener.local_addr();
    address.expect("read the listener's socket address").port()
}
