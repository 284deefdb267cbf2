//! The signatures that an endpoint saw, and which secret could have made them.

use super::{Check, CheckResult, DiagnosisInput};
use crate::domain::secret::Secret;
use crate::domain::{signature, verification};

/// The secret that signed a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SigningSecret {
    Current,
    Next,
}

impl SigningSecret {
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Current => "the current secret",
            Self::Next => "the next secret",
        }
    }
}

/// What was seen of signatures, and who could have made them.
pub(super) struct ReceivedSignatures<'a> {
    header: &'a dyn Fn(&str) -> Option<String>,
    secrets: Vec<(SigningSecret, &'a Secret)>,
    pub(super) given_hex: Option<String>,
    given_next: Option<String>,
    id: Option<String>,
    pub(super) timestamp: Option<i64>,
    given_standard: Option<String>,
}

impl<'a> ReceivedSignatures<'a> {
    const NAMES: [&'static str; 8] = [
        "X-Miniback-Signature",
        "X-Miniback-Timestamp",
        "X-Miniback-Event",
        "X-Miniback-Delivery",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "X-Miniback-Signature-Next",
    ];

    pub(super) fn new(input: &DiagnosisInput<'a>) -> Self {
        let header = input.received.header;
        let get = |name: &str| header(name).map(|value| value.trim().to_owned());
        let next = input
            .secrets
            .next
            .as_ref()
            .map(|next| (SigningSecret::Next, &next.secret));
        Self {
            header,
            secrets: [(SigningSecret::Current, &input.secrets.current)]
                .into_iter()
                .chain(next)
                .collect(),
            given_hex: get("x-miniback-signature"),
            given_next: get("x-miniback-signature-next"),
            id: get("webhook-id"),
            timestamp: get("webhook-timestamp").and_then(|text| text.parse().ok()),
            given_standard: get("webhook-signature"),
        }
    }

    pub(super) fn hex(&self, body: &[u8]) -> Option<SigningSecret> {
        let given = [&self.given_hex, &self.given_next];
        let given = given
            .into_iter()
            .flatten()
            .filter_map(|text| verification::decode_hex(text));
        let given: Vec<Vec<u8>> = given.collect();
        let fits = |secret: &Secret| {
            given
                .iter()
                .any(|given| verification::matches(secret, body, given))
        };
        self.secrets
            .iter()
            .find(|(_, secret)| fits(secret))
            .map(|(by, _)| *by)
    }

    pub(super) fn standard(&self, body: &[u8]) -> Option<SigningSecret> {
        let (id, at, given) = (
            self.id.as_ref()?,
            self.timestamp?,
            self.given_standard.as_ref()?,
        );
        let fits = |secret: &Secret| {
            let expected = signature::sign_standard(secret, id, at, body);
            given.split(' ').any(|one| Some(one) == expected.as_deref())
        };
        self.secrets
            .iter()
            .find(|(_, secret)| fits(secret))
            .map(|(by, _)| *by)
    }

    pub(super) fn any(&self, body: &[u8]) -> Option<SigningSecret> {
        self.hex(body).or_else(|| self.standard(body))
    }

    /// All of it came, a library could verify it, and it does not fit.
    pub(super) fn standard_is_wrong(&self, body: &[u8]) -> bool {
        self.given_standard.is_some()
            && self
                .secrets
                .iter()
                .any(|(_, secret)| secret.standard_key().is_some())
            && self.standard(body).is_none()
    }

    /// Nothing to verify by.
    pub(super) fn missing(&self) -> Option<(String, String)> {
        let whole_standard =
            self.given_standard.is_some() && self.id.is_some() && self.timestamp.is_some();
        if self.given_hex.is_some() || self.given_next.is_some() || whole_standard {
            return None;
        }
        let here = self.here();
        let advice = if here.is_empty() {
            "None of Miniback’s headers is there: this is no delivery of Miniback, or something before the endpoint lets only known headers through. Let X-Miniback-… and webhook-… pass.".to_owned()
        } else {
            format!(
                "There {} only {}: something before the endpoint drops the rest, or not all of it was pasted. Let X-Miniback-… and webhook-… pass.",
                if here.len() == 1 { "is" } else { "are" },
                here.join(", ")
            )
        };
        Some(("The header X-Miniback-Signature is missing.".into(), advice))
    }

    fn here(&self) -> Vec<&'static str> {
        let is_here = |name: &&str| (self.header)(&name.to_ascii_lowercase()).is_some();
        Self::NAMES.into_iter().filter(is_here).collect()
    }

    pub(super) fn check_headers(&self) -> Check {
        let here = self.here();
        // The last is there during a rotation alone.
        let missing: Vec<&str> = Self::NAMES[..7]
            .iter()
            .copied()
            .filter(|name| !here.contains(name))
            .collect();
        let (result, message) = match (here.len(), missing.len()) {
            (0, _) => (
                CheckResult::Failed,
                "None of Miniback’s headers.".to_owned(),
            ),
            (_, 0) => (CheckResult::Passed, "All of them are there.".to_owned()),
            _ => (
                CheckResult::Unknown,
                format!("Not there: {}.", missing.join(", ")),
            ),
        };
        Check {
            name: "Headers",
            result,
            message,
        }
    }
}
