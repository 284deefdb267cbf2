//! The webhook guide as Markdown.

use scraper::Html;

use crate::guide::{GUIDE, selector};
use crate::support::app::App;
use crate::support::http::{self, Response};

const MARKDOWN: &str = "text/markdown; charset=utf-8";

fn get_accepting(app: &App, path: &str, accept: &str) -> Response {
    let headers = [("Accept", accept)];
    http::send("GET", &format!("{}{path}", app.url), &headers, None).expect(200)
}

#[test]
fn the_markdown_has_the_sections_and_the_code_of_the_page() {
    let base = "https://example.com/miniback";
    let app = App::builder()
        .option("--base-url", base)
        .option("--timeout", "7s")
        .start();
    let mut visitor = app.visitor();
    let page = visitor.get(GUIDE).expect(200);
    let link = page.link("View as Markdown").expect("find the link");
    assert_eq!(link, "/miniback/docs/webhooks.md");
    let response = app.api_without_token().get(&link).expect(200);
    assert_eq!(response.header("content-type"), Some(MARKDOWN));
    let markdown = response.text;
    let html = Html::parse_document(&page.response.text);
    let headings = selector("main h1, main h2");
    for heading in html.select(&headings) {
        let heading: String = heading.text().collect();
        let lines = ["# ", "## "].map(|marks| format!("{marks}{heading}"));
        assert!(
            lines.iter().any(|line| markdown.lines().any(|l| l == line)),
            "{heading}"
        );
    }
    for expected in [
        "\n```json\n{\n  \"event\": \"feedback.created\",\n",
        "\n### Flask\n",
        "\n```go\n",
        "hmac.compare_digest(",
        "within **7 s**",
        "- `Content-Type`: `application/json`\n",
        "[Troubleshooting](https://example.com/miniback/docs/webhooks#troubleshooting)",
        "(https://example.com/miniback/docs/schemas/feedback.created.json)",
        "1. **The endpoint can be reached**\n",
    ] {
        assert!(
            markdown.contains(expected),
            "{expected} is missing: {markdown}"
        );
    }
    // Outside code blocks, no HTML remains.
    let text: String = markdown.split("```").step_by(2).collect();
    for remains in [
        "</",
        "<svg",
        "<p",
        "](#",
        "](/",
        "View as Markdown",
        "Copy\n",
    ] {
        assert!(!text.contains(remains), "{remains}: {text}");
    }
}

#[test]
fn a_client_that_accepts_markdown_gets_it_at_the_path_of_the_guide() {
    let app = App::start();
    let markdown = get_accepting(&app, "/docs/webhooks.md", "*/*");
    for (accept, is_markdown) in [
        ("text/markdown", true),
        ("text/markdown, text/html, */*", true),
        ("text/markdown;q=0.9, text/html;q=0.8", true),
        ("text/html, text/markdown;q=0.5", false),
        ("text/markdown;q=0", false),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            false,
        ),
        ("*/*", false),
        ("not a media type", false),
    ] {
        let response = get_accepting(&app, GUIDE, accept);
        assert!(
            response.all_headers("vary").contains(&"Accept"),
            "{accept}: {response:?}"
        );
        let kind = response.header("content-type");
        if is_markdown {
            assert_eq!(kind, Some(MARKDOWN), "{accept}");
            assert_eq!(response.text, markdown.text);
        } else {
            assert_eq!(kind, Some("text/html; charset=utf-8"), "{accept}");
        }
    }
}

#[test]
fn the_markdown_is_the_same_for_admins_and_in_every_language() {
    let app = App::start();
    app.api().create_webhook("http://localhost:9/secret-path");
    let path = "/docs/webhooks.md";
    let public = app.api_without_token().get(path).expect(200).text;
    let mut admin = app.signed_in();
    admin.get("/docs/webhooks?language=go").expect(200);
    assert_eq!(admin.get(path).expect(200).response.text, public);
}
