//! The preview of a message, as the service of a format would show it.

use askama::Template;

use crate::domain::format::Format;
use crate::formats::{self, Event, EventContent, LINK_LABEL, Message, example_feedback};
use crate::pages::deliveries::email_view::EmailView;
use crate::pages::framework::context::RequestContext;

/// The headers that the preview of an email shows.
const PREVIEW_HEADERS: [&str; 2] = ["Subject", "Reply-To"];

/// The message that the service would show for example feedback.
#[derive(Template)]
#[template(path = "message_preview.html")]
pub(super) struct MessagePreview {
    format: Format,
    /// The headers of an email; empty for the message of a chat service.
    headers: Vec<(&'static str, String)>,
    message: Message,
}

/// How a service shows the link to the feedback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkStyle {
    Text,
    Button,
}

impl MessagePreview {
    /// Returns `None` for the standard format, which isn't shown to people.
    pub(super) fn new(context: &RequestContext, format: Format, details: bool) -> Option<Self> {
        let now = context.app.clock.now();
        let feedback = example_feedback(now);
        let public_url = context.app.urls.public_url();
        let content = EventContent {
            event: Event::Created(&feedback),
            at: now,
            link: public_url.map(|url| format!("{url}/feedback/{}", feedback.id)),
        };
        let (headers, message) = match format {
            Format::Email => {
                let email = EmailView::new(&[], &formats::render(format, details, &content));
                (email.headers, Message::new(details, &content))
            }
            _ => (Vec::new(), formats::preview(format, details, &content)?),
        };
        Some(Self {
            format,
            headers: headers
                .into_iter()
                .filter(|(name, _)| PREVIEW_HEADERS.contains(name))
                .collect(),
            message,
        })
    }

    fn label(&self) -> String {
        match self.format {
            Format::Email => "Preview of an email".to_owned(),
            format => format!("Preview of a message in {}", format.label()),
        }
    }

    /// Returns whether the service shows a colored bar beside the message.
    fn has_bar(&self) -> bool {
        matches!(self.format, Format::Discord | Format::Mattermost)
    }

    fn link_style(&self) -> LinkStyle {
        match self.format {
            Format::Teams | Format::GoogleChat | Format::Ntfy | Format::Email => LinkStyle::Button,
            _ => LinkStyle::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn no_text_becomes_markup() {
        let hostile = "<script>alert(1)</script> <b>*bold*</b> <!channel> @everyone &lt;";
        let mut feedback = example_feedback(Timestamp::from_millis(0));
        feedback.message = hostile.into();
        feedback.project.name = hostile.into();
        feedback.url = Some("https://example.com/?<script>".into());
        let content = EventContent {
            event: Event::Created(&feedback),
            at: Timestamp::from_millis(0),
            link: Some("https://feedback.example.com/feedback/fb_1".into()),
        };
        for format in Format::ALL {
            let preview = MessagePreview {
                format,
                headers: vec![("Subject", hostile.into())],
                message: Message::new(true, &content),
            };
            let html = preview.render().unwrap();
            for markup in ["<script", "<b>*", "<!", "<a "] {
                assert!(!html.contains(markup), "{format:?}: {html}");
            }
            assert!(html.contains("@everyone"), "{html}");
        }
    }
}
