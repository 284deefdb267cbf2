//! The failures of emails after the connection to the mail server is open, and their explanations.

use std::time::Duration;

use super::delivery::Outcome;
use super::explanation::format_duration;

/// The reason why the mail server didn't accept an email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFailure {
    /// `--smtp-url` isn't set.
    NotConfigured,
    /// Connecting to the mail server failed. Contains the outcome of the connection.
    Connection(Box<Outcome>),
    /// The mail server replied with an error, or with a code that doesn't fit the step.
    Reply { step: MailStep, code: u16 },
    /// The mail server closed the connection during a step.
    Closed(MailStep),
    /// The mail server didn't reply in time.
    Timeout { after: Duration, step: MailStep },
    /// A reply isn't valid SMTP.
    InvalidReply(MailStep),
    /// The mail server doesn't offer STARTTLS.
    NoStartTls,
    /// The mail server offers no sign-in method that Miniback supports.
    NoSignIn,
    /// An email isn't ASCII, and the mail server doesn't support such emails (RFC 6531).
    NoInternationalEmail,
}

/// A step of the conversation with a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailStep {
    /// Waiting for the greeting.
    Greeting,
    /// `EHLO`
    Hello,
    /// `STARTTLS`
    StartTls,
    /// `AUTH`
    SignIn,
    /// `MAIL FROM`
    Sender,
    /// `RCPT TO`
    Recipient,
    /// `DATA`
    Data,
    /// The content of the email, up to the reply to its end.
    Content,
}

impl MailStep {
    /// Returns the step as the object of a sentence.
    const fn description(self) -> &'static str {
        match self {
            Self::Greeting => "the connection",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::SignIn => "the sign-in",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "DATA",
            Self::Content => "the email",
        }
    }
}

impl MailFailure {
    /// Returns whether another attempt would fail too: the mail server replied with a 5xx code.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Reply {
                code: 500..=599,
                ..
            }
        )
    }

    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Connection(outcome) => outcome.is_timeout(),
            _ => false,
        }
    }

    pub fn error_code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "mail_not_configured",
            Self::Connection(outcome) => match **outcome {
                Outcome::Tls(_) | Outcome::TlsExpected => "mail_tls",
                ref other => match other.error_code() {
                    Some("tls_timeout") => "mail_tls",
                    Some("timeout" | "send_timeout") => "mail_timeout",
                    Some("connection_closed") | None => "mail_closed",
                    Some(code) => code,
                },
            },
            Self::Reply { step, code } => reply_code(*step, *code),
            Self::Closed(_) => "mail_closed",
            Self::Timeout { .. } => "mail_timeout",
            Self::InvalidReply(_) => "mail_not_smtp",
            Self::NoStartTls => "mail_no_starttls",
            Self::NoSignIn => "mail_no_sign_in",
            Self::NoInternationalEmail => "mail_no_international_email",
        }
    }

    /// Returns a short description of the failure, without advice.
    pub fn summary(&self) -> String {
        match self {
            Self::NotConfigured => "Emails can’t be sent, because --smtp-url isn’t set.".into(),
            Self::Connection(outcome) => describe_mail_server(&outcome.summary()),
            Self::Reply { step, code } => reply_summary(*step, *code),
            Self::Closed(MailStep::Greeting) => {
                "The mail server closed the connection without a greeting.".into()
            }
            Self::Closed(step) => format!(
                "The mail server closed the connection instead of replying to {}.",
                step.description()
            ),
            Self::Timeout {
                after,
                step: MailStep::Greeting,
            } => format!(
                "The mail server didn’t send its greeting within {}.",
                format_duration(*after)
            ),
            Self::Timeout { after, step } => format!(
                "The mail server didn’t reply to {} within {}.",
                step.description(),
                format_duration(*after)
            ),
            Self::InvalidReply(_) => "The server on this port doesn’t speak SMTP.".into(),
            Self::NoStartTls => {
                "The mail server doesn’t offer STARTTLS, so the connection wouldn’t be encrypted."
                    .into()
            }
            Self::NoSignIn => {
                "The mail server offers no sign-in method that Miniback supports (PLAIN or LOGIN)."
                    .into()
            }
            Self::NoInternationalEmail => {
                "The mail server doesn’t support emails with characters outside ASCII before the @."
                    .into()
            }
        }
    }
}

/// Replaces the endpoint in a description of a connection.
pub fn describe_mail_server(text: &str) -> String {
    text.replace("The endpoint", "The mail server")
        .replace("the endpoint", "the mail server")
}

fn reply_code(step: MailStep, code: u16) -> &'static str {
    match (step, code) {
        // A code of success in the wrong step, for example 354 after the end of the email.
        (_, 200..=399) => "mail_not_smtp",
        (_, 400..=499) => "mail_deferred",
        // RFC 4954, section 6: the command needs a sign-in.
        (_, 530) => "mail_sign_in_required",
        (MailStep::SignIn, _) => "mail_sign_in",
        // RFC 5321, section 4.2.3: exceeded storage allocation, which means the size of an email
        // except in the reply to a recipient, where it means a full mailbox.
        (MailStep::Sender | MailStep::Data | MailStep::Content, 552) => "mail_too_large",
        (MailStep::Sender, _) => "mail_sender",
        (MailStep::Recipient, _) => "mail_recipient",
        (MailStep::Data | MailStep::Content, _) => "mail_rejected",
        (MailStep::Greeting | MailStep::Hello | MailStep::StartTls, _) => "mail_refused",
    }
}

