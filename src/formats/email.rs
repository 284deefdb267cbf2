//! Emails: a plain-text part and an HTML part, from `Subject` on. The sender, the recipient, the
//! date, and the id are added when an email is sent.

use askama::Template;
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, Headers, ReplyTo, Subject};
use lettre::message::{Body, Mailbox, Mailboxes, MultiPart, MultiPartKind, SinglePart};

use super::{Event, EventContent, Message};
use crate::domain::feedback::Feedback;
use crate::domain::text::is_invisible;

/// The boundary of the two parts. Their encodings never produce a line with `=_` or `--=`.
const BOUNDARY: &str = "=_miniback";
/// The maximum length of the part of a subject that a person wrote, in characters.
const EXCERPT_MAX_CHARS: usize = 80;
/// The domain of the ids in `References`. No email has these ids.
const THREAD_DOMAIN: &str = "thread.miniback.invalid";

/// The content of an email. All texts are plain text, possibly typed by a stranger.
#[derive(Clone, Debug, Default)]
pub struct Email {
    pub subject: String,
    /// The email that replies go to instead of the sender.
    pub reply_to: Option<String>,
    /// The object that the email is about. All emails about it are in one thread.
    pub thread: Option<String>,
    pub heading: String,
    /// A sentence below the heading, by Miniback.
    pub intro: Option<String>,
    /// The text of a person.
    pub message: Option<String>,
    pub facts: Vec<Fact>,
    pub link: Option<EmailLink>,
    /// The reason why the recipient receives this email.
    pub footer: String,
}

/// A labeled value of one or more lines.
#[derive(Clone, Debug)]
pub struct Fact {
    pub label: &'static str,
    pub lines: Vec<String>,
}

impl Fact {
    /// Creates a fact. The lines of `value` are cleaned, so that a value can't look like another
    /// fact.
    pub fn new(label: &'static str, value: &str) -> Self {
        let lines = value.split('\n').map(single_line);
        Self {
            label,
            lines: lines.filter(|line| !line.is_empty()).collect(),
        }
    }
}

/// The link of an email. Its URL starts with `--base-url`.
#[derive(Clone, Debug)]
pub struct EmailLink {
    pub label: &'static str,
    pub url: String,
}

#[derive(Template)]
#[template(path = "email/email.html")]
struct HtmlPart<'a> {
    email: &'a Email,
}

#[derive(Template)]
#[template(path = "email/email.txt", escape = "none")]
struct TextPart<'a> {
    email: &'a Email,
}

/// Renders the email of an event.
pub(super) fn render(details: bool, content: &EventContent<'_>) -> Vec<u8> {
    let message = Message::new(details, content);
    let feedback = match content.event {
        Event::Created(feedback) | Event::Updated { feedback, .. } => Some(feedback),
        Event::Test { .. } => None,
    };
    let is_update = matches!(content.event, Event::Updated { .. });
    let reply_to = feedback.and_then(|feedback| feedback.email.clone());
    let reply_to = reply_to.filter(|email| reply_to_mailbox(email).is_some());
    let footer = match reply_to {
        Some(_) => {
            "Replies go to the person who wrote the feedback. You receive this email because an \
             admin added your email to Miniback, under Settings → Notifications."
        }
        None => {
            "You receive this email because an admin added your email to Miniback, under Settings \
             → Notifications."
        }
    };
    let fields = message.fields.iter();
    let facts = fields.map(|field| Fact::new(field.part.label(), &field.value));
    render_email(&Email {
        subject: match feedback {
            Some(feedback) => subject(feedback, is_update),
            None => message.title.clone(),
        },
        reply_to,
        thread: feedback.map(|feedback| feedback.id.to_string()),
        heading: single_line(&message.title),
        intro: None,
        message: message.text.clone(),
        facts: facts.collect(),
        link: message.link.clone().map(|url| EmailLink {
            label: super::LINK_LABEL,
            url,
        }),
        footer: footer.to_owned(),
    })
}

