//! Reads and submits the forms of a page as a person does: finds fields and buttons by their
//! labels.
//!
//! Most tests don't use the `name` attributes of fields, because they are an implementation detail.

use scraper::{ElementRef, Html, Selector};

#[derive(Clone, Debug)]
pub struct Form {
    /// `get` or `post`.
    method: String,
    /// An absolute path, with its query.
    action: String,
    /// The `aria-label`s of the form and its ancestors, from the inside out.
    pub enclosing_labels: Vec<String>,
    fields: Vec<Field>,
    buttons: Vec<Button>,
}

#[derive(Clone, Debug)]
struct Field {
    /// The `type` of an `input` element, or the tag name of another element.
    kind: String,
    name: String,
    label: String,
    value: String,
    /// Whether the form sends the field. False for an unchecked checkbox or radio button.
    is_sent: bool,
    /// Whether the field is a checkbox or a radio button.
    is_checkable: bool,
    is_readonly: bool,
    /// The values of a select's options.
    options: Vec<String>,
}

#[derive(Clone, Debug)]
struct Button {
    label: String,
    name: Option<String>,
    value: String,
    action: Option<String>,
}

/// The request that a browser sends when a form is submitted.
#[derive(Clone, Debug)]
pub struct FilledForm {
    pub method: String,
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Reads all forms of the page at `path`.
    pub fn read_all(html: &str, path: &str) -> Vec<Self> {
        let document = Html::parse_document(html);
        let form = selector("form");
        let forms = document.select(&form);
        forms
            .map(|form| Self::read(&document, form, path))
            .collect()
    }

    fn read(document: &Html, form: ElementRef<'_>, path: &str) -> Self {
        let mut fields = Vec::new();
        let mut buttons = Vec::new();
        let controls = selector("input, textarea, select, button");
        let form_id = form.attr("id");
        for control in document.select(&controls) {
            // A control belongs to the form that its `form` attribute identifies, or otherwise to
            // the form that contains it.
            let belongs = match control.attr("form") {
                Some(id) => Some(id) == form_id,
                None => control.ancestors().any(|a| a.id() == form.id()),
            };
            if !belongs || control.attr("disabled").is_some() {
                continue;
            }
            let kind = control.attr("type").unwrap_or_default();
            if control.value().name() == "button" || kind == "submit" {
                if kind != "button" {
                    buttons.push(Button::read(document, control, path));
                }
            } else if control.attr("name").is_some_and(|name| !name.is_empty()) {
                fields.push(Field::read(document, control));
            }
        }
        let enclosing_labels = std::iter::once(form.value().attr("aria-label"))
            .chain(form.ancestors().map(|node| {
                let element = node.value().as_element();
                element.and_then(|element| element.attr("aria-label"))
            }))
            .flatten()
            .map(str::to_owned)
            .collect();
        Self {
            method: form.attr("method").unwrap_or("get").to_ascii_lowercase(),
            action: absolute_path(path, form.attr("action").unwrap_or_default()),
            enclosing_labels,
            fields,
            buttons,
        }
    }

    /// Returns the value of the input with this label, inside or outside of a form.
    pub fn field_value(html: &str, wanted: &str) -> Option<String> {
        let document = Html::parse_document(html);
        let inputs = selector("input");
        let found = (document.select(&inputs)).find(|input| label(&document, *input) == wanted);
        found.map(|input| input.attr("value").unwrap_or_default().to_owned())
    }

    pub fn has_button(&self, label: &str) -> bool {
        self.buttons.iter().any(|button| button.label == label)
    }

    pub fn has_field(&self, label: &str) -> bool {
        self.fields.iter().any(|field| field.label == label)
    }

    /// Returns the first field value that is a generated secret.
    pub fn secret(&self) -> Option<&str> {
        let mut values = self.fields.iter().map(|field| field.value.as_str());
        values.find(|value| value.starts_with("whsec_"))
    }

    /// Returns the current value of the field with this label.
    #[track_caller]
    pub fn value(&self, label: &str) -> String {
        match self.fields.iter().find(|field| field.label == label) {
            Some(field) => field.value.clone(),
            None => panic!("no field {label:?} in {self:#?}"),
        }
    }

    /// Sets the value of the field with this label.
    #[track_caller]
    pub fn fill(mut self, label: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|field| field.label == label) {
            Some(field) => field.value = value.to_owned(),
            None => panic!("no field {label:?} in {self:#?}"),
        }
        self
    }

    /// Checks or unchecks the checkbox or radio button with this label.
    #[track_caller]
    pub fn set_checked(mut self, label: &str, on: bool) -> Self {
        let mut fields = self.fields.iter_mut();
        match fields.find(|field| field.is_checkable && field.label == label) {
            Some(field) => field.is_sent = on,
            None => panic!("no checkbox or radio button {label:?} in {self:#?}"),
        }
        self
    }

    /// Changes every field that a person can change, except passwords and radio buttons.
    pub fn edit_all(mut self) -> Self {
        for field in self.fields.iter_mut().filter(|field| field.is_editable()) {
            field.value = match field.kind.as_str() {
                "checkbox" => {
                    field.is_sent = !field.is_sent;
                    continue;
                }
                "radio" => continue,
                "email" => "typed@example.com".to_owned(),
                "url" => "https://example.com/typed?a=1&b=%22".to_owned(),
                "number" => "7".to_owned(),
                "textarea" => "typed & <i>\n\n\"second\" line".to_owned(),
                "select" => {
                    let other = field.options.iter().rfind(|value| **value != field.value);
                    other.cloned().unwrap_or_default()
                }
                _ => "typed & <i> \"text\"".to_owned(),
            };
        }
        self
    }

    /// Returns the names and values that the form sends for fields that a person can change, except
    /// passwords.
    pub fn editable_values(&self) -> Vec<(String, String)> {
        self.fields
            .iter()
            .filter(|field| field.is_editable() && field.is_sent)
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect()
    }

    /// Returns the requests that the buttons send, one request for each button.
    pub fn press_each_button(&self) -> Vec<FilledForm> {
        let labels = self.buttons.iter().map(|button| button.label.as_str());
        labels.map(|label| self.press(label)).collect()
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn action(&self) -> &str {
        &self.action
    }

    /// Returns the request that the first button sends; `None` if the form has no button.
    pub fn press_first(&self) -> Option<FilledForm> {
        let first = self.buttons.first()?;
        Some(self.press(&first.label))
    }

    /// Returns the request that this button sends.
    #[track_caller]
    pub fn press(&self, button: &str) -> FilledForm {
        let Some(pressed) = self.buttons.iter().find(|b| b.label == button) else {
            panic!("no button {button:?} in {self:#?}");
        };
        let mut fields: Vec<(String, String)> = self
            .fields
            .iter()
            .filter(|field| field.is_sent)
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect();
        if let Some(name) = &pressed.name {
            fields.push((name.clone(), pressed.value.clone()));
        }
        FilledForm {
            method: self.method.clone(),
            action: pressed
                .action
                .clone()
                .unwrap_or_else(|| self.action.clone()),
            fields,
        }
    }
}

