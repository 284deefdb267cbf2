//! Links from a webhook's checklist to the pages that show or fix a problem.

use super::webhook_checks::WebhookChecker;
use crate::store::DeliverySummary;

impl WebhookChecker<'_> {
    pub(super) fn webhook_path(&self, subpage: &str) -> String {
        format!("/settings/notifications/{}/{subpage}", self.webhook.id)
    }

    pub(super) fn delivery_link(
        &self,
        delivery: &DeliverySummary,
    ) -> Option<(String, &'static str)> {
        let path = format!("{}/{}", self.webhook_path("deliveries"), delivery.id);
        Some((path, "Show delivery"))
    }

    pub(super) fn delivery_log_link(&self) -> Option<(String, &'static str)> {
        Some((self.webhook_path("deliveries"), "Deliveries"))
    }

    pub(super) fn webhook_link(&self, name: &'static str) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        Some((format!("/settings/notifications?open={id}#{id}"), name))
    }

    pub(super) fn settings_link(&self) -> Option<(String, &'static str)> {
        let id = &self.webhook.id;
        let path = format!("/settings/notifications?open={id}#{id}-url");
        Some((path, "Webhook settings"))
    }
}
