//! The links of the top bar, the settings sidebar, and the breadcrumb.

use crate::domain::delivery::DeliveryState;
use crate::domain::id::WebhookId;
use crate::domain::webhook::Webhook;

/// A navigation link and the pages that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NavSection {
    Feedback,
    /// The link to the settings. Each settings page belongs to one of `SIDEBAR_SECTIONS`.
    Settings,
    Help,
    /// A page below "Help".
    HelpTopic,
    Notifications,
    Projects,
    ApiTokens,
    People,
    Privacy,
    Account,
}

use NavSection::*;

const TOP_BAR_SECTIONS: [NavSection; 3] = [Feedback, Settings, Help];
const SIDEBAR_SECTIONS: [NavSection; 6] =
    [Notifications, Projects, ApiTokens, People, Privacy, Account];

/// A link to a page above the current page.
pub struct Breadcrumb {
    pub label: String,
    pub path: String,
}

impl Breadcrumb {
    fn new(label: &str, path: String) -> Self {
        let label = label.to_owned();
        Self { label, path }
    }

    pub fn notifications() -> Self {
        Self::new("Notifications", "/settings/notifications".into())
    }

    /// Creates the link to the page of a webhook.
    pub fn webhook(webhook: &Webhook) -> Self {
        let path = format!("/settings/notifications/{}", webhook.id);
        Self::new(webhook.title(), path)
    }

    /// Creates the link to the list of a webhook's deliveries. A `state` limits the list to
    /// deliveries in this state.
    pub fn deliveries(webhook: &WebhookId, state: Option<DeliveryState>) -> Self {
        let query = state_query_string(state);
        let path = format!("/settings/notifications/{webhook}/deliveries{query}");
        Self::new("Deliveries", path)
    }
}

/// Returns a query string that limits a list of deliveries to a state; empty without a state.
pub fn state_query_string(state: Option<DeliveryState>) -> String {
    state.map_or_else(String::new, |state| format!("?state={}", state.as_str()))
}

/// Appends a query to a path, unless the query is empty.
pub fn with_query(path: &str, query: &str) -> String {
    match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A navigation link as a page shows it.
pub struct NavLink {
    pub label: &'static str,
    pub path: &'static str,
    /// The value of `aria-current`: `page` for the page's own section, `true` for "Settings" and
    /// "Help" on the pages below them.
    pub aria_current: Option<&'static str>,
}

impl NavLink {
    /// Returns whether this is the top bar's link to the settings.
    pub fn is_settings(&self) -> bool {
        self.path == Settings.label_and_path().1
    }
}

impl NavSection {
    const fn label_and_path(self) -> (&'static str, &'static str) {
        match self {
            Feedback => ("Feedback", "/feedback"),
            Settings => ("Settings", "/settings"),
            Help | HelpTopic => ("Help", "/docs/webhooks"),
            Notifications => ("Notifications", "/settings/notifications"),
            Projects => ("Projects", "/settings/projects"),
            ApiTokens => ("API tokens", "/settings/tokens"),
            People => ("People", "/settings/people"),
            Privacy => ("Privacy", "/settings/privacy"),
            Account => ("Account", "/settings/account"),
        }
    }

    fn nav_link(self, current: Option<Self>) -> NavLink {
        let (label, path) = self.label_and_path();
        let aria_current = match current {
            Some(section) if section == self => Some("page"),
            Some(section) if self == Settings && SIDEBAR_SECTIONS.contains(&section) => {
                Some("true")
            }
            Some(HelpTopic) if self == Help => Some("true"),
            _ => None,
        };
        NavLink {
            label,
            path,
            aria_current,
        }
    }
}

/// Returns the links of the top bar. Visitors who aren't signed in see only "Help".
pub fn top_bar_links(current: Option<NavSection>, is_signed_in: bool) -> Vec<NavLink> {
    let visible = TOP_BAR_SECTIONS
        .iter()
        .filter(|section| is_signed_in || **section == Help);
    visible.map(|section| section.nav_link(current)).collect()
}

/// Returns the links of the settings sidebar. Members see only "Projects" and "Account".
pub fn sidebar_links(current: Option<NavSection>, is_admin: bool) -> Vec<NavLink> {
    let visible = SIDEBAR_SECTIONS
        .iter()
        .filter(|section| is_admin || matches!(section, Projects | Account));
    visible.map(|section| section.nav_link(current)).collect()
}