fn reply_summary(step: MailStep, code: u16) -> String {
    let text = match reply_code(step, code) {
        "mail_not_smtp" => {
            return format!(
                "The mail server replied to {} with an unexpected code ({code}).",
                step.description()
            );
        }
        "mail_deferred" => "The mail server asked Miniback to try again later",
        "mail_sign_in_required" => "The mail server requires a user and a password",
        "mail_sign_in" => "The mail server rejected the user or the password",
        "mail_too_large" => "The mail server rejected the email as too large",
        "mail_sender" => "The mail server rejected the sender",
        "mail_recipient" => "The mail server rejected the recipient",
        "mail_rejected" => "The mail server rejected the email",
        _ => "The mail server refused the connection",
    };
    format!("{text} ({code}).")
}

/// Returns the likely cause of a failure with this code, and how to fix it. Returns `None` for an
/// unknown code.
pub fn advice_for_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "mail_closed" => {
            "Check the port in --smtp-url and the mail server’s log. Ports that start with TLS (usually 465) need smtps://."
        }
        "mail_deferred" => {
            "Miniback tries again. Many mail servers defer the first email of an unknown sender (greylisting). If all retries fail, see the reply of the mail server."
        }
        "mail_no_international_email" => {
            "Use an email with only ASCII characters before the @, or a mail server that supports SMTPUTF8."
        }
        "mail_no_sign_in" => {
            "Enable PLAIN or LOGIN on the mail server. Some servers offer them only over TLS. If the server needs no sign-in, remove the user and password from --smtp-url."
        }
        "mail_no_starttls" => {
            "Nothing was sent. If the port starts with TLS (usually 465), use smtps:// in --smtp-url. Otherwise, enable STARTTLS on the mail server, or check which firewall or proxy removes it."
        }
        "mail_not_configured" => "Start Miniback with --smtp-url and --mail-from.",
        "mail_not_smtp" => {
            "Check the host and port in --smtp-url. If they are right, check the mail server’s log."
        }
        "mail_recipient" => {
            "Check the spelling of the email, and see the reply of the mail server."
        }
        "mail_refused" => {
            "See the reply of the mail server. It might not accept email from Miniback’s machine: use the mail server of your provider, with a user and a password."
        }
        "mail_rejected" => {
            "See the reply of the mail server. If a spam filter rejected the email, check that the domain of --mail-from allows this mail server (SPF and DKIM)."
        }
        "mail_sender" => {
            "Check --mail-from. Many mail servers accept only the email that belongs to the user in --smtp-url."
        }
        "mail_sign_in" => {
            "Check the user and password in --smtp-url. Special characters must be percent-encoded there. Accounts with two-factor authentication need an app password."
        }
        "mail_sign_in_required" => {
            "Add the user and the password to --smtp-url: smtps://user:password@host."
        }
        "mail_timeout" => {
            "Check the mail server’s log. If it is slow on purpose, for example with a delayed greeting, raise --timeout."
        }
        "mail_tls" => {
            "Nothing was sent. Use smtps:// for a port that starts with TLS (usually 465), and smtp:// for a port with STARTTLS (usually 587). The mail server must support TLS 1.2 or 1.3."
        }
        "mail_too_large" => "Raise the mail server’s limit for the size of an email.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_replies_by_step_and_code() {
        for (step, code, expected) in [
            (MailStep::Greeting, 554, "mail_refused"),
            (MailStep::Greeting, 421, "mail_deferred"),
            (MailStep::SignIn, 535, "mail_sign_in"),
            (MailStep::SignIn, 454, "mail_deferred"),
            (MailStep::Sender, 530, "mail_sign_in_required"),
            (MailStep::Sender, 553, "mail_sender"),
            (MailStep::Sender, 552, "mail_too_large"),
            (MailStep::Recipient, 552, "mail_recipient"),
            (MailStep::Recipient, 450, "mail_deferred"),
            (MailStep::Content, 552, "mail_too_large"),
            (MailStep::Content, 554, "mail_rejected"),
            (MailStep::Content, 354, "mail_not_smtp"),
            (MailStep::Data, 250, "mail_not_smtp"),
        ] {
            let failure = MailFailure::Reply { step, code };
            assert_eq!(failure.error_code(), expected, "{step:?} {code}");
            assert_eq!(failure.is_permanent(), code >= 500);
            assert!(failure.summary().contains(&code.to_string()));
        }
    }

    #[test]
    fn every_code_has_advice() {
        let codes = Outcome::ERROR_CODES.into_iter();
        for code in codes.filter(|code| code.starts_with("mail_")) {
            assert!(advice_for_code(code).is_some(), "{code}");
        }
    }

    #[test]
    fn a_failed_connection_is_about_the_mail_server() {
        let failure = MailFailure::Connection(Box::new(Outcome::ConnectionClosed));
        assert_eq!(
            failure.summary(),
            "The mail server closed the connection without responding."
        );
        assert_eq!(failure.error_code(), "mail_closed");
        let refused = MailFailure::Connection(Box::new(Outcome::ConnectionRefused));
        assert_eq!(refused.error_code(), "connection_refused");
    }
}
