//! The first headers of an email: sender, recipient, date, and id.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{Date, From, Headers, To};
use lettre::message::{Mailbox, Mailboxes};

use crate::clock::Timestamp;
use crate::domain::mail_server::MailSender;

/// Renders `From`, `To`, `Date`, and `Message-ID`, each on one or more lines.
pub(super) fn render_leading_headers(
    sender: &MailSender,
    id: &str,
    to: &str,
    date: Timestamp,
) -> String {
    let mut headers = Headers::new();
    if let Some(email) = smtp_address(&sender.email) {
        headers.set(From::from(Mailboxes::from(Mailbox::new(
            sender.name.clone(),
            email,
        ))));
    }
    if let Some(email) = smtp_address(to) {
        headers.set(To::from(Mailboxes::from(Mailbox::new(None, email))));
    }
    headers.set(Date::new(system_time(date)));
    // The sender's domain makes the id globally unique (RFC 5322, section 3.6.4).
    format!("{headers}Message-ID: <{id}@{}>\r\n", sender.domain())
}

/// Returns the names and values of headers, without line breaks.
pub(super) fn unfold(head: &str) -> Vec<(String, String)> {
    let head = head.replace("\r\n ", " ");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Converts an email to the form for SMTP: the domain is in ASCII. Returns `None` if SMTP can't
/// represent the email.
pub(super) fn smtp_address(email: &str) -> Option<Address> {
    let (local, domain) = email.rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    Address::new(local, domain).ok()
}

fn system_time(time: Timestamp) -> SystemTime {
    let millis = u64::try_from(time.millis()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sender: &str, to: &str) -> Vec<(String, String)> {
        let sender = MailSender::parse(sender).unwrap();
        let date = Timestamp::from_millis(1_761_914_096_789);
        unfold(&render_leading_headers(&sender, "dlv_1", to, date))
    }

    #[test]
    fn renders_sender_recipient_date_and_id() {
        let rendered = headers("Acme <bot@acme.example>", "ada@m\u{fc}ller.de");
        let expected = [
            ("From", "Acme <bot@acme.example>"),
            ("To", "ada@xn--mller-kva.de"),
            ("Date", "Fri, 31 Oct 2025 12:34:56 +0000"),
            ("Message-ID", "<dlv_1@acme.example>"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(rendered, expected);
    }

    #[test]
    fn a_name_cannot_add_a_header() {
        for name in ["M\u{fc}ller \"Ada\", x", "\u{202e}\u{1f600}", "a, b: c;"] {
            let rendered = headers(&format!("{name} <bot@acme.example>"), "a@b.example");
            let names: Vec<_> = rendered.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["From", "To", "Date", "Message-ID"], "{rendered:?}");
            assert!(
                rendered.iter().all(|(_, value)| value.is_ascii()),
                "{rendered:?}"
            );
        }
    }
}
