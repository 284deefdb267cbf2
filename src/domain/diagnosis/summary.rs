//! Chooses the most useful finding. It must not contradict the individual checks.

use super::signatures::{ReceivedSignatures, SigningSecret};
use super::{Check, CheckResult, DiagnosisInput, SigningSecrets};
use crate::domain::body_change::BodyChange;
use crate::domain::verification;

/// The finding if the endpoint doesn't use an active secret.
pub(super) const WRONG_SECRET: &str = "Wrong secret.";

/// The input of a diagnosis, and the results of analyzing it.
pub(super) struct Evidence<'a> {
    pub(super) input: &'a DiagnosisInput<'a>,
    pub(super) signatures: ReceivedSignatures<'a>,
    pub(super) signing_secrets: SigningSecrets,
    pub(super) change: Option<BodyChange>,
    pub(super) clock: Option<Check>,
    /// The check of the endpoint's secret, and whether this secret signed the delivery.
    pub(super) secret: Option<(Check, bool)>,
}

/// Whether the delivery is valid, the finding, and the advice.
type DiagnosisSummary = (bool, String, String);

fn invalid(finding: impl Into<String>, advice: impl Into<String>) -> DiagnosisSummary {
    (false, finding.into(), advice.into())
}

impl Evidence<'_> {
    pub(super) fn summarize(&self) -> DiagnosisSummary {
        // Report a wrong secret first, because this finding is certain. No delivery can be verified
        // until the secret is fixed.
        if let Some((check, _)) = &self.secret
            && check.result == CheckResult::Failed
        {
            return invalid(WRONG_SECRET, check.message.as_str());
        }
        if let Some((finding, advice)) = self.signatures.explain_missing_signature() {
            return invalid(finding, advice);
        }
        let Some(signer) = self.signing_secrets.first_signing_secret() else {
            return self.explain_mismatch();
        };
        if let Some((_, false)) = &self.secret {
            return invalid(
                format!(
                    "Your server uses a different active secret. The request is signed with the {}.",
                    signer.name()
                ),
                "During a rotation, X-Miniback-Signature uses the current secret, and X-Miniback-Signature-Next uses the new secret. Requests from before the rotation have no second signature. Redeliver the event, and check the new request.",
            );
        }
        self.explain_partial_mismatch().unwrap_or_else(|| {
            let is_secret_known = self.secret.is_some();
            let finding = match is_secret_known {
                true => "Valid. Signed with your server’s secret.".to_owned(),
                false => format!("Valid. Signed with the {}.", signer.name()),
            };
            (true, finding, valid_advice(is_secret_known))
        })
    }

    /// Explains a request that has a valid signature, but whose other signature or time is wrong.
    fn explain_partial_mismatch(&self) -> Option<DiagnosisSummary> {
        let body = self.input.received.body;
        if self.signatures.has_standard_signature_mismatch(body) {
            return Some(invalid(
                "X-Miniback-Signature matches, but webhook-signature doesn’t: webhook-id or webhook-timestamp was changed.",
                "webhook-signature covers both headers. Pass them on unchanged, as text and not as a number or a date.",
            ));
        }
        if self.signatures.hex.is_some() && self.signing_secrets.hex.is_none() {
            return Some(invalid(
                "webhook-signature matches, but X-Miniback-Signature was changed.",
                "X-Miniback-Signature was truncated or changed in transit. Check the proxies in front of your server.",
            ));
        }
        let clock = self.clock.as_ref();
        let clock = clock.filter(|check| check.result == CheckResult::Failed)?;
        Some(invalid(
            clock.message.as_str(),
            "Libraries reject timestamps more than 5 minutes off. Sync your server’s clock (NTP), and compare Unix seconds, not milliseconds or local time.",
        ))
    }

    /// Explains why no active secret signed the received body.
    fn explain_mismatch(&self) -> DiagnosisSummary {
        if let Some(change) = self.change {
            let advice = [
                change.advice(),
                &self.describe_signature_of_original(change),
            ];
            return invalid(
                format!("The body {}.", change.description()),
                advice.join(" ").trim_end(),
            );
        }
        let hex = self.signatures.hex.as_ref();
        if hex.is_some_and(|hex| verification::decode_hex(hex).is_none()) {
            return invalid(
                "X-Miniback-Signature isn’t 64 hex digits.",
                "The header was truncated or changed in transit, or only part of it was pasted. The header contains only the digits, without a prefix such as sha256=.",
            );
        }
        match self.input.sent {
            Some(_) => invalid(
                "Signed with another secret: no active secret produces this signature.",
                "The body is unchanged. The secret was rotated after this delivery, or the signature was changed in transit. Redeliver the event, and check the new request.",
            ),
            None => invalid(
                "Signed with another secret, or the body was changed.",
                "To find out which, paste all headers, including X-Miniback-Delivery, or send a test and paste that request.",
            ),
        }
    }

    /// Says which secret signed the body before it was changed; empty if that is unknown.
    fn describe_signature_of_original(&self, change: BodyChange) -> String {
        let matches = |signer: SigningSecret, start: &str| {
            format!("{start} matches this webhook’s {}.", signer.name())
        };
        match &self.input.sent {
            Some(sent) => match self.signatures.find_secret_for_any_signature(sent.body) {
                Some(signer) => matches(signer, "The signature of the sent body"),
                None => "The secret was also replaced: no active secret produces the signature of the sent body.".to_owned(),
            },
            None => self
                .signatures
                .find_secret_for_original(self.input.received.body, change)
                .map(|signer| matches(signer, "Without this change, the signature"))
                .unwrap_or_default(),
        }
    }
}

fn valid_advice(is_secret_known: bool) -> String {
    let other_cause = match is_secret_known {
        true => "",
        false => "it uses a different secret, or ",
    };
    format!(
        "Your server received exactly what was sent. If it still rejects the request, check its code: {other_cause}it doesn’t verify the raw body. The key of X-Miniback-Signature is the whole secret as text, including whsec_."
    )
}
