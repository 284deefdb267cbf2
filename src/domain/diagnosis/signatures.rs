//! The signatures that an endpoint received, and the secrets that could have created them.

use super::{Check, CheckResult, DiagnosisInput};
use crate::domain::body_change::{self, BodyChange};
use crate::domain::secret::Secret;
use crate::domain::webhook::Secrets;
use crate::domain::{signature, verification};

/// The secret that signed a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SigningSecret {
    Current,
    Next,
}

impl SigningSecret {
    pub(super) fn active_secrets(secrets: &Secrets) -> Vec<(Self, &Secret)> {
        let next = secrets.next.iter().map(|next| (Self::Next, &next.secret));
        std::iter::once((Self::Current, &secrets.current))
            .chain(next)
            .collect()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Current => "current secret",
            Self::Next => "new secret",
        }
    }
}

/// The received signature headers, and the active secrets.
pub(super) struct ReceivedSignatures<'a> {
    header: &'a dyn Fn(&str) -> Option<String>,
    secrets: Vec<(SigningSecret, &'a Secret)>,
    pub(super) hex: Option<String>,
    next_hex: Option<String>,
    id: Option<String>,
    pub(super) timestamp: Option<i64>,
    pub(super) standard: Option<String>,
}

impl<'a> ReceivedSignatures<'a> {
    /// The headers that contain the event, id, timestamps, and signatures of a delivery. The
    /// `webhook-…` headers require a secret in the format of Standard Webhooks.
    const HEADER_NAMES: [&'static str; 7] = [
        "X-Miniback-Signature",
        "X-Miniback-Timestamp",
        "X-Miniback-Event",
        "X-Miniback-Delivery",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];
    /// A header that is sent only during the overlap of a rotation.
    const NEXT_SIGNATURE_HEADER: &'static str = "X-Miniback-Signature-Next";

    pub(super) fn new(input: &DiagnosisInput<'a>) -> Self {
        let header = input.received.header;
        let get = |name: &str| header(name).map(|value| value.trim().to_owned());
        Self {
            header,
            secrets: SigningSecret::active_secrets(input.secrets),
            hex: get("x-miniback-signature"),
            next_hex: get("x-miniback-signature-next"),
            id: get("webhook-id"),
            timestamp: get("webhook-timestamp").and_then(|text| text.parse().ok()),
            standard: get("webhook-signature"),
        }
    }

    /// Returns the active secret for which a received hex signature of `body` is valid.
    pub(super) fn find_secret_for_hex_signature(&self, body: &[u8]) -> Option<SigningSecret> {
        self.find_signing_secret(|secret| self.is_hex_signed_with(secret, body))
    }

    /// Returns the active secret for which a signature of `body` in `webhook-signature` is valid.
    pub(super) fn find_secret_for_standard_signature(&self, body: &[u8]) -> Option<SigningSecret> {
        self.find_signing_secret(|secret| self.is_standard_signed_with(secret, body))
    }

    /// Returns the active secret for which any received signature of `body`, hex or standard, is
    /// valid.
    pub(super) fn find_secret_for_any_signature(&self, body: &[u8]) -> Option<SigningSecret> {
        self.find_secret_for_hex_signature(body)
            .or_else(|| self.find_secret_for_standard_signature(body))
    }

    /// Returns the active secret that signed the body before this change was made to it.
    pub(super) fn find_secret_for_original(
        &self,
        received: &[u8],
        change: BodyChange,
    ) -> Option<SigningSecret> {
        body_change::possible_original_bodies(received)
            .into_iter()
            .filter(|(possible, _)| *possible == change)
            .find_map(|(_, original)| self.find_secret_for_any_signature(&original))
    }

    /// Returns whether any received signature of `body` was created with this secret, active or
    /// not.
    pub(super) fn is_signed_with(&self, secret: &str, body: &[u8]) -> bool {
        Secret::parse(secret.to_owned()).is_ok_and(|secret| {
            self.is_hex_signed_with(&secret, body) || self.is_standard_signed_with(&secret, body)
        })
    }

    fn is_hex_signed_with(&self, secret: &Secret, body: &[u8]) -> bool {
        [&self.hex, &self.next_hex]
            .into_iter()
            .flatten()
            .filter_map(|text| verification::decode_hex(text))
            .any(|signature| verification::is_signed_by(secret, body, &signature))
    }

    fn is_standard_signed_with(&self, secret: &Secret, body: &[u8]) -> bool {
        let (Some(id), Some(timestamp), Some(received)) =
            (&self.id, self.timestamp, &self.standard)
        else {
            return false;
        };
        let expected = signature::sign_standard(secret, id, timestamp, body);
        received
            .split(' ')
            .any(|signature| Some(signature) == expected.as_deref())
    }

    fn find_signing_secret(&self, is_signer: impl Fn(&Secret) -> bool) -> Option<SigningSecret> {
        self.secrets
            .iter()
            .find(|(_, secret)| is_signer(secret))
            .map(|(signer, _)| *signer)
    }

    /// Returns whether `webhook-signature` is present, but isn't a signature of `body` by an active
    /// secret. Returns false if no active secret is in the format of Standard Webhooks.
    pub(super) fn has_standard_signature_mismatch(&self, body: &[u8]) -> bool {
        self.standard.is_some()
            && self
                .secrets
                .iter()
                .any(|(_, secret)| secret.standard_key().is_some())
            && self.find_secret_for_standard_signature(body).is_none()
    }

    /// Returns a finding and advice if the headers contain no complete signature.
    pub(super) fn explain_missing_signature(&self) -> Option<(String, String)> {
        if self.has_complete_signature() {
            return None;
        }
        let present = self.present_header_names();
        let advice = if present.is_empty() {
            "None of Miniback’s headers were received. Either the request isn’t from Miniback, or a proxy removes unknown headers. Allow the X-Miniback-… and webhook-… headers.".to_owned()
        } else {
            format!(
                "Only {} {} received. A proxy removed the others, or not all headers were pasted. Allow the X-Miniback-… and webhook-… headers.",
                present.join(", "),
                if present.len() == 1 { "was" } else { "were" },
            )
        };
        Some(("The header X-Miniback-Signature is missing.".into(), advice))
    }

    fn has_complete_signature(&self) -> bool {
        let is_standard_complete =
            self.standard.is_some() && self.id.is_some() && self.timestamp.is_some();
        self.hex.is_some() || self.next_hex.is_some() || is_standard_complete
    }

    fn present_header_names(&self) -> Vec<&'static str> {
        let is_present = |name: &&str| (self.header)(&name.to_ascii_lowercase()).is_some();
        Self::HEADER_NAMES
            .into_iter()
            .chain([Self::NEXT_SIGNATURE_HEADER])
            .filter(is_present)
            .collect()
    }

    /// Checks whether all headers in [`Self::HEADER_NAMES`] are present.
    pub(super) fn check_headers(&self) -> Check {
        let present = self.present_header_names();
        let missing: Vec<&str> = Self::HEADER_NAMES
            .into_iter()
            .filter(|name| !present.contains(name))
            .collect();
        let (result, message) = match (present.len(), missing.len()) {
            (0, _) => (
                CheckResult::Failed,
                "None of Miniback’s headers are present.".to_owned(),
            ),
            (_, 0) => (CheckResult::Passed, "All present.".to_owned()),
            _ => (
                match self.has_complete_signature() {
                    true => CheckResult::Unknown,
                    false => CheckResult::Failed,
                },
                format!("Missing: {}.", missing.join(", ")),
            ),
        };
        Check {
            name: "Headers",
            result,
            message,
        }
    }
}
