//! A real browser: headless Chromium, driven through chromedriver, by role and accessible name.
//!
//! Roles and names are what the browser itself computes for assistive technology (WebDriver's `computedrole` and
//! `computedlabel`), so the same finders serve with scripts on and off. Each browser has a driver and a profile of its
//! own, and both end with it. The interface is blocking, like everything else in these tests.

pub mod axe;
pub mod shadow;

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

use super::wait::{until, until_within};
use super::webdriver::{Computed, DevTools};

const CHROMEDRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";

/// What a browser should be like.
#[derive(Clone, Copy)]
pub struct Settings {
    pub javascript: bool,
    pub width: u32,
    pub height: u32,
}

impl Default for Settings {
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
        Self::with(Settings::default())
    }

    #[track_caller]
    pub fn without_javascript() -> Self {
        Self::with(Settings {
            javascript: false,
            ..Settings::default()
        })
    }

    #[track_caller]
    pub fn with(settings: Settings) -> Self {
        for program in [CHROMEDRIVER, CHROMIUM] {
            assert!(
                std::path::Path::new(program).exists(),
                "{program} is missing: the tests of the pages need the Debian packages `chromium` and \
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
            .expect("chromedriver starts");
        until("chromedriver listens", || {
            let ended = driver.try_wait().expect("the driver can be waited for");
            assert!(ended.is_none(), "chromedriver ended at once: {ended:?}");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let profile = TempDir::new().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut connector = ClientBuilder::new(HttpConnector::new());
        connector.capabilities(capabilities(settings, &profile));
        let address = format!("http://127.0.0.1:{port}");
        match runtime.block_on(connector.connect(&address)) {
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
                panic!("Chromium did not start: {error}");
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

    /// Gives the page a size of its own: a window cannot be narrower than 500 px.
    #[track_caller]
    fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sends a command of the DevTools protocol, for what WebDriver has no words for.
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
        self.run("the address", self.client.current_url()).into()
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.run("the title", self.client.title())
    }

    /// Runs a script in the page and returns what it returns.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.run(script, self.client.execute(script, Vec::new()))
    }

    /// The text that is seen on the page now.
    #[track_caller]
    pub fn text(&self) -> String {
        let body = self.run("the body", self.client.find(Locator::Css("body")));
        self.run("the page's text", body.text())
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        self.wait_until(&format!("the page shows {text:?}"), || {
            let body = self.client.find(Locator::Css("body"));
            let shown = self.runtime.block_on(async { body.await?.text().await });
            shown.is_ok_and(|shown| shown.contains(text)).then_some(())
        });
    }

    /// Looks until there is something; a failure comes with the page's address and text.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until_within(Duration::from_secs(15), what, look)
        }));
        match found {
            Ok(found) => found,
            Err(_) => panic!(
                "waited in vain: {what}\nat {}, which shows:\n{}",
                self.url(),
                self.text()
            ),
        }
    }

    /// Waits for the one visible element of this role and name.
    #[track_caller]
    pub fn find(&self, role: &str, name: &str) -> Found<'_> {
        self.find_in(None, role, name)
    }

    /// All visible elements of this role and name that are there now.
    pub fn all(&self, role: &str, name: &str) -> Vec<Found<'_>> {
        self.all_in(None, role, name)
    }

    #[track_caller]
    pub fn find_either(&self, roles: [&str; 2], name: &str) -> Found<'_> {
        self.wait_until(&format!("one {roles:?} named {name:?}"), || {
            let all = roles.iter().flat_map(|role| self.all(role, name));
            let mut all: Vec<Found<'_>> = all.collect();
            if all.len() == 1 { all.pop() } else { None }
        })
    }

    #[track_caller]
    fn find_in(&self, scope: Option<&Element>, role: &str, name: &str) -> Found<'_> {
        self.wait_until(&format!("one {role} named {name:?}"), || {
            let mut all = self.all_in(scope, role, name);
            if all.len() == 1 { all.pop() } else { None }
        })
    }

    fn all_in(&self, scope: Option<&Element>, role: &str, name: &str) -> Vec<Found<'_>> {
        let css = candidates(role);
        let search = async {
            let elements = match scope {
                Some(scope) => scope.find_all(Locator::Css(&css)).await?,
                None => self.client.find_all(Locator::Css(&css)).await?,
            };
            let mut found = Vec::new();
            for element in elements {
                if self.computed(&element, "computedrole").await? == role
                    && self.computed(&element, "computedlabel").await? == name
                    && element.is_displayed().await?
                {
                    found.push(element);
                }
            }
            Ok::<_, CmdError>(found)
        };
        // An error here is an element that went away while it was looked at: there is none, then, and one looks again.
        let found = self.runtime.block_on(search).unwrap_or_default();
        let found = found.into_iter();
        found
            .map(|element| Found {
                browser: self,
                element,
            })
            .collect()
    }

    async fn computed(&self, element: &Element, what: &'static str) -> Result<String, CmdError> {
        let command = Computed {
            element: element.element_id(),
            what,
        };
        let value = self.client.issue_cmd(command).await?;
        let text = value.as_str().unwrap_or_default();
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing the session ends Chromium; killing the driver alone would leave it running.
        let close = self.client.clone().close();
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), close).await });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// An element on the page.
#[derive(Clone)]
pub struct Found<'a> {
    browser: &'a Browser,
    element: Element,
}

impl<'a> Found<'a> {
    #[track_caller]
    pub fn press(&self) {
        self.browser.run("press", self.element.click());
    }

    /// Writes into a field in place of what it holds.
    #[track_caller]
    pub fn fill(&self, text: &str) {
        self.browser.run("clear", self.element.clear());
        self.browser.run("write", self.element.send_keys(text));
    }

    #[track_caller]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.browser.run(name, self.element.attr(name))
    }

    /// What a field holds.
    #[track_caller]
    pub fn value(&self) -> String {
        let value = self.browser.run("value", self.element.prop("value"));
        value.unwrap_or_default()
    }

    #[track_caller]
    pub fn is_checked(&self) -> bool {
        self.browser.run("checked", self.element.is_selected())
    }

    /// Waits for the one visible element of this role and name within this one.
    #[track_caller]
    pub fn find(&self, role: &str, name: &str) -> Found<'a> {
        self.browser.find_in(Some(&self.element), role, name)
    }

    pub fn all(&self, role: &str, name: &str) -> Vec<Found<'a>> {
        self.browser.all_in(Some(&self.element), role, name)
    }

    /// The element's expand arrow: a `summary`, or a button that says whether it is expanded.
    #[track_caller]
    pub fn arrow(&self) -> Found<'a> {
        let arrow = Locator::Css("summary, button[aria-expanded]");
        Found {
            browser: self.browser,
            element: self.browser.run("the arrow", self.element.find(arrow)),
        }
    }
}

/// Which elements can have a role at all: asking the browser about each element of a page would take too long.
fn candidates(role: &str) -> String {
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

fn capabilities(settings: Settings, profile: &TempDir) -> fantoccini::wd::Capabilities {
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("an address").port()
}
