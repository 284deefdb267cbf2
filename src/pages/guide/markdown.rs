//! Converts the page of the guide to Markdown, so that the text has a single source.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header, Quality};
use htmd::HtmlToMarkdown;
use htmd::options::{BulletListMarker, Options};
use lol_html::errors::RewritingError;
use lol_html::html_content::{ContentType, Element};
use lol_html::{HandlerResult, RewriteStrSettings, element, rewrite_str};

use crate::pages::framework::page_error::PageError;

/// Returns whether the request prefers Markdown to HTML. Browsers don't ask for Markdown.
pub(super) fn is_preferred(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else {
        return false;
    };
    let quality = |kind: &str| {
        let mut items = accept.iter();
        let item = items.find(|item| item.item.essence_str() == kind);
        item.map_or(Quality::ZERO, |item| item.quality)
    };
    let markdown = quality("text/markdown");
    markdown > Quality::ZERO && markdown >= quality("text/html")
}

/// Converts the `<main>` element of a page. Links become absolute: `origin` is the public origin of
/// this installation, and `page_url` is the URL of the page.
pub(super) fn from_page(html: &str, origin: &str, page_url: &str) -> Result<String, PageError> {
    let main = html.split_once("<main").and_then(|(_, rest)| {
        let (main, _) = rest.split_once("</main>")?;
        Some(format!("<main{main}</main>"))
    });
    let main = main.ok_or_else(|| PageError::Internal("the page has no <main>".into()))?;
    let simplified = simplify(&main, origin, page_url)
        .map_err(|error| PageError::Internal(error.to_string()))?;
    let converter = HtmlToMarkdown::builder()
        .options(Options {
            bullet_list_marker: BulletListMarker::Dash,
            ul_bullet_spacing: 1,
            ol_number_spacing: 1,
            ..Options::default()
        })
        .build();
    let mut markdown = converter
        .convert(&simplified)
        .map_err(|error| PageError::Internal(error.to_string()))?;
    markdown.push('\n');
    Ok(markdown)
}

/// Removes the controls, and replaces elements that have no counterpart in Markdown.
fn simplify(html: &str, origin: &str, page_url: &str) -> Result<String, RewritingError> {
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!("svg, button, nav, .html-only", |e| {
            e.remove();
            Ok(())
        }))
        .append_element_content_handler(element!("a[href]", |link| {
            let href = link.get_attribute("href").unwrap_or_default();
            let base = if href.starts_with('#') {
                page_url
            } else {
                origin
            };
            link.set_attribute("href", &format!("{base}{href}"))?;
            Ok(())
        }))
        .append_element_content_handler(element!("pre", mark_as_code))
        // A term and its description become an item of a list: “term: description”.
        .append_element_content_handler(element!("dl", |list| rename(list, "ul")))
        .append_element_content_handler(element!("dl > div", |item| rename(item, "li")))
        .append_element_content_handler(element!("dt", |term| {
            term.append(": ", ContentType::Text);
            term.remove_and_keep_content();
            Ok(())
        }))
        .append_element_content_handler(element!("dd, summary h3", |e| {
            e.remove_and_keep_content();
            Ok(())
        }))
        .append_element_content_handler(element!("summary", |summary| rename(summary, "h3")))
        // The name of a checklist’s item is part of the item, not a heading.
        .append_element_content_handler(element!("h4", |name| {
            name.prepend("<b>", ContentType::Html);
            name.append("</b>", ContentType::Html);
            rename(name, "p")
        }));
    rewrite_str(html, settings)
}

fn rename(element: &mut Element<'_, '_>, tag: &str) -> HandlerResult {
    element.set_tag_name(tag)?;
    Ok(())
}

/// Adds a `<code>` with the language to a `<pre>`.
fn mark_as_code(block: &mut Element<'_, '_>) -> HandlerResult {
    let language = block.get_attribute("data-language").unwrap_or_default();
    let code = format!("<code class=\"language-{language}\">");
    block.prepend(&code, ContentType::Html);
    block.append("</code>", ContentType::Html);
    Ok(())
}