/// Renders an email from `Subject` on.
pub fn render_email(email: &Email) -> Vec<u8> {
    let mut headers = Headers::new();
    headers.set(Subject::from(single_line(&email.subject)));
    if let Some(mailbox) = email.reply_to.as_deref().and_then(reply_to_mailbox) {
        headers.set(ReplyTo::from(Mailboxes::from(mailbox)));
    }
    let mut head = headers.to_string();
    if let Some(thread) = &email.thread {
        // Ids consist of ASCII letters, digits, and underscores.
        let id = format!("<{thread}@{THREAD_DOMAIN}>");
        head += &format!("References: {id}\r\nIn-Reply-To: {id}\r\n");
    }
    head += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n";
    let text = TextPart { email }.render().unwrap_or_default();
    let html = HtmlPart { email }.render().unwrap_or_default();
    let parts = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(BOUNDARY)
        .singlepart(encode_part(ContentType::TEXT_PLAIN, text))
        .singlepart(encode_part(ContentType::TEXT_HTML, html));
    let mut rendered = head.into_bytes();
    rendered.extend(parts.formatted());
    rendered
}

/// Encodes a part. Both encodings are ASCII with short lines, so every mail server accepts them.
fn encode_part(content_type: ContentType, text: String) -> SinglePart {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let non_ascii = text.bytes().filter(|byte| !byte.is_ascii()).count();
    // Quoted-printable triples other bytes than ASCII. Base64 makes all bytes a third longer.
    let encoding = if non_ascii * 6 > text.len() {
        ContentTransferEncoding::Base64
    } else {
        ContentTransferEncoding::QuotedPrintable
    };
    // Can't fail: both encodings accept every text.
    let body = Body::new_with_encoding(text, encoding)
        .unwrap_or_else(|text| Body::dangerous_pre_encoded(text, encoding));
    SinglePart::builder().header(content_type).body(body)
}

/// Returns the subject of an email about feedback. Some programs put emails into one thread only if
/// their subjects are equal, apart from `Re:`.
fn subject(feedback: &Feedback, is_update: bool) -> String {
    let reply = if is_update { "Re: " } else { "" };
    let project = excerpt(&feedback.project.name);
    format!("{reply}[{project}] {}", excerpt(&feedback.message))
}

