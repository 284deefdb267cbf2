//! Reading the forms of a page as a browser and a person do: fields by their labels, buttons by their names.
//!
//! Names of fields are the program's own business; a test never writes one down.

use scraper::{ElementRef, Html, Selector};

#[derive(Clone, Debug)]
pub struct Form {
    /// `get` or `post`.
    method: String,
    /// An absolute path, with its query.
    action: String,
    /// The article or section it stands in, by its `aria-label`, from the inside out; its own first.
    pub within: Vec<String>,
    fields: Vec<Field>,
    buttons: Vec<Button>,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    label: String,
    value: String,
    /// False for a box that is not ticked: it is not sent.
    sent: bool,
    is_choice: bool,
}

#[derive(Clone, Debug)]
struct Button {
    label: String,
    name: Option<String>,
    value: String,
    action: Option<String>,
}

/// A form as it is sent.
#[derive(Clone, Debug)]
pub struct Filled {
    pub method: String,
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// All forms of a page that was fetched by the path `at`.
    pub fn all(html: &str, at: &str) -> Vec<Self> {
        let document = Html::parse_document(html);
        let every = selector("form");
        let forms = document.select(&every);
        forms.map(|form| Self::read(&document, form, at)).collect()
    }

    fn read(document: &Html, form: ElementRef<'_>, at: &str) -> Self {
        let mut fields = Vec::new();
        let mut buttons = Vec::new();
        let controls = selector("input, textarea, select, button");
        let form_id = form.attr("id");
        for control in document.select(&controls) {
            // A control belongs to the form that its `form` names, else to the one around it.
            let belongs = match control.attr("form") {
                Some(id) => Some(id) == form_id,
                None => control.ancestors().any(|a| a.id() == form.id()),
            };
            if !belongs || control.attr("disabled").is_some() {
                continue;
            }
            let label = label(document, control);
            let kind = control.attr("type").unwrap_or_default();
            let name = control.attr("name").unwrap_or_default().to_owned();
            let tag = control.value().name();
            if tag == "button" || kind == "submit" {
                if kind != "button" {
                    buttons.push(Button {
                        label,
                        name: Some(name).filter(|name| !name.is_empty()),
                        value: control.attr("value").unwrap_or_default().to_owned(),
                        action: control.attr("formaction").map(|a| absolute(at, a)),
                    });
                }
                continue;
            }
            if name.is_empty() {
                continue;
            }
            let is_choice = matches!(kind, "checkbox" | "radio");
            let value = match tag {
                "textarea" => control.text().collect(),
                "select" => chosen(control),
                _ if is_choice => control.attr("value").unwrap_or("on").to_owned(),
                _ => control.attr("value").unwrap_or_default().to_owned(),
            };
            fields.push(Field {
                name,
                label,
                value,
                sent: !is_choice || control.attr("checked").is_some(),
                is_choice,
            });
        }
        let within = std::iter::once(form.value().attr("aria-label"))
            .chain(form.ancestors().map(|node| {
                let element = node.value().as_element();
                element.and_then(|element| element.attr("aria-label"))
            }))
            .flatten()
            .map(str::to_owned)
            .collect();
        Self {
            method: form.attr("method").unwrap_or("get").to_ascii_lowercase(),
            action: absolute(at, form.attr("action").unwrap_or_default()),
            within,
            fields,
            buttons,
        }
    }

    /// The value of the field with this label, whether it stands in a form or not.
    pub fn value_on(html: &str, named: &str) -> Option<String> {
        let document = Html::parse_document(html);
        let inputs = selector("input");
        let found = (document.select(&inputs)).find(|input| label(&document, *input) == named);
        found.map(|input| input.attr("value").unwrap_or_default().to_owned())
    }

    pub fn has_button(&self, name: &str) -> bool {
        self.buttons.iter().any(|button| button.label == name)
    }

    pub fn has_field(&self, label: &str) -> bool {
        self.fields.iter().any(|field| field.label == label)
    }

    /// The generated secret that the form holds.
    pub fn secret(&self) -> Option<&str> {
        let mut values = self.fields.iter().map(|field| field.value.as_str());
        values.find(|value| value.starts_with("whsec_"))
    }

