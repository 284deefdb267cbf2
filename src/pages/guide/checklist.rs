//! The troubleshooting checklist and its general advice.

use std::time::Duration;

use crate::domain::explanation::format_duration;
use crate::domain::webhook::Topic;

/// One item of the checklist.
pub(super) struct ChecklistItem {
    pub(super) name: &'static str,
    /// `None` in the general checklist.
    pub(super) status: Option<CheckStatus>,
    pub(super) text: String,
    /// A command that tests the connection.
    pub(super) curl: Option<CurlCommand>,
    /// The path and label of a link to a page with details or settings.
    pub(super) link: Option<(String, &'static str)>,
}

/// A curl command that the page shows for copying.
pub(super) struct CurlCommand {
    /// The HTML id of the command's element.
    pub(super) id: String,
    pub(super) text: String,
}

/// The result of a check, shown as an icon with a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStatus {
    Ok,
    Problem,
    Unknown,
}

impl CheckStatus {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "needs attention",
            Self::Unknown => "unknown",
        }
    }

    pub(super) const fn css_class(self) -> &'static str {
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
        "Send a request to the endpoint’s URL from the machine that runs Miniback. Any HTTP response, even 401, shows that the endpoint can be reached.".to_owned(),
        "An endpoint needs an https:// URL with a valid certificate. Use http:// only for tests on localhost.".to_owned(),
        format!("The endpoint must return a 2xx within {}. Respond first, then process the event.", format_duration(timeout)),
        "Check the switch beside the webhook under Settings → Notifications. Events that happen while a webhook is disabled aren’t sent later.".to_owned(),
        format!("Expand the webhook and select at least one topic: {}. Without topics, only tests are sent.", Topic::join_labels(&Topic::ALL)),
        "If projects are selected for a webhook, it receives only their events. If none are selected, it receives the events of all projects.".to_owned(),
        "A paused project accepts no feedback, so it has no New Feedback events. See Settings → Projects.".to_owned(),
        "Look for the feedback on the Feedback page. If it isn’t there, Miniback didn’t receive it. Check the widget, or the API call that submits it. If it’s there, check the webhook’s deliveries.".to_owned(),
        "Each delivery shows its attempts with the endpoint’s responses and advice. A 401 usually means that the endpoint uses a different secret, or computes the signature of re-serialized JSON.".to_owned(),
    ];
    let mut items: Vec<ChecklistItem> = ITEM_NAMES
        .into_iter()
        .zip(text)
        .map(|(name, text)| ChecklistItem {
            name,
            status: None,
            text,
            curl: None,
            link: None,
        })
        .collect();
    if let Some(first) = items.first_mut() {
        let url = "https://api.myapp.com/webhooks/miniback";
        first.curl = Some(curl_test_command("example", url));
    }
    items
}

/// Returns a command that sends an unsigned request, to test whether the endpoint responds.
/// `webhook` is the webhook's id, which makes the HTML id unique.
pub(super) fn curl_test_command(webhook: &str, url: &str) -> CurlCommand {
    let quoted = url.replace('\'', r"'\''");
    CurlCommand {
        id: format!("{webhook}-curl"),
        text: format!("curl -i -X POST -H 'Content-Type: application/json' -d '{{}}' '{quoted}'"),
    }
}
