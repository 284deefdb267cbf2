//! What axe-core finds on the page that a browser shows, and whether the page is wider than the window: light and dark,
//! on a desktop and on a phone. With MINIBACK_SCREENSHOTS, a directory, each is kept there as a picture to look at.

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
const SCHEMES: [&str; 2] = ["light", "dark"];

/// The rules that look at colours.
const COLOURS: &str = "['color-contrast', 'link-in-text-block']";

/// Runs in the page, with all rules where it names none. Of what is hidden or beneath a dialog axe says nothing.
const LOOK: &str = "return (async () => {
    if (!window.axe) window.loadAxe();
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const rules = RULES;
    const runOnly = rules ? { type: 'rule', values: rules } : { type: 'tag', values: tags };
    const found = await axe.run(document, { runOnly, resultTypes: ['violations'], preload: false });
    const told = found.violations.flatMap((one) => one.nodes.map((node) =>
        `${one.id} at ${node.target.flat().join(' ')}: ${node.failureSummary}`));
    const over = document.documentElement.scrollWidth - innerWidth;
    return over > 0 ? [`${over} px too wide`, ...told] : told;
})();";

/// A browser that looks at pages, and what it found on them.
pub struct Inspector {
    pub browser: Browser,
    pictures: Option<PathBuf>,
    pub looked_at: usize,
    pub found: Vec<String>,
}

impl Inspector {
    #[track_caller]
    pub fn start() -> Self {
        let Ok(axe) = std::fs::read_to_string(AXE) else {
            panic!("{AXE} is missing: tests/run installs it");
        };
        let browser = Browser::start();
        // Known in every document from its beginning, and run where it is asked for.
        browser.devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": format!("window.loadAxe = () => {{ {axe} }};")}),
        );
        let pictures = std::env::var_os("MINIBACK_SCREENSHOTS").map(PathBuf::from);
        if pictures.is_some() {
            browser.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true}));
        }
        Self {
            browser,
            pictures,
            looked_at: 0,
            found: Vec::new(),
        }
    }

    /// Looks at the page as it stands now; `state` says which one it is.
    #[track_caller]
    pub fn look(&mut self, state: &str) {
        for scheme in SCHEMES {
            let media = [
                json!({"name": "prefers-color-scheme", "value": scheme}),
                json!({"name": "prefers-reduced-motion", "value": "reduce"}),
            ];
            self.browser
                .devtools("Emulation.setEmulatedMedia", json!({"features": media}));
            for (width, height) in SIZES {
                self.browser.resize(width, height);
                // With each size all is looked at once; of a scheme only the colours are another.
                let all = (scheme == SCHEMES[0]) == ((width, height) == SIZES[0]);
                let rules = if all { "null" } else { COLOURS };
                let told = self.browser.script(&LOOK.replace("RULES", rules));
                let told = told.as_array().cloned().unwrap_or_default();
                let place = format!("{state}, {scheme}, {width} px");
                self.found.extend(
                    told.iter()
                        .filter_map(|one| one.as_str())
                        .map(|one| format!("{place}: {one}")),
                );
                self.looked_at += 1;
                if let Some(directory) = &self.pictures {
                    self.take_picture(directory, &place);
                }
            }
        }
        let (width, height) = SIZES[0];
        self.browser.resize(width, height);
    }

    fn take_picture(&self, directory: &Path, place: &str) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.browser.devtools("Page.captureScreenshot", whole);
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap_or_default());
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = place.chars().map(letter).collect();
        std::fs::create_dir_all(directory).expect("the directory for pictures");
        let path = directory.join(format!("{name}.png"));
        std::fs::write(path, picture.expect("a picture")).expect("a picture is kept");
    }
}
