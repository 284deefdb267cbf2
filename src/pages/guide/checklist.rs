//! The checklist of troubleshooting: what to look at, in which order, and what everybody can be told of it.

use std::time::Duration;

use crate::domain::explanation::format_duration;
use crate::domain::webhook::Topic;

/// One thing to look at.
pub(super) struct ChecklistItem {
    pub(super) name: &'static str,
    /// `None` where it is advice for everybody.
    pub(super) finding: Option<Finding>,
    pub(super) text: String,
    /// A command to try.
    pub(super) curl: Option<String>,
    /// The very place: address and name.
    pub(super) link: Option<(String, &'static str)>,
}

/// A shape and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Ok,
    Problem,
    Unknown,
}

impl Finding {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "look here",
            Self::Unknown => "unknown",
        }
    }

    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Ok => "good",
            Self::Problem => "bad",
            Self::Unknown => "",
        }
    }

    pub(super) const fn icon(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "bad",
            Self::Unknown => "off",
        }
    }
}

/// The names, in the order in which one looks.
pub(super) const ITEM_NAMES: [&str; 9] = [
    "The address can be reached",
    "It is https",
    "It answers in time",
    "The webhook is ON",
    "A topic is chosen",
    "The project is chosen",
    "The project is not paused",
    "The feedback is on the dashboard",
    "The last error",
];

/// What everybody can be told.
pub(super) fn general_checklist(timeout: Duration) -> Vec<ChecklistItem> {
    let text = [
        "From the machine that runs Miniback, try the endpoint’s address. Any HTTP answer, even 401, shows that it is reached.".to_owned(),
        "An endpoint needs an https:// address with a valid certificate; http:// is for localhost, while you test.".to_owned(),
        format!("A 2xx has to come within {}. Answer first, and do the work afterwards.", format_duration(timeout)),
        "The switch beside the webhook, under Settings → Notifications. What happens while it is off is not sent later.".to_owned(),
        format!("Expand the webhook and select at least one topic: {}. Without a topic, only tests are sent.", Topic::all_labels()),
        "A webhook for chosen projects hears of these alone. None chosen: it hears of all.".to_owned(),
        "A paused project takes no feedback, so there is nothing to send: Settings → Projects.".to_owned(),
        "If it is not there, it never came to Miniback: look at the widget or the call that sends it. If it is, look at the webhook’s deliveries.".to_owned(),
        "Each delivery has its attempts, with what the endpoint answered and what to do about it. A 401 is mostly another secret, or JSON that was read before the signature was checked.".to_owned(),
    ];
    let mut items: Vec<ChecklistItem> = ITEM_NAMES
        .into_iter()
        .zip(text)
        .map(|(name, text)| ChecklistItem {
            name,
            finding: None,
            text,
            curl: None,
            link: None,
        })
        .collect();
    if let Some(first) = items.first_mut() {
        first.curl = Some(curl("https://api.myapp.com/webhooks/miniback"));
    }
    items
}

/// A request as one makes it by hand, to see whether anything answers.
pub(super) fn curl(url: &str) -> String {
    let quoted = url.replace('\'', r"'\''");
    format!("curl -i -X POST -H 'Content-Type: application/json' -d '{{}}' '{quoted}'")
}
