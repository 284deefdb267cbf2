//! Tests with the headers of real browsers, and with arbitrary headers.

use proptest::prelude::*;

use super::UserAgent;

/// Headers of current browsers, with the browser and the system that they identify.
const HEADERS: [(&str, &str, &str); 27] = [
    (
        "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0",
        "Firefox 131",
        "Android",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Firefox 132",
        "Linux",
    ),
    (
        "Mozilla/5.0 (X11; OpenBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Firefox 128",
        "BSD",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0",
        "Firefox 131",
        "macOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/131.0 Mobile/15E148 Safari/605.1.15",
        "Firefox 131",
        "iOS 18",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Chrome 130",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
        "Chrome 130",
        "Android",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Chrome 130",
        "ChromeOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
        "Chrome 130",
        "Linux",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.90 Mobile/15E148 Safari/604.1",
        "Chrome 130",
        "iOS 17",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
        "Edge 130",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36 EdgA/129.0.2792.84",
        "Edge 129",
        "Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/129.2792.84 Mobile/15E148 Safari/605.1.15",
        "Edge 129",
        "iOS 18",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 OPR/115.0.0.0",
        "Opera 115",
        "macOS",
    ),
    (
        "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
        "Opera Mini 36",
        "Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
        "Samsung Internet 26",
        "Android",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 YaBrowser/24.10.0.0 Safari/537.36",
        "Yandex Browser 24",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15 Ddg/18.1",
        "DuckDuckGo 18",
        "macOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "Safari 18",
        "iOS 18",
    ),
    // Since iOS 26, Safari sends a fixed version of the system.
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
        "Safari 26",
        "iOS 26",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
        "Safari 17",
        "iPadOS 17",
    ),
    // By default, an iPad sends the header of a Mac.
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
        "Safari 18",
        "macOS",
    ),
    // An app's own view of a website has no name of a browser.
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "",
        "iOS 18",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 [FBAN/EMA;FBAV/434.0.0.0.50;]",
        "Chrome 130",
        "Android",
    ),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS Safari/", "", "iOS"),
    ("Mozilla/5.0 Firefox/99999999999 (Linux", "Firefox", "Linux"),
    ("Mozilla/5.0 Firefox/\u{661}\u{0}<b>", "Firefox", ""),
];

#[test]
fn identifies_browsers_that_imitate_others() {
    for (header, browser, system) in HEADERS {
        let agent = UserAgent::parse(header);
        let shown = (agent.browser(), agent.system());
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        assert_eq!(shown, (known(browser), known(system)), "{header}");
    }
}

#[test]
fn bots_and_tools_have_no_browser() {
    for header in [
        "",
        " ",
        "Mozilla/",
        "<script>alert(1)</script>",
        "Firefox/131.0 (Linux)",
        "curl/8.5.0",
        "python-requests/2.32.3",
        "node",
        "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36 (compatible; GPTBot/1.2)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    ] {
        let agent = UserAgent::parse(header);
        assert_eq!(agent, UserAgent::default(), "{header}");
        assert_eq!(agent.names(), "");
    }
}

#[test]
fn the_names_have_no_version() {
    for (header, names) in [
        (HEADERS[0].0, "Firefox on Android"),
        (HEADERS[18].0, "Safari on iOS"),
        (HEADERS[22].0, "A browser on iOS"),
        (HEADERS[26].0, "Firefox"),
    ] {
        assert_eq!(UserAgent::parse(header).names(), names);
    }
}

proptest! {
    #[test]
    fn any_header_gives_short_printable_names(
        prefix in prop::sample::select(vec!["", "Mozilla/5.0 ", "Opera/9 "]),
        marks in prop::collection::vec(
            prop_oneof![
                prop::sample::select(super::BROWSERS.map(|(mark, _)| mark).to_vec()),
                prop::sample::select(super::SYSTEMS.map(|(mark, _)| mark).to_vec()),
                prop::sample::select(vec!["CPU iPhone OS ", "CPU OS "]),
            ],
            0..4,
        ),
        texts in prop::collection::vec("\\PC{0,9}|[0-9]{0,9}|.{0,9}", 4),
    ) {
        let marked = marks.iter().zip(&texts).map(|(mark, text)| format!("{mark}{text}"));
        let agent = UserAgent::parse(&format!("{prefix}{}{}", marked.collect::<String>(), texts[3]));
        for word in [agent.browser(), agent.system(), Some(agent.names())].into_iter().flatten() {
            prop_assert!(word.len() <= 40, "{word}");
            prop_assert!(word.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{word}");
        }
    }
}
