//! A visitor whose browser doesn't run JavaScript. The visitor stores cookies and sends the same
//! headers as a browser, but follows redirects only on request.

use std::collections::BTreeMap;

use scraper::Html;

use super::forms::{FilledForm, Form, collapse_whitespace, path_and_query, selector};
use super::http::{self, Response};

#[derive(Clone)]
pub struct Visitor {
    /// Scheme, host, and port.
    origin: String,
    /// The path of the base URL, or an empty string.
    base_path: String,
    /// The values of the cookies by name.
    pub cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Creates a visitor without cookies. `base` is the program's public URL, with or without a
    /// path.
    pub fn new(base: &str) -> Self {
        let url = url::Url::parse(base).expect("parse the base URL");
        Self {
            origin: url.origin().ascii_serialization(),
            base_path: url.path().trim_end_matches('/').to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// Requests a page by its path below the base path, such as `/login`.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Page {
        let path = format!("{}{path}", self.base_path);
        self.fetch("GET", &path, &[], None)
    }

    /// Posts form fields to an absolute path, with headers such as `Origin`.
    #[track_caller]
    pub fn post_from(
        &mut self,
        path: &str,
        fields: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Page {
        let body = serde_urlencoded::to_string(fields).expect("encode the form fields");
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.fetch("POST", path, &all, Some(body.as_bytes()))
    }

    /// Submits a form with the headers that a browser sends on the form's page.
    #[track_caller]
    pub fn submit(&mut self, filled: &FilledForm) -> Page {
        let origin = self.origin.clone();
        if filled.method == "post" {
            return self.post_from(
                &filled.action,
                &filled.fields,
                &same_origin_headers(&origin),
            );
        }
        let query = serde_urlencoded::to_string(&filled.fields).expect("encode the form fields");
        let path = filled.action.split('?').next().unwrap_or_default();
        self.fetch("GET", &format!("{path}?{query}"), &[], None)
    }

    /// Follows a redirect. Panics unless the response is a redirect within the origin.
    #[track_caller]
    pub fn follow(&mut self, page: &Page) -> Page {
        let status = page.response.status;
        assert!(
            matches!(status, 302 | 303),
            "not a redirect to a page: {:?}",
            page.response
        );
        let path = page.location();
        self.fetch("GET", &path, &[], None)
    }

    /// Follows the link with the text `link` and returns the page.
    #[track_caller]
    pub fn follow_link(&mut self, page: &Page, link: &str) -> Page {
        let path = page
            .link(link)
            .unwrap_or_else(|| panic!("no link {link:?}: {:?}", page.response));
        self.fetch("GET", &path, &[], None).expect(200)
    }

    /// Submits a form and follows the redirect in the response.
    #[track_caller]
    pub fn submit_and_follow(&mut self, filled: &FilledForm) -> Page {
        let page = self.submit(filled);
        self.follow(&page)
    }

    #[track_caller]
    pub fn sign_in(&mut self, email: &str, password: &str) -> Page {
        let page = self.try_sign_in(email, password);
        assert!(
            matches!(page.response.status, 302 | 303),
            "sign-in failed: {:?}",
            page.response
        );
        page
    }

    #[track_caller]
    pub fn try_sign_in(&mut self, email: &str, password: &str) -> Page {
        let page = self.get("/login");
        let form = page.form_with("Sign in");
        let filled = form
            .fill("Email", email)
            .fill("Password", password)
            .press("Sign in");
        self.submit(&filled)
    }

    /// Returns the value of the session cookie.
    pub fn session_cookie(&self) -> Option<String> {
        self.cookies.get("miniback_session").cloned()
    }

    /// Requests an absolute path with the stored cookies, and stores the cookies of the response.
    #[track_caller]
    pub fn fetch(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let url = format!("{}{path}", self.origin);
        let response = http::send(method, &url, &all, body);
        for line in response.all_headers("set-cookie") {
            self.store_cookie(line);
        }
        Page {
            path: path.to_owned(),
            origin: self.origin.clone(),
            response,
        }
    }

    fn store_cookie(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let attributes = attributes.to_ascii_lowercase();
        let is_expired = attributes.split(';').any(|attribute| {
            let attribute = attribute.trim();
            attribute == "max-age=0" || attribute.contains("1970")
        });
        if is_expired || value.is_empty() {
            self.cookies.remove(name.trim());
        } else {
            self.cookies
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
}

pub fn same_origin_headers(origin: &str) -> [(&str, &str); 2] {
    [("Origin", origin), ("Sec-Fetch-Site", "same-origin")]
}

/// A response together with its URL.
pub struct Page {
    /// The absolute path that was requested.
    pub path: String,
    origin: String,
    pub response: Response,
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.response.status, status, "{:?}", self.response);
        self
    }

    /// Returns the path and query of the `Location` header. Panics if the header is missing or
    /// contains another origin.
    #[track_caller]
    pub fn location(&self) -> String {
        let Some(location) = self.response.header("location") else {
            panic!("no Location header: {:?}", self.response);
        };
        let target = self
            .url()
            .join(location)
            .expect("parse the Location header");
        assert_eq!(
            target.origin().ascii_serialization(),
            self.origin,
            "redirects to another origin: {:?}",
            self.response
        );
        path_and_query(&target)
    }

    fn url(&self) -> url::Url {
        let url = format!("{}{}", self.origin, self.path);
        url::Url::parse(&url).expect("parse the page's URL")
    }

    /// Returns the text of the page, with white space collapsed.
    pub fn text(&self) -> String {
        let html = Html::parse_document(&self.response.text);
        let body = selector("body");
        let texts: Vec<String> = html
            .select(&body)
            .flat_map(|body| body.text().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        collapse_whitespace(&texts.join(" "))
    }

    /// Returns the exact text of the only element that matches a CSS selector.
    #[track_caller]
    pub fn text_of(&self, css: &str) -> String {
        let html = Html::parse_document(&self.response.text);
        match html.select(&selector(css)).collect::<Vec<_>>().as_slice() {
            [element] => element.text().collect(),
            found => panic!("{} elements match {css}: {:?}", found.len(), self.response),
        }
    }

    /// Returns the names and values of all attributes that contain a URL: `href`, `src`, `action`,
    /// and `formaction`.
    pub fn urls(&self) -> Vec<(String, String)> {
        let html = Html::parse_document(&self.response.text);
        let mut found = Vec::new();
        for attribute in ["href", "src", "action", "formaction"] {
            for element in html.select(&selector(&format!("[{attribute}]"))) {
                let value = element.attr(attribute).unwrap_or_default();
                found.push((attribute.to_owned(), value.to_owned()));
            }
        }
        found
    }

    /// Returns the absolute path and query of the link with this text or `aria-label`.
    pub fn link(&self, text: &str) -> Option<String> {
        let html = Html::parse_document(&self.response.text);
        let links = selector("a[href]");
        let found = html.select(&links).find(|link| {
            let link_text: String = link.text().collect();
            link_text.trim() == text || link.attr("aria-label") == Some(text)
        })?;
        let target = self.url().join(found.attr("href")?).ok()?;
        Some(path_and_query(&target))
    }

    pub fn forms(&self) -> Vec<Form> {
        Form::read_all(&self.response.text, &self.path)
    }

    /// Returns the value of the field with this label, inside or outside of a form.
    #[track_caller]
    pub fn field_value(&self, label: &str) -> String {
        match Form::field_value(&self.response.text, label) {
            Some(value) => value,
            None => panic!("no field {label:?}: {:?}", self.response),
        }
    }

    /// Returns the only form with this button inside an element with this label.
    #[track_caller]
    pub fn form_in(&self, label: &str, button: &str) -> Form {
        let mut forms = self.forms_with(button);
        forms.retain(|form| form.enclosing_labels.iter().any(|name| name == label));
        assert_eq!(
            forms.len(),
            1,
            "expected one form with a button {button:?} in {label:?}: {:?}",
            self.response
        );
        forms.remove(0)
    }

    /// Returns the only form with this button.
    #[track_caller]
    pub fn form_with(&self, button: &str) -> Form {
        let mut forms = self.forms_with(button);
        assert_eq!(
            forms.len(),
            1,
            "expected one form with a button {button:?}: {:?}",
            self.response
        );
        forms.remove(0)
    }

    /// Returns all forms with this button, in page order.
    pub fn forms_with(&self, button: &str) -> Vec<Form> {
        let mut forms = self.forms();
        forms.retain(|form| form.has_button(button));
        forms
    }
}