/// Returns the beginning of a text on a single line.
fn excerpt(text: &str) -> String {
    let text = single_line(text);
    match text.char_indices().nth(EXCERPT_MAX_CHARS) {
        None => text,
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// Replaces each sequence of white space and control characters with a space, and removes invisible
/// characters, which could change the direction of the following text. Keeps joiners and variation
/// selectors, which emoji and several writing systems need.
fn single_line(text: &str) -> String {
    let is_needed = |c: char| matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    let visible: String = text
        .chars()
        .filter(|c| is_needed(*c) || !is_invisible(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the mailbox for `Reply-To`. Returns `None` if the part before the `@` isn't ASCII,
/// because many mail servers reject such headers (RFC 6532).
fn reply_to_mailbox(email: &str) -> Option<Mailbox> {
    let (local, domain) = email.rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    let address = Address::new(local, domain).ok()?;
    local.is_ascii().then(|| Mailbox::new(None, address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::feedback::FeedbackStatus;
    use crate::formats::example_feedback;

    fn feedback(message: &str, project: &str, email: Option<&str>) -> Feedback {
        let mut feedback = example_feedback(Timestamp::from_millis(1_761_914_096_789));
        feedback.message = message.into();
        feedback.project.name = project.into();
        feedback.email = email.map(str::to_owned);
        feedback
    }

    fn rendered(event: Event<'_>, details: bool) -> String {
        let content = EventContent {
            event,
            at: Timestamp::from_millis(1_761_914_096_789),
            link: Some("https://feedback.example.com/feedback/fb_1".into()),
        };
        String::from_utf8(render(details, &content)).unwrap()
    }

    fn head(email: &str) -> Vec<(&str, &str)> {
        let (head, _) = email.split_once("\r\n\r\n").unwrap();
        let lines = head.split("\r\n").filter(|line| !line.starts_with(' '));
        lines.map(|line| line.split_once(": ").unwrap()).collect()
    }

    #[test]
    fn emails_about_one_feedback_form_a_thread() {
        let mut feedback = feedback(
            "Broken\r\nBcc: eve@example.com",
            "Shop",
            Some("sam@example.com"),
        );
        let created = rendered(Event::Created(&feedback), false);
        feedback.status = FeedbackStatus::Resolved;
        let previous_status = FeedbackStatus::New;
        let updated = Event::Updated {
            feedback: &feedback,
            previous_status,
        };
        let updated = rendered(updated, false);
        let id = "<fb_01K8X6J3RN4ZV0Q2M7T5B9CDEF@thread.miniback.invalid>";
        let expected = |subject| {
            vec![
                ("Subject", subject),
                ("Reply-To", "sam@example.com"),
                ("References", id),
                ("In-Reply-To", id),
                ("Auto-Submitted", "auto-generated"),
                ("MIME-Version", "1.0"),
                (
                    "Content-Type",
                    "multipart/alternative; boundary=\"=_miniback\"",
                ),
            ]
        };
        assert_eq!(
            head(&created)[..7],
            expected("[Shop] Broken Bcc: eve@example.com")
        );
        assert_eq!(
            head(&updated)[..7],
            expected("Re: [Shop] Broken Bcc: eve@example.com")
        );
        assert!(updated.contains("New =E2=86=92 Resolved"), "{updated}");
    }

    #[test]
    fn only_details_show_the_email_of_the_person() {
        let feedback = feedback("Broken", "Shop", Some("sam@example.com"));
        let body = |details| {
            let email = rendered(Event::Created(&feedback), details);
            email.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        assert!(!body(false).contains("sam@example.com"));
        assert!(body(true).contains("Email: sam@example.com"));
    }

    #[test]
    fn omits_a_reply_to_that_needs_an_extension_of_smtp() {
        let ascii = rendered(
            Event::Created(&feedback("m", "p", Some("ada@m\u{fc}ller.de"))),
            false,
        );
        assert!(ascii.contains("Reply-To: ada@xn--mller-kva.de\r\n"));
        let unicode = rendered(
            Event::Created(&feedback("m", "p", Some("\u{e4}da@example.com"))),
            false,
        );
        assert!(!unicode.contains("\r\nReply-To"));
        assert!(!unicode.contains("Replies go"));
        let quoted = feedback("m", "p", Some("\"a b\"@example.com"));
        assert!(
            rendered(Event::Created(&quoted), false).contains("Reply-To: \"a b\"@example.com\r\n")
        );
    }

    #[test]
    fn the_message_is_text_in_the_html_part() {
        let feedback = feedback("<a href=https://evil.example>x</a>", "<b>", None);
        let email = rendered(Event::Created(&feedback), true);
        let (_, html) = email.split_once("text/html").unwrap();
        assert!(
            !html.contains("<b>") && !html.contains("evil.example>"),
            "{html}"
        );
        assert_eq!(html.matches("href").count(), 2, "{html}");
    }

    fn any_text() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            "\r\n",
            "\n",
            "\r",
            "\r\n.\r\n",
            "\r\n\r\n",
            "--=_miniback",
            "--=_miniback--\r\n",
            "Bcc: x@y.z",
            "=?utf-8?q?x?=",
            "\u{202e}",
            "\u{2028}",
            "\u{85}",
            "\u{0}",
            "\u{1f469}\u{200d}\u{1f680}",
            "<",
            "&",
            "\"",
            ",",
            ";",
            ":",
            "\u{5d0}",
            " ",
            "=",
            ".",
            "x",
        ]);
        prop_oneof![
            "\\PC{0,300}",
            prop::collection::vec(special, 0..200).prop_map(|parts| parts.concat()),
            Just("\u{e4}".repeat(10_000)),
            Just("x".repeat(10_000)),
        ]
    }

    proptest! {
        #[test]
        fn no_text_can_add_a_header_or_a_part(message in any_text(), project in any_text()) {
            let feedback = feedback(&message, &project, Some("sam@example.com"));
            let email = rendered(Event::Created(&feedback), true);
            let names: Vec<_> = head(&email).iter().map(|(name, _)| *name).collect();
            prop_assert_eq!(
                names,
                ["Subject", "Reply-To", "References", "In-Reply-To", "Auto-Submitted", "MIME-Version", "Content-Type"]
            );
            prop_assert!(email.is_ascii());
            let lines = || email.split("\r\n");
            prop_assert!(lines().all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
            prop_assert_eq!(lines().filter(|line| line.starts_with("--=_miniback")).count(), 3);
        }
    }
}
