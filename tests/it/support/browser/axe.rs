//! Runs axe-core on a page. Also checks that the page isn't wider than the window, and that its
//! text has one of the five text sizes of Miniback's pages. Each check runs in light and dark mode,
//! at desktop and phone width. The width is also checked at 320 px, the width of a desktop window
//! at a zoom of 400 %.
//!
//! If `MINIBACK_SCREENSHOTS` is set to a directory, a screenshot of each check is saved there.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::Browser;

const AXE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/axe/node_modules/axe-core/axe.min.js"
);
const SIZES: [(u32, u32); 2] = [(1280, 900), (360, 780)];
/// The smallest window that a page must fit (WCAG 2.2, 1.4.10).
const NARROWEST: (u32, u32) = (320, 256);
const SCHEMES: [&str; 2] = ["light", "dark"];

/// The axe rules that depend on colors.
const COLOR_RULES: &str = "['color-contrast', 'link-in-text-block']";

/// The script that runs in the page. `RULES` is replaced by a list of rules, or by `null` for all
/// rules of WCAG 2.2 A and AA. axe ignores elements that are hidden or covered by a dialog.
const CHECK_SCRIPT: &str = "return (async () => {
    if (!window.axe) window.loadAxe();
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const rules = RULES;
    const runOnly = rules ? { type: 'rule', values: rules } : { type: 'tag', values: tags };
    const options = { runOnly, resultTypes: ['violations'], preload: false };
    const { violations } = await axe.run(document, options);
    const messages = violations.flatMap((rule) => rule.nodes.map((node) =>
        `${rule.id} at ${node.target.flat().join(' ')}: ${node.failureSummary}`));
    return [...measure(), ...messages];
})();";

/// The script that measures the width of the page and, on Miniback's pages, the sizes of the text.
const MEASURE_SCRIPT: &str = "const measure = () => {
    const found = new Set();
    const excess = document.documentElement.scrollWidth - innerWidth;
    if (excess > 0) found.add(`${excess} px too wide`);
    if (!document.querySelector('link[href*=\"/style.css\"]')) return [...found];
    for (const element of document.querySelectorAll('body *')) {
        if (element.closest('.visually-hidden')) continue;
        const nodes = [...element.childNodes];
        const hasText = nodes.some((node) => node.nodeType === 3 && node.data.trim());
        const isField = element.matches(
            'textarea, select, input:not([type=checkbox], [type=radio], [type=hidden])');
        if (!hasText && !isField) continue;
        const size = getComputedStyle(element).fontSize;
        if (!['12px', '13px', '15px', '17px', '22px'].includes(size)) {
            found.add(`text of ${size} at ${element.localName}.${element.className}`);
        }
    }
    return [...found];
};";

/// A browser that checks pages and collects the problems it finds.
pub struct AccessibilityChecker {
    pub browser: Browser,
    screenshots: Option<PathBuf>,
    /// The number of checks so far.
    pub checks: usize,
    pub problems: Vec<String>,
}

impl AccessibilityChecker {
    #[track_caller]
    pub fn start() -> Self {
        let Ok(axe) = std::fs::read_to_string(AXE) else {
            panic!("{AXE} is missing: run `tests/run` once, which installs it");
        };
        let browser = Browser::start();
        // Every document defines this function, but axe-core is loaded only when a check calls the
        // function.
        browser.devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": format!("window.loadAxe = () => {{ {axe} }};")}),
        );
        let screenshots = std::env::var_os("MINIBACK_SCREENSHOTS").map(PathBuf::from);
        if screenshots.is_some() {
            browser.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true}));
        }
        Self {
            browser,
            screenshots,
            checks: 0,
            problems: Vec::new(),
        }
    }

    /// Checks the current page in each color scheme and size. `state` describes the page in problem
    /// messages and in the names of screenshots.
    #[track_caller]
    pub fn check(&mut self, state: &str) {
        for scheme in SCHEMES {
            let media = [
                json!({"name": "prefers-color-scheme", "value": scheme}),
                json!({"name": "prefers-reduced-motion", "value": "reduce"}),
            ];
            self.browser
                .devtools("Emulation.setEmulatedMedia", json!({"features": media}));
            for (width, height) in SIZES {
                self.browser.resize(width, height);
                // Run all rules once per size, because schemes differ only in their colors.
                let run_all = (scheme == SCHEMES[0]) == ((width, height) == SIZES[0]);
                let rules = if run_all { "null" } else { COLOR_RULES };
                let variant = format!("{state}, {scheme}, {width} px");
                self.run(&variant, &CHECK_SCRIPT.replace("RULES", rules));
            }
        }
        let (width, height) = NARROWEST;
        self.browser.resize(width, height);
        self.run(&format!("{state}, {width} px"), "return measure();");
        let (width, height) = SIZES[0];
        self.browser.resize(width, height);
    }

    /// Measures the page, runs a script that returns a list of problems, and records all problems.
    /// Takes a screenshot if `MINIBACK_SCREENSHOTS` is set.
    #[track_caller]
    fn run(&mut self, variant: &str, script: &str) {
        let messages = self.browser.script(&format!("{MEASURE_SCRIPT} {script}"));
        let messages = messages.as_array().cloned().unwrap_or_default();
        self.problems.extend(
            messages
                .iter()
                .filter_map(|message| message.as_str())
                .map(|message| format!("{variant}: {message}")),
        );
        self.checks += 1;
        if let Some(directory) = &self.screenshots {
            self.take_screenshot(directory, variant);
        }
    }

    fn take_screenshot(&self, directory: &Path, variant: &str) {
        let options = json!({"format": "png", "captureBeyondViewport": true});
        let result = self.browser.devtools("Page.captureScreenshot", options);
        let image = BASE64_STANDARD.decode(result["data"].as_str().unwrap_or_default());
        let dashed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = variant.chars().map(dashed).collect();
        std::fs::create_dir_all(directory).expect("create the directory for screenshots");
        let path = directory.join(format!("{name}.png"));
        std::fs::write(path, image.expect("decode the screenshot")).expect("save the screenshot");
    }
}
