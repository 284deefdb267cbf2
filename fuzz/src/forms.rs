//! Fuzz targets for submitted forms, and for pages that show submitted values again.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage};
use futures_util::stream;
use miniback::pages::form_restore::FormRestoration;
use miniback::server::form_data::{FormData, FormError};
use scraper::{ElementRef, Html, Selector};

use super::support::{block_on, piece_size, text};

const FORM_MAX_BYTES: usize = 64 * 1024;

/// Fuzzes the form parser. Input: the piece size ([`piece_size`]) and the body of a form. The
/// result must not depend on how the body is split into pieces.
pub fn form_data(data: &[u8]) -> bool {
    let (size, body) = piece_size(data);
    let whole = read_form(body, body.len().max(1));
    let pieces = read_form(body, size);
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole.fields(), pieces.fields()),
        (whole, pieces) => assert_eq!(whole.as_ref().err(), pieces.as_ref().err()),
    }
    assert!(body.len() <= FORM_MAX_BYTES || whole.is_err());
    let Ok(form) = whole else {
        return false;
    };
    let separators = body.iter().filter(|byte| **byte == b'&').count();
    assert!(form.fields().len() <= separators + 1);
    for (name, _) in form.iter() {
        assert_eq!(Some(form.get(name)), form.get_all(name).next());
    }
    assert!(form.get("missing").is_empty() || form.iter().any(|(name, _)| name == "missing"));
    let encoded = serde_urlencoded::to_string(form.fields()).expect("encode the fields");
    let again = read_form(encoded.as_bytes(), size);
    assert!(again.is_ok_and(|again| again.fields() == form.fields()) || encoded.len() > body.len());
    !form.fields().is_empty()
}

fn read_form(body: &[u8], size: usize) -> Result<FormData, FormError> {
    let request = TestRequest::post()
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .to_http_request();
    let pieces: Vec<Result<Bytes, PayloadError>> = body
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let mut payload: Payload = Payload::Stream {
        payload: Box::pin(stream::iter(pieces)),
    };
    let form = block_on(FormData::from_request(&request, &mut payload))?;
    let stored = request.extensions().get::<FormData>().cloned();
    assert_eq!(stored.as_ref().map(FormData::fields), Some(form.fields()));
    Ok(form)
}

/// A page with two forms. The first form has several kinds of controls, and the second form must
/// not change.
const PAGE: &str = r#"<!DOCTYPE html><html><body><div id="messages"></div>
<form class="card" action="/save" id="main" method="post">
<input name="name" value="stored"><textarea name="text">stored</textarea>
<select name="kind"><option value="a" selected>A</option><option value="b&#38;">B</option></select>
<input type="checkbox" name="topics" value="x" checked><input type="checkbox" name="topics" value="y">
<input type="password" name="password"><input type="hidden" name="stamp" value="1"></form>
<input name="outside" form="main" value="stored"><form action="/other"><input name="name" value="other"></form>
</body></html>"#;

/// Fuzzes the restoration of submitted values in a page. Input: the encoded fields of a form. The
/// controls in the page must have these values, except for passwords.
pub fn form_restore(data: &[u8]) -> bool {
    let Ok(fields) = serde_urlencoded::from_bytes::<Vec<(String, String)>>(data) else {
        return false;
    };
    let restoration = FormRestoration {
        action: "/save",
        fields: &fields,
        only: None,
        invalid: &["name"],
        notice: None,
    };
    let page = restoration
        .restore_form(PAGE)
        .expect("the page contains the form");
    let (before, after) = (Html::parse_document(PAGE), Html::parse_document(&page));
    let count = |page: &Html| select(page, "*").len();
    assert_eq!(count(&before), count(&after), "{page}");
    assert_eq!(value(&after, "form[action='/other'] input"), "other");
    assert_eq!(
        value(&after, "[type=password]"),
        "",
        "a password stays empty"
    );

    let submitted = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    for name in ["name", "stamp", "outside"] {
        let stored = if name == "stamp" { "1" } else { "stored" };
        let shown = value(&after, &format!("[name={name}]"));
        assert_eq!(
            shown,
            as_parsed(submitted(name).unwrap_or(stored)),
            "{name}"
        );
    }
    let area: String = select(&after, "textarea")[0].text().collect();
    assert_eq!(area, as_parsed(submitted("text").unwrap_or("stored")));
    for control in select(&after, "[type=checkbox]") {
        let own = control.value().attr("value").unwrap_or_default();
        let is_submitted = fields.iter().any(|(n, v)| n == "topics" && v == own);
        assert_eq!(control.value().attr("checked").is_some(), is_submitted);
    }
    for option in select(&after, "option") {
        let own = option.value().attr("value").unwrap_or_default();
        let is_selected = match submitted("kind") {
            Some(_) => fields.iter().any(|(n, v)| n == "kind" && v == own),
            None => own == "a",
        };
        assert_eq!(option.value().attr("selected").is_some(), is_selected);
    }
    submitted("name").is_some_and(|value| text(data).contains("%3C") && value.contains('<'))
}

fn select<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    let selector = Selector::parse(selector).expect("the selector is valid");
    page.select(&selector).collect()
}

fn value(page: &Html, selector: &str) -> String {
    let control = select(page, selector).into_iter().next();
    let control = control.expect("the page contains the control");
    control.value().attr("value").unwrap_or_default().to_owned()
}

/// Returns the text as an HTML parser reads it.
fn as_parsed(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace('\0', "\u{fffd}")
}
