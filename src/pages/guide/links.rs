//! Links from a webhook's checklist to the pages that show or fix a problem.

use super::findings::WebhookCheckInput;
use crate::store::DeliverySummary;

impl WebhookCheckInput<'_> {
    pub(super) fn path(&self, part: &str) -> String {
        format!("/settings/notifications/{}/{part}", self.webhook.id)
    }

    pub(super) fn delivery_link(
        &self,
        delivery: &DeliverySummary,
    ) -> Option<(String, &'static str)> {
        let path = format!("{}/{}", self.path("deliveries"), delivery.id);
        Some((path, "Show delivery"))
    }

    pub(super) fn deliveries_link(&self) -> Option<(String, &'static str)> {
        Some((self.path("deliveries"), "Deliveries"))
    }

    pub(super) fn row_link(&self, name: &'static str) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        Some((format!("/settings/notifications?open={id}#{id}"), name))
    }

    pub(super) fn settings_link(&self) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        let path = format!("/settings/notifications?open={id}#{id}-url");
        Some((path, "Webhook settings"))
    }
}
