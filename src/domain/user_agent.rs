//! The browser and the operating system that a `User-Agent` header identifies. The header itself
//! isn't stored.
//!
//! A table of a few lines is enough, because browsers no longer put details into the header. Crates
//! for this header need a large file of regular expressions, mostly for devices and bots.

/// Text in a `User-Agent` header, and the browser that it identifies. The order matters: the header
/// of Edge, for example, contains "Chrome/" and "Safari/" too.
const BROWSERS: [(&str, &str); 20] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPX/", "Opera GX"),
    ("Opera Mini/", "Opera Mini"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Whale/", "Whale"),
    ("UCBrowser/", "UC Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    (SAFARI_VERSION, "Safari"),
];
/// The version of Safari, which is not after its name.
const SAFARI_VERSION: &str = "Version/";
const IOS: &str = "iOS";
const IPADOS: &str = "iPadOS";
/// Text in a `User-Agent` header, and the operating system that it identifies. The versions of the
/// others are omitted, because browsers send the same version for all of them.
const SYSTEMS: [(&str, &str); 10] = [
    ("Android", "Android"),
    ("iPhone", IOS),
    ("iPod", IOS),
    ("iPad", IPADOS),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    // An iPad that requests desktop websites looks like a Mac.
    ("Macintosh", "macOS"),
    ("KAIOS", "KaiOS"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];
/// Text that is only in the headers of bots, in lower case.
const BOT_MARKS: [&str; 5] = ["+http", "bot/", "bot;", "spider", "crawler"];

/// The browser and the operating system of a person. Both are unknown for other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    browser: Option<Product>,
    system: Option<Product>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Product {
    name: &'static str,
    /// The first number of the version.
    version: Option<u16>,
}

impl Product {
    /// Returns the name and the version, such as `Firefox 131`.
    fn with_version(self) -> String {
        match self.version {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.to_owned(),
        }
    }
}

impl UserAgent {
    /// Parses a `User-Agent` header.
    pub fn parse(header: &str) -> Self {
        let is_browser = header.starts_with("Mozilla/") || header.starts_with("Opera/");
        let lower_case = header.to_ascii_lowercase();
        if !is_browser || BOT_MARKS.iter().any(|mark| lower_case.contains(mark)) {
            return Self::default();
        }
        let browser = find_known(header, &BROWSERS).map(|(mark, name)| Product {
            name,
            version: version_after(header, mark),
        });
        let system = find_known(header, &SYSTEMS).map(|(_, name)| Product {
            name,
            version: ios_version(header).filter(|_| name == IOS || name == IPADOS),
        });
        Self { browser, system }
    }

    /// Returns the browser with its version, such as `Firefox 131`.
    pub fn browser(&self) -> Option<String> {
        self.browser.map(Product::with_version)
    }

    /// Returns the operating system, such as `Android` or `iOS 18`.
    pub fn system(&self) -> Option<String> {
        self.system.map(Product::with_version)
    }

    /// Returns the names without versions, such as `Firefox on Linux`, or an empty string if both
    /// are unknown. The text remains true when the browser is updated.
    pub fn names(&self) -> String {
        match (self.browser, self.system) {
            (Some(browser), Some(system)) => format!("{} on {}", browser.name, system.name),
            (Some(browser), None) => browser.name.into(),
            (None, Some(system)) => format!("A browser on {}", system.name),
            (None, None) => String::new(),
        }
    }
}

fn find_known<const N: usize>(
    header: &str,
    known: &[(&'static str, &'static str); N],
) -> Option<(&'static str, &'static str)> {
    known
        .iter()
        .copied()
        .find(|(mark, _)| header.contains(mark))
}

/// Returns the number after the first occurrence of `mark`.
fn version_after(header: &str, mark: &str) -> Option<u16> {
    let (_, rest) = header.split_once(mark)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns the version of iOS or iPadOS. Since version 26, Safari sends "OS 18" for all versions.
/// Therefore, Safari's own version is used if it is higher. The two have the same numbers.
fn ios_version(header: &str) -> Option<u16> {
    let system = header
        .split_once("CPU iPhone OS ")
        .or_else(|| header.split_once("CPU OS "))
        .and_then(|(_, rest)| version_after(rest, ""));
    system.max(version_after(header, SAFARI_VERSION).filter(|_| system.is_some()))
}

#[cfg(test)]
mod tests;
