//! Somebody with a browser that runs no scripts: keeps cookies, sends what a browser sends, follows only when told.

use std::collections::BTreeMap;

use scraper::{Html, Selector};

use super::forms::{Filled, Form};
use super::http::{Answer, Client};

pub struct Visitor {
    /// Scheme, host and port: what a browser calls the origin.
    origin: String,
    /// The path beneath which the program's addresses are, or nothing.
    base_path: String,
    /// Name and value.
    pub cookies: BTreeMap<String, String>,
    client: Client,
}

impl Visitor {
    /// `base` is the program's public address, with a path or without.
    pub fn new(base: &str) -> Self {
        let url = url::Url::parse(base).expect("the base address is one");
        Self {
            origin: url.origin().ascii_serialization(),
            base_path: url.path().trim_end_matches('/').to_owned(),
            cookies: BTreeMap::new(),
            client: Client::new(),
        }
    }

    /// Gets a page by its path within the program: `/login`.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Page {
        let at = format!("{}{path}", self.base_path);
        self.fetch("GET", &at, &[], None)
    }

    /// Posts to an absolute path with the given headers about where the request comes from.
    #[track_caller]
    pub fn post_from(
        &mut self,
        at: &str,
        fields: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Page {
        let body = serde_urlencoded::to_string(fields).expect("fields are text");
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.fetch("POST", at, &all, Some(body.as_bytes()))
    }

    /// Sends a filled form from the page that it is on.
    #[track_caller]
    pub fn submit(&mut self, filled: &Filled) -> Page {
        let origin = self.origin.clone();
        if filled.method == "post" {
            return self.post_from(&filled.action, &filled.fields, &same_origin(&origin));
        }
        let query = serde_urlencoded::to_string(&filled.fields).expect("fields are text");
        let path = filled.action.split('?').next().unwrap_or_default();
        self.fetch("GET", &format!("{path}?{query}"), &[], None)
    }

    /// Goes where a redirect leads; checks that it is one, and stays within the origin.
    #[track_caller]
    pub fn follow(&mut self, page: &Page) -> Page {
        let status = page.answer.status;
        assert!(
            matches!(status, 302 | 303),
            "no redirect to a page: {:?}",
            page.answer
        );
        let at = page.location();
        self.fetch("GET", &at, &[], None)
    }

    /// Sends a form, and goes where the answer leads.
    #[track_caller]
    pub fn submit_and_follow(&mut self, filled: &Filled) -> Page {
        let answer = self.submit(filled);
        self.follow(&answer)
    }

    #[track_caller]
    pub fn sign_in(&mut self, email: &str, password: &str) -> Page {
        let answer = self.try_sign_in(email, password);
        assert!(
            matches!(answer.answer.status, 302 | 303),
            "not signed in: {:?}",
            answer.answer
        );
        answer
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

    pub fn session(&self) -> Option<String> {
        self.cookies.get("miniback_session").cloned()
    }

    /// Fetches an absolute path, sending the cookies and keeping those that come.
    #[track_caller]
    pub fn fetch(
        &mut self,
        method: &str,
        at: &str,
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
        let url = format!("{}{at}", self.origin);
        let answer = self.client.send(method, &url, &all, body);
        for line in answer.all_headers("set-cookie") {
            self.keep(line);
        }
        Page {
            at: at.to_owned(),
            origin: self.origin.clone(),
            answer,
        }
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let attributes = attributes.to_ascii_lowercase();
        let is_over = attributes.split(';').any(|attribute| {
            let attribute = attribute.trim();
            attribute == "max-age=0" || attribute.contains("1970")
        });
        if is_over || value.is_empty() {
            self.cookies.remove(name.trim());
        } else {
            self.cookies
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
}

fn same_origin(origin: &str) -> [(&str, &str); 2] {
    [("Origin", origin), ("Sec-Fetch-Site", "same-origin")]
}

/// A page, or whatever else an address answered.
pub struct Page {
    /// The path it was fetched by.
    pub at: String,
    origin: String,
    pub answer: Answer,
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.answer.status, status, "{:?}", self.answer);
        self
    }

    /// Where a redirect leads: path and query. Fails for one that leaves the origin.
    #[track_caller]
    pub fn location(&self) -> String {
        let Some(location) = self.answer.header("location") else {
            panic!("no Location: {:?}", self.answer);
        };
        let here = url::Url::parse(&format!("{}{}", self.origin, self.at)).expect("an address");
        let to = here.join(location).expect("Location is an address");
        assert_eq!(
            to.origin().ascii_serialization(),
            self.origin,
            "a redirect to another origin: {:?}",
            self.answer
        );
        match to.query() {
            Some(query) => format!("{}?{query}", to.path()),
            None => to.path().to_owned(),
        }
    }

    /// What a reader sees, with white space as it is read.
    pub fn text(&self) -> String {
        let html = Html::parse_document(&self.answer.text);
        let body = Selector::parse("body").expect("a selector");
        let words: Vec<String> = html
            .select(&body)
            .flat_map(|body| body.text().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        words
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The text of the one element that a selector finds, as it would be copied.
    #[track_caller]
    pub fn words_at(&self, selector: &str) -> String {
        let html = Html::parse_document(&self.answer.text);
        let one = Selector::parse(selector).expect("a selector");
        match html.select(&one).collect::<Vec<_>>().as_slice() {
            [element] => element.text().collect(),
            found => panic!("{} of {selector}: {:?}", found.len(), self.answer),
        }
    }

    /// Every value of an attribute that names an address, with the attribute's name.
    pub fn addresses(&self) -> Vec<(String, String)> {
        let html = Html::parse_document(&self.answer.text);
        let mut found = Vec::new();
        for attribute in ["href", "src", "action", "formaction"] {
            let with = Selector::parse(&format!("[{attribute}]")).expect("a selector");
            for element in html.select(&with) {
                let value = element.attr(attribute).unwrap_or_default();
                found.push((attribute.to_owned(), value.to_owned()));
            }
        }
        found
    }

    /// Where the link with this text leads: an absolute path.
    pub fn link(&self, text: &str) -> Option<String> {
        let html = Html::parse_document(&self.answer.text);
        let links = Selector::parse("a[href]").expect("a selector");
        let found = html.select(&links).find(|link| {
            let words: String = link.text().collect();
            words.trim() == text || link.attr("aria-label") == Some(text)
        })?;
        let here = url::Url::parse(&format!("{}{}", self.origin, self.at)).ok()?;
        let to = here.join(found.attr("href")?).ok()?;
        Some(to[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
    }

    pub fn forms(&self) -> Vec<Form> {
        Form::all(&self.answer.text, &self.at)
    }

    /// What the field with this label shows, in a form or outside of one.
    #[track_caller]
    pub fn shown(&self, label: &str) -> String {
        match Form::value_on(&self.answer.text, label) {
            Some(value) => value,
            None => panic!("no field {label:?}: {:?}", self.answer),
        }
    }

    /// The one form with this button in the article or section of this name.
    #[track_caller]
    pub fn form_in(&self, within: &str, button: &str) -> Form {
        let mut forms = self.forms_with(button);
        forms.retain(|form| form.within.iter().any(|name| name == within));
        assert_eq!(
            forms.len(),
            1,
            "one form with a button {button:?} in {within:?}: {:?}",
            self.answer
        );
        forms.remove(0)
    }

    /// The one form that has a button of this name.
    #[track_caller]
    pub fn form_with(&self, button: &str) -> Form {
        let mut forms = self.forms_with(button);
        assert_eq!(
            forms.len(),
            1,
            "one form with a button {button:?}: {:?}",
            self.answer
        );
        forms.remove(0)
    }

    /// All forms that have a button of this name, in the order of the page.
    pub fn forms_with(&self, button: &str) -> Vec<Form> {
        let mut forms = self.forms();
        forms.retain(|form| form.has_button(button));
        forms
    }
}