    /// The value that a field has now, by its label.
    #[track_caller]
    pub fn value(&self, label: &str) -> String {
        match self.fields.iter().find(|field| field.label == label) {
            Some(field) => field.value.clone(),
            None => panic!("no field {label:?} in {self:#?}"),
        }
    }

    /// Writes into the field with this label.
    #[track_caller]
    pub fn fill(mut self, label: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|field| field.label == label) {
            Some(field) => field.value = value.to_owned(),
            None => panic!("no field {label:?} in {self:#?}"),
        }
        self
    }

    /// Ticks or unticks the box with this label.
    #[track_caller]
    pub fn tick(mut self, label: &str, on: bool) -> Self {
        let found = (self.fields.iter_mut()).find(|field| field.is_choice && field.label == label);
        match found {
            Some(field) => field.sent = on,
            None => panic!("no box {label:?} in {self:#?}"),
        }
        self
    }

    /// The form as a press of its first button sends it; `None` for one without a button.
    pub fn press_any(&self) -> Option<Filled> {
        let first = self.buttons.first()?;
        Some(self.press(&first.label))
    }

    /// The form as a press of this button sends it.
    #[track_caller]
    pub fn press(&self, button: &str) -> Filled {
        let Some(pressed) = self.buttons.iter().find(|b| b.label == button) else {
            panic!("no button {button:?} in {self:#?}");
        };
        let mut fields: Vec<(String, String)> = self
            .fields
            .iter()
            .filter(|field| field.sent)
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect();
        if let Some(name) = &pressed.name {
            fields.push((name.clone(), pressed.value.clone()));
        }
        Filled {
            method: self.method.clone(),
            action: pressed
                .action
                .clone()
                .unwrap_or_else(|| self.action.clone()),
            fields,
        }
    }
}

/// The accessible name, as far as these pages need it: `aria-label`, `aria-labelledby`, `<label>`, own text, `value`.
fn label(document: &Html, control: ElementRef<'_>) -> String {
    if let Some(name) = control.attr("aria-label") {
        return words(name);
    }
    let by_id = |id: &str| {
        let all = selector("[id]");
        let mut found = document.select(&all).filter(|e| e.attr("id") == Some(id));
        found.next().map(visible_text)
    };
    if let Some(ids) = control.attr("aria-labelledby") {
        let texts: Vec<String> = ids.split_whitespace().filter_map(by_id).collect();
        return words(&texts.join(" "));
    }
    if let Some(id) = control.attr("id") {
        let all = selector("label[for]");
        let mut labels = document.select(&all).filter(|e| e.attr("for") == Some(id));
        if let Some(found) = labels.next() {
            return visible_text(found);
        }
    }
    let around = control.ancestors().filter_map(ElementRef::wrap);
    if let Some(found) = around.into_iter().find(|e| e.value().name() == "label") {
        return visible_text(found);
    }
    match control.value().name() {
        "button" => visible_text(control),
        _ => words(control.attr("value").unwrap_or_default()),
    }
}

/// An element's text, without what stands in `<small>`: a hint beside the name.
fn visible_text(element: ElementRef<'_>) -> String {
    let texts = element.descendants().filter_map(|node| {
        let hint = node.ancestors().any(|a| {
            a.value()
                .as_element()
                .is_some_and(|e| matches!(e.name(), "small" | "svg" | "select" | "textarea"))
        });
        node.value().as_text().filter(|_| !hint)
    });
    let texts: Vec<&str> = texts.map(|text| &**text).collect();
    words(&texts.join(" "))
}

fn chosen(select: ElementRef<'_>) -> String {
    let all = selector("option");
    let options: Vec<ElementRef<'_>> = select.select(&all).collect();
    let found = options.iter().find(|o| o.attr("selected").is_some());
    found
        .or(options.first())
        .map(|option| match option.attr("value") {
            Some(value) => value.to_owned(),
            None => words(&option.text().collect::<String>()),
        })
        .unwrap_or_default()
}

fn absolute(at: &str, address: &str) -> String {
    let here = url::Url::parse(&format!("http://here.example{at}")).expect("a path");
    let to = here.join(address).expect("the form's action is an address");
    match to.query() {
        Some(query) => format!("{}?{query}", to.path()),
        None => to.path().to_owned(),
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("a selector of the tests")
}
