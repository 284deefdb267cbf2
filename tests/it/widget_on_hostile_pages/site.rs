//! The website with the hostile pages, and steps that a person performs in the widget.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::browser::Browser;
use crate::support::receiver::{Receiver, Reply};

fn directory(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[track_caller]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error} (`tests/run` installs it)", path.display()))
}

/// A website whose pages are the files in `tests/hostile_pages/pages`, and the site's own instance
/// of the program. Each page has a project with the page's name.
pub struct Site {
    pub app: App,
    pub api: Api,
    pub server: Receiver,
    /// The content of the page at `/`.
    page: Arc<Mutex<String>>,
}

impl Site {
    pub fn start() -> Self {
        let app = App::builder()
            .option("--limit-address", "1000/1m")
            .option("--limit-project", "1000/1m")
            .start();
        let api = app.api();
        api.create_project("Shop");
        let url = app.url.clone();
        let shown = Arc::new(Mutex::new(String::new()));
        let page_at_root = Arc::clone(&shown);
        let server = Receiver::script(move |request| {
            let (path, query) = request
                .path()
                .split_once('?')
                .unwrap_or((request.path(), ""));
            match path {
                "/" => html(&page_at_root.lock().unwrap()),
                "/turbo.js" => library("@hotwired/turbo/dist/turbo.es2017-umd.js"),
                "/htmx.js" => library("htmx.org/dist/htmx.min.js"),
                _ => match path.strip_suffix(".html") {
                    // A page in the frame of another page. The inner page uses the outer page's
                    // project.
                    Some(path) if path.starts_with("/framed/") => html(&page(&url, path, query)),
                    Some(path) => html(&page(&url, &format!("/pages{path}"), &path[1..])),
                    None => Reply::status(404),
                },
            }
        });
        Self {
            app,
            api,
            server,
            page: shown,
        }
    }

    /// Replaces the page at `/`. `{{tag}}` is replaced by the widget's script tag, and `{{script}}`
    /// by the script's URL.
    pub fn show(&self, page: &str) {
        *self.page.lock().unwrap() = fill_in(page, &self.app.url, "shop");
    }

    pub fn stored(&self, project: &str) -> Vec<Value> {
        let listed = self.api.get(&format!("/api/v1/feedback?project={project}"));
        listed.expect(200).json()["data"]
            .as_array()
            .unwrap()
            .clone()
    }
}

fn html(page: &str) -> Reply {
    Reply::body(200, page).header("Content-Type", "text/html; charset=utf-8")
}

fn library(path: &str) -> Reply {
    let script = read(&directory("target/hostile_pages/node_modules").join(path));
    Reply::body(200, &script).header("Content-Type", "text/javascript")
}

fn page(url: &str, path: &str, project: &str) -> String {
    let path = directory(&format!("tests/hostile_pages{path}.html"));
    fill_in(&read(&path), url, project)
}

fn fill_in(page: &str, url: &str, project: &str) -> String {
    let tag = format!("<script src=\"{url}/widget.js\" data-project=\"{project}\" defer></script>");
    page.replace("{{tag}}", &tag)
        .replace("{{script}}", &format!("{url}/widget.js"))
        .replace("{{server}}", url)
        .replace("{{project}}", project)
}

/// Returns the names of all hostile pages.
pub fn pages() -> Vec<String> {
    let files = std::fs::read_dir(directory("tests/hostile_pages/pages")).unwrap();
    let names = files.map(|file| file.unwrap().path());
    let mut names: Vec<String> = names
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

pub fn type_text(browser: &Browser, text: &str) {
    browser.press_keys(&text.chars().collect::<Vec<char>>());
}

/// Clicks the middle of an element. `element` is a JavaScript expression.
pub fn click(browser: &Browser, element: &str) {
    let position = browser.wait_until(&format!("there is {element}"), || {
        let box_of = format!("return ({element})?.getBoundingClientRect()");
        let rect = browser.script(&box_of);
        let middle =
            |start: &str, size: &str| Some(rect[start].as_f64()? + rect[size].as_f64()? / 2.0);
        Some((middle("x", "width")?, middle("y", "height")?))
    });
    for event in ["mousePressed", "mouseReleased"] {
        let (x, y) = position;
        let params = json!({"type": event, "x": x, "y": y, "button": "left", "clickCount": 1});
        browser.devtools("Input.dispatchMouseEvent", params);
    }
}
