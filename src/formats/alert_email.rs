//! Emails about failing and recovered webhooks, for `--alert-url mailto:…`. An alert is stored as
//! JSON, so that it can be sent to another `--alert-url` after a restart.

use serde::Deserialize;

use super::email::{Email, EmailLink, Fact, render_email};
use crate::clock::Timestamp;
use crate::domain::explanation;

#[derive(Deserialize)]
struct Alert {
    event: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    webhook: Webhook,
    failing_since: String,
    failed_in_a_row: Option<u32>,
    failed_deliveries: Option<u64>,
    last_failure: Option<LastFailure>,
    deliveries_url: Option<String>,
}

#[derive(Deserialize)]
struct Webhook {
    id: String,
    host: String,
    description: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastFailure {
    status: Option<u16>,
    error: Option<String>,
    error_code: Option<String>,
}

/// Renders the email of an alert from its JSON (see [`crate::domain::alert`]). Returns `None` if
/// the JSON isn't an alert.
pub fn render_alert_email(json: &[u8]) -> Option<Vec<u8>> {
    let Alert { event, data } = serde_json::from_slice(json).ok()?;
    let is_failing = event == "webhook.failing";
    let host = &data.webhook.host;
    let (verb, heading) = match is_failing {
        true => ("failing", format!("The webhook to {host} is failing")),
        false => ("works again", format!("The webhook to {host} works again")),
    };
    let name = match data.webhook.description.as_str() {
        "" => host.clone(),
        description => format!("{description} ({host})"),
    };
    Some(render_email(&Email {
        subject: format!("Webhook {verb}: {name}"),
        thread: Some(data.webhook.id.clone()),
        heading,
        intro: Some(intro(is_failing, &data)),
        facts: facts(&data),
        link: data.deliveries_url.map(|url| EmailLink {
            label: "View deliveries",
            url,
        }),
        footer: "You receive this email because --alert-url contains your email.".into(),
        ..Email::default()
    }))
}

fn intro(is_failing: bool, data: &Data) -> String {
    let since = format_time(&data.failing_since);
    match (is_failing, data.failed_deliveries) {
        (true, _) => format!("Its deliveries have been failing since {since}."),
        (false, None) => format!("Its deliveries had been failing since {since}."),
        (false, Some(0)) => {
            format!("Its deliveries had been failing since {since}. No delivery has been lost.")
        }
        (false, Some(1)) => format!(
            "Its deliveries had been failing since {since}. 1 delivery failed. To send it again, \
             redeliver it."
        ),
        (false, Some(count)) => format!(
            "Its deliveries had been failing since {since}. {count} deliveries failed. To send them \
             again, redeliver them."
        ),
    }
}

fn facts(data: &Data) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label, value: &str| facts.push(Fact::new(label, value));
    if !data.webhook.description.is_empty() {
        add("Description", &data.webhook.description);
    }
    if let Some(count) = data.failed_in_a_row {
        add("Failed in a row", &count.to_string());
    }
    if let Some(failure) = &data.last_failure {
        if let Some(error) = &failure.error {
            add("Last error", error);
        }
        let code = failure.error_code.as_deref().unwrap_or_default();
        let advice = explanation::advice_for_code(code, failure.status);
        if !advice.is_empty() {
            add("What to do", advice);
        }
    }
    facts
}

/// Formats an ISO 8601 time for people: `November 21, 2026, 12:34 UTC`.
fn format_time(iso: &str) -> String {
    Timestamp::parse(iso).map_or_else(
        || iso.to_owned(),
        |time| time.to_jiff().strftime("%B %-d, %Y, %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(json: &str) -> String {
        let email = render_alert_email(json.as_bytes()).unwrap();
        // The texts have no line that is long enough to be folded in these places.
        String::from_utf8(email).unwrap().replace("=\r\n", "")
    }

    #[test]
    fn describes_a_failing_webhook() {
        let email = rendered(
            r#"{"event":"webhook.failing","timestamp":"2026-11-21T12:34:56.789Z","data":{
            "webhook":{"id":"wh_1","host":"api.example.com:443","description":"Shop"},
            "failingSince":"2026-11-21T12:30:00.000Z","failedInARow":10,"lastFailure":{
            "at":"2026-11-21T12:34:00.000Z","status":null,"error":"The connection was refused.",
            "errorCode":"connection_refused"},"deliveriesUrl":"https://f.example/d"}}"#,
        );
        for text in [
            "Subject: Webhook failing: Shop (api.example.com:443)\r\n",
            "References: <wh_1@",
            "failing since November 21, 2026, 12:30 UTC.",
            "Failed in a row: 10\r\n",
            "Last error: The connection was refused.\r\n",
            "What to do: Nothing is listening on this port",
            "View deliveries:\r\nhttps://f.example/d\r\n",
        ] {
            assert!(email.contains(text), "{text}\n{email}");
        }
    }

    #[test]
    fn describes_a_recovered_webhook() {
        let email = rendered(
            r#"{"event":"webhook.recovered","timestamp":"2026-11-21T12:34:56.789Z","data":{
            "webhook":{"id":"wh_1","host":"api.example.com:443","description":""},
            "failingSince":"2026-11-21T12:30:00.000Z","failedDeliveries":2,"deliveriesUrl":null}}"#,
        );
        assert!(
            email.contains("Subject: Webhook works again: api.example.com:443\r\n"),
            "{email}"
        );
        assert!(email.contains("2 deliveries failed."), "{email}");
        assert_eq!(render_alert_email(b"{}"), None);
    }
}
