//! Texts of strangers are plain text in every chat service, and messages keep the limits of each
//! service. Each escape and each limit is necessary: without it, the service's stub notices.

use miniback::clock::Timestamp;
use miniback::domain::feedback::{Feedback, FeedbackStatus};
use miniback::domain::format::Format;
use miniback::formats::{
    Event, EventContent, Message, Part, Safeguard, cut_message, example_feedback, render_message,
    safeguards,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::support::chat_services::{self, CHAT_FORMATS, HOSTILE_TEXTS};

const LINK: &str = "https://feedback.example.com/feedback/fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF";

/// The texts of feedback that strangers can choose, and the name of the project.
#[derive(Debug, Clone)]
struct Texts {
    project: String,
    message: String,
    page: String,
    email: String,
    metadata: String,
}

impl Texts {
    fn all(text: &str) -> Self {
        Self {
            project: text.chars().take(100).collect(),
            message: text.to_owned(),
            page: format!("https://evil.example/{text}"),
            email: format!("{}@evil.example", text.chars().take(60).collect::<String>()),
            metadata: text.to_owned(),
        }
    }

    fn message(&self) -> Message {
        let mut feedback = Feedback {
            message: self.message.clone(),
            url: Some(self.page.clone()),
            email: Some(self.email.clone()),
            metadata: Some(Map::from_iter([(
                self.metadata.chars().take(20).collect(),
                Value::from(self.metadata.clone()),
            )])),
            ..example_feedback(Timestamp::from_millis(0))
        };
        feedback.project.name = self.project.clone();
        let content = EventContent {
            event: Event::Updated {
                feedback: &feedback,
                previous_status: FeedbackStatus::Resolved,
            },
            at: feedback.created_at,
            link: Some(LINK.to_owned()),
        };
        Message::new(true, &content)
    }
}

/// Returns how a service breaks a rule when it shows a message.
fn problem(format: Format, message: &Message, safeguards: &[Safeguard]) -> Option<String> {
    let body = render_message(format, message, safeguards);
    let shown = match chat_services::post(format, &chat_services::with_ntfy_topic(format, &body)) {
        Ok(shown) => shown,
        Err(rejection) => return Some(format!("rejected: {}", rejection.body)),
    };
    let cut = cut_message(format, message, safeguards).expect("cut the message of a chat format");
    let field = |part: Part| {
        let field = cut.fields.iter().find(|field| field.part == part);
        field
            .map(|field| normalized(&field.value))
            .unwrap_or_default()
    };
    // The title is bold in some formats. The page URL and the email can be inline code.
    let formatted = [
        normalized(&cut.title),
        field(Part::Page),
        field(Part::Email),
    ];
    if let Some(text) = shown
        .formatted
        .iter()
        .find(|text| !formatted.contains(&normalized(text)))
    {
        return Some(format!("formatted: {text:?}"));
    }
    if let Some(link) = shown.links.iter().find(|link| *link != LINK) {
        return Some(format!("linked: {link:?}"));
    }
    if !shown.mentions.is_empty() || shown.has_previews {
        return Some(format!("mentions or previews: {:?}", shown.mentions));
    }
    let texts: Vec<String> = shown.texts.iter().map(|text| normalized(text)).collect();
    let parts = cut.fields.iter().map(|field| &field.value);
    let mut parts = parts.chain([&cut.title]).chain(&cut.text);
    let missing = parts.find(|part| {
        let part = normalized(part);
        !texts.iter().any(|text| text.contains(&part))
    });
    missing.map(|part| format!("not shown: {part:?} in {texts:#?}"))
}

/// Removes the differences that a person doesn't see: invisible separators, and the kinds of line
/// ends and spaces.
fn normalized(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let visible = text.chars().filter(|c| *c != '\u{2060}');
    visible
        .map(|c| match c {
            '\t' | '\u{a0}' => ' ',
            c => c,
        })
        .collect()
}

/// Returns whether `cut` is `given`, or its beginning with `…`.
fn is_cut_of(cut: &str, given: &str) -> bool {
    let start = cut
        .strip_suffix('…')
        .filter(|start| given.starts_with(start));
    cut == given || start.is_some_and(|start| start.len() < given.len())
}

#[track_caller]
fn assert_plain(format: Format, texts: &Texts) {
    let message = texts.message();
    let problem = problem(format, &message, safeguards(format));
    assert_eq!(problem, None, "{format:?}: {texts:#?}");
    let cut = cut_message(format, &message, safeguards(format)).unwrap();
    let fields = cut.fields.iter().zip(&message.fields);
    let mut parts: Vec<_> = fields
        .map(|(cut, given)| (&cut.value, &given.value))
        .collect();
    parts.push((&cut.title, &message.title));
    parts.extend(cut.text.as_ref().zip(message.text.as_ref()));
    for (cut, given) in parts {
        assert!(
            is_cut_of(cut, given),
            "{format:?}: {cut:?} isn't the start of {given:?}"
        );
    }
}

/// Texts at the limits of feedback, with characters that need the most space in each format.
fn long_texts() -> Vec<Texts> {
    [
        "x",
        "&",
        "*",
        "\\",
        "\"",
        "\u{1}",
        "日",
        "👩‍💻",
        "e\u{301}",
        ".x",
        "{{",
    ]
    .map(|fragment| {
        // The limits count bytes of JSON.
        let bytes = serde_json::to_string(fragment).unwrap().len() - 2;
        let repeated = |max: usize| fragment.repeat(max / bytes);
        Texts {
            project: fragment.repeat(100).chars().take(100).collect(),
            message: fragment.repeat(10_000).chars().take(10_000).collect(),
            page: format!("https://evil.example/{}", repeated(2_027)),
            email: format!("{}@evil.example", repeated(200)),
            metadata: repeated(4_060),
        }
    })
    .into()
}

#[test]
fn hostile_texts_are_plain_text_in_every_format() {
    for format in CHAT_FORMATS {
        for text in HOSTILE_TEXTS {
            assert_plain(format, &Texts::all(text));
        }
        assert_plain(format, &Texts::all(&HOSTILE_TEXTS.join("\n")));
        assert_plain(format, &Texts::all(&HOSTILE_TEXTS.concat()));
    }
}

#[test]
fn long_texts_fit_into_every_format() {
    for format in CHAT_FORMATS {
        for texts in long_texts() {
            assert_plain(format, &texts);
        }
    }
}

#[test]
fn each_escape_and_each_limit_is_necessary() {
    let texts = HOSTILE_TEXTS.iter().map(|text| Texts::all(text));
    let mut name = Texts::all("x");
    name.project = "Long name ".repeat(100);
    let messages = texts.chain(long_texts()).chain([name]);
    let messages: Vec<Message> = messages.map(|texts| texts.message()).collect();
    let mut unnecessary = Vec::new();
    for format in CHAT_FORMATS {
        for removed in safeguards(format) {
            let others = safeguards(format).iter().filter(|other| *other != removed);
            let others: Vec<Safeguard> = others.copied().collect();
            let has_problem = |message| problem(format, message, &others).is_some();
            if !messages.iter().any(has_problem) {
                unnecessary.push((format, removed));
            }
        }
    }
    assert_eq!(unnecessary, [], "no test fails without these");
}

/// Texts made of markup of all services, and of arbitrary characters.
fn text() -> impl Strategy<Value = String> {
    let markup = prop::sample::select(vec![
        "*",
        "**",
        "_",
        "__",
        "~",
        "~~",
        "`",
        "```",
        "||",
        "|",
        "<",
        ">",
        "<@",
        "<!",
        "<#",
        "&",
        "&amp;",
        "&#42;",
        "[",
        "](",
        ")",
        "\\",
        "@",
        "@everyone",
        "<users/all>",
        "://",
        "https",
        "www.",
        ".com/",
        "\n",
        "\n\n",
        "\r",
        "\t",
        " ",
        "    ",
        "# ",
        "-# ",
        "- ",
        "1. ",
        "1) ",
        "> ",
        "=",
        "---",
        ":",
        ":smile:",
        ";d",
        "<3",
        "$",
        "{{DATE(2017-02-14T06:00:00Z)}}",
        "{",
        "~channel",
        "#tag",
        "a",
        "Z",
        "9",
        "…",
        "\u{2424}",
        "\u{a0}",
        "<b>",
        "</b>",
        "<a href=\"x\">",
    ]);
    let fragment = prop_oneof![
        8 => markup.prop_map(str::to_owned),
        1 => any::<char>().prop_filter("not NUL", |c| *c != '\0').prop_map(String::from),
    ];
    prop::collection::vec(fragment, 1..40).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn any_text_is_plain_text_in_every_format(text in text()) {
        for format in CHAT_FORMATS {
            assert_plain(format, &Texts::all(&text));
        }
    }
}