impl Field {
    fn is_editable(&self) -> bool {
        !matches!(self.kind.as_str(), "hidden" | "password") && !self.is_readonly
    }

    fn read(document: &Html, control: ElementRef<'_>) -> Self {
        let kind = control.attr("type").unwrap_or_default();
        let is_checkable = matches!(kind, "checkbox" | "radio");
        let value = match control.value().name() {
            "textarea" => control.text().collect(),
            "select" => selected_value(control),
            _ if is_checkable => control.attr("value").unwrap_or("on").to_owned(),
            _ => control.attr("value").unwrap_or_default().to_owned(),
        };
        let all_options = selector("option");
        let options = control.select(&all_options).map(option_value);
        Self {
            kind: match control.value().name() {
                "input" => kind.to_owned(),
                element => element.to_owned(),
            },
            is_readonly: control.attr("readonly").is_some(),
            options: options.collect(),
            name: control.attr("name").unwrap_or_default().to_owned(),
            label: label(document, control),
            value,
            is_sent: !is_checkable || control.attr("checked").is_some(),
            is_checkable,
        }
    }
}

impl Button {
    fn read(document: &Html, control: ElementRef<'_>, path: &str) -> Self {
        let name = control.attr("name").filter(|name| !name.is_empty());
        Self {
            label: label(document, control),
            name: name.map(str::to_owned),
            value: control.attr("value").unwrap_or_default().to_owned(),
            action: control.attr("formaction").map(|a| absolute_path(path, a)),
        }
    }
}

/// Returns a control's accessible name, from the first of these sources: `aria-label`,
/// `aria-labelledby`, `<label>`, and a button's text or an input's `value`. Miniback's pages need
/// no other sources.
fn label(document: &Html, control: ElementRef<'_>) -> String {
    if let Some(name) = control.attr("aria-label") {
        return collapse_whitespace(name);
    }
    let by_id = |id: &str| {
        let all = selector("[id]");
        let mut found = document.select(&all).filter(|e| e.attr("id") == Some(id));
        found.next().map(visible_text)
    };
    if let Some(ids) = control.attr("aria-labelledby") {
        let texts: Vec<String> = ids.split_whitespace().filter_map(by_id).collect();
        return collapse_whitespace(&texts.join(" "));
    }
    if let Some(id) = control.attr("id") {
        let all = selector("label[for]");
        let mut labels = document.select(&all).filter(|e| e.attr("for") == Some(id));
        if let Some(found) = labels.next() {
            return visible_text(found);
        }
    }
    let mut ancestors = control.ancestors().filter_map(ElementRef::wrap);
    if let Some(found) = ancestors.find(|e| e.value().name() == "label") {
        return visible_text(found);
    }
    match control.value().name() {
        "button" => visible_text(control),
        _ => collapse_whitespace(control.attr("value").unwrap_or_default()),
    }
}

/// Returns an element's text without icons, selects, text areas, and hints in `<small>`.
fn visible_text(element: ElementRef<'_>) -> String {
    let texts = element.descendants().filter_map(|node| {
        let is_hidden = node.ancestors().any(|a| {
            a.value()
                .as_element()
                .is_some_and(|e| matches!(e.name(), "small" | "svg" | "select" | "textarea"))
        });
        node.value().as_text().filter(|_| !is_hidden)
    });
    let texts: Vec<&str> = texts.map(|text| &**text).collect();
    collapse_whitespace(&texts.join(" "))
}

fn selected_value(select: ElementRef<'_>) -> String {
    let all = selector("option");
    let options: Vec<ElementRef<'_>> = select.select(&all).collect();
    let found = options.iter().find(|o| o.attr("selected").is_some());
    found
        .or(options.first())
        .map(|option| option_value(*option))
        .unwrap_or_default()
}

fn option_value(option: ElementRef<'_>) -> String {
    match option.attr("value") {
        Some(value) => value.to_owned(),
        None => collapse_whitespace(&option.text().collect::<String>()),
    }
}

/// Resolves a URL of the page at `path` to an absolute path with its query.
fn absolute_path(path: &str, reference: &str) -> String {
    let page = format!("http://page.example{path}");
    let page = url::Url::parse(&page).expect("parse the page's path");
    let target = page.join(reference).expect("resolve the form's action");
    path_and_query(&target)
}

pub(super) fn path_and_query(url: &url::Url) -> String {
    url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

pub(super) fn collapse_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("parse the CSS selector")
}
