//! The troubleshooting checklist and its general advice.

use std::time::Duration;

use crate::domain::explanation::format_duration;
use crate::domain::webhook::Topic;

/// One item of the checklist.
pub(super) struct ChecklistItem {
    pub(super) name: &'static str,
    /// `None` in the general checklist.
    pub(super) finding: Option<Finding>,
    pub(super) text: String,
    /// A command that tests the connection.
    pub(super) curl: Option<String>,
    /// Path and label of a link to the place where the problem can be fixed.
    pub(super) link: Option<(String, &'static str)>,
}

/// The result of one check, shown as an icon and a word.
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
            Self::Problem => "needs attention",
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

/// The names of the items, in the order of the checks.
pub(super) const ITEM_NAMES: [&str; 9] = [
    "The endpoint can be reached",
    "The connection is encrypted",
    "The endpoint responds in time",
    "The webhook is enabled",
    "Topics are selected",
    "The project is selected",
    "The project isn’t paused",
    "The feedback was received",
    "Last error",
];

/// Returns the checklist with general advice, without diagnostics of a webhook.
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

/// Returns a command that sends an unsigned request, to see whether the endpoint responds.
pub(super) fn curl(url: &str) -> String {
    let quoted = url.replace('\'', r"'\''");
    format!("curl -i -X POST -H 'Content-Type: application/json' -d '{{}}' '{quoted}'")
}
