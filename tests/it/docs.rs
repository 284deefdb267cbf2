//! The start page of the documentation at `/docs`, and the choice of a programming language for the
//! guide's code.

use scraper::Html;

use crate::guide::{GUIDE, selector};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::{Page, Visitor};

const DOCS: &str = "/docs";

fn texts(page: &Page, css: &str) -> Vec<String> {
    let html = Html::parse_document(&page.response.text);
    html.select(&selector(css))
        .map(|element| element.text().collect())
        .collect()
}

/// Checks that every link in the content and the table of contents of `/docs` works. Returns the
/// number of links to sections of `/docs`.
#[track_caller]
fn open_all_links(visitor: &mut Visitor) -> usize {
    let page = visitor.get(DOCS).expect(200);
    let html = Html::parse_document(&page.response.text);
    let links = selector("main a[href], .toc a[href]");
    let targets = html.select(&links).filter_map(|link| link.attr("href"));
    let mut sections = 0;
    for target in targets {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let linked = match path {
            "" => visitor.get(DOCS),
            path => visitor.get(path),
        };
        let linked = linked.expect(200);
        if !anchor.is_empty() {
            let id = format!(" id=\"{anchor}\"");
            assert_eq!(linked.response.text.matches(&id).count(), 1, "{target}");
            sections += usize::from(path.is_empty());
        }
    }
    sections
}

#[test]
fn the_topics_are_public_and_have_only_links_that_work() {
    let app = App::start();
    app.add_user("mel@example.com", "member");
    for email in [None, Some("mel@example.com"), Some(ADMIN)] {
        let mut visitor = app.visitor();
        if let Some(email) = email {
            visitor.sign_in(email, PASSWORD);
        }
        assert!(open_all_links(&mut visitor) >= 10, "{email:?}");
    }
    let page = app.visitor().get(DOCS).expect(200);
    let current = texts(&page, ".sidebar [aria-current=page]");
    assert_eq!(current, ["Documentation"]);
    let sections = texts(&page, ".toc > ul li");
    assert_eq!(sections, texts(&page, "main h2"));
    let snippet = page.text_of("#snippet");
    assert!(
        snippet.contains(&format!("{}/widget.js", app.url)),
        "{snippet}"
    );
}

#[test]
fn the_topics_list_the_shortcuts_of_the_feedback_page() {
    let app = App::start();
    app.api().create_project("Shop");
    let mut admin = app.signed_in();
    let css = "dl kbd";
    let documented = texts(&admin.get(DOCS).expect(200), css);
    assert_eq!(documented, texts(&admin.get("/feedback").expect(200), css));
    assert!(documented.len() > 5, "{documented:?}");
}

#[test]
fn the_language_of_the_code_is_in_the_url_and_is_remembered() {
    let app = App::start();
    let mut visitor = app.visitor();
    let shown = |page: &Page| texts(page, "#verify-code [aria-current=page]").join(" ");
    let first = visitor.get(GUIDE).expect(200);
    assert_eq!(shown(&first), "Express");
    assert!(visitor.cookies.is_empty());
    let link = first.link("Go").expect("find the link");
    let go = visitor.get(&link).expect(200);
    assert_eq!(shown(&go), "Go");
    assert!(go.text_of("#go-code").contains("hmac.Equal"));
    assert_eq!(shown(&visitor.get(GUIDE).expect(200)), "Go");
    let unknown = visitor.get(&format!("{GUIDE}?language=cobol")).expect(200);
    assert_eq!(shown(&unknown), "Express");
    assert_eq!(shown(&visitor.get(GUIDE).expect(200)), "Go");
}
