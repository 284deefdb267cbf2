//! The values of `--smtp-url` and `--mail-from`: the mail server and the sender of emails.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use percent_encoding::percent_decode_str;
use url::Url;

use super::email::check_email;
use super::endpoint_url::Host;
use super::request_headers::MASKED_VALUE;

/// The default port for TLS from the start of the connection (RFC 8314).
const TLS_PORT: u16 = 465;
/// The default port for STARTTLS (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// The maximum length of the sender's display name, in characters.
const NAME_MAX_CHARS: usize = 100;

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailEncryption {
    /// TLS from the start of the connection (`smtps://`).
    Tls,
    /// TLS after STARTTLS, which the mail server must offer.
    StartTls,
    /// No encryption, because the mail server is on this machine.
    None,
}

/// The user and password for the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct MailCredentials {
    pub user: String,
    pub password: String,
}

impl MailCredentials {
    /// Replaces the password in a text, also in the Base64 of the sign-in methods PLAIN and LOGIN.
    pub fn mask_password(&self, text: &str) -> String {
        let plain = format!("\0{}\0{}", self.user, self.password);
        let encoded = [&plain, &self.password]
            .map(|text| [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)]);
        let secrets = encoded.into_iter().flatten().chain([self.password.clone()]);
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(&secret, MASKED_VALUE)
        })
    }
}

impl fmt::Debug for MailCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailCredentials")
    }
}

/// The mail server that sends all emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    pub host: Host,
    pub port: u16,
    pub encryption: MailEncryption,
    pub credentials: Option<MailCredentials>,
}

/// The reason why a URL isn't valid for `--smtp-url`. The message never contains the URL, because
/// the URL contains a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailServerError {
    #[error(
        "use a URL like smtps://user:password@mail.example.com:465; in the user and password, \
         write special characters percent-encoded, for example @ as %40"
    )]
    Invalid,
    #[error(
        "the scheme must be smtps:// (TLS, usually port 465) or smtp:// (STARTTLS, usually port 587)"
    )]
    Scheme,
    #[error("the URL must end after the host and port, without a path, “?”, or “#”")]
    Suffix,
    #[error("the URL has a user, but no password; write smtps://user:password@host")]
    MissingPassword,
    #[error("the URL has a password, but no user; write smtps://user:password@host")]
    MissingUser,
    #[error("the user and password must be text without control characters")]
    Credentials,
}

impl MailServer {
    pub fn parse(text: &str) -> Result<Self, MailServerError> {
        use MailServerError as Error;
        let url = Url::parse(text.trim()).map_err(|_| Error::Invalid)?;
        let (is_tls, default_port) = match url.scheme() {
            "smtps" => (true, TLS_PORT),
            "smtp" => (false, SUBMISSION_PORT),
            _ => return Err(Error::Scheme),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Suffix);
        }
        let host = parse_host(url.host_str().unwrap_or_default()).ok_or(Error::Invalid)?;
        let encryption = match is_tls {
            true => MailEncryption::Tls,
            false if is_loopback(&host) => MailEncryption::None,
            false => MailEncryption::StartTls,
        };
        Ok(Self {
            host,
            port: url.port().filter(|port| *port > 0).unwrap_or(default_port),
            encryption,
            credentials: parse_credentials(url.username(), url.password())?,
        })
    }

    /// Returns the host and port: the identity of the mail server in the log.
    pub fn host_and_port(&self) -> String {
        match &self.host {
            Host::Name(name) => format!("{name}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Host::Ip(ip) => format!("{ip}:{}", self.port),
        }
    }
}

fn parse_host(text: &str) -> Option<Host> {
    // The scheme isn't one that the URL standard knows, so the parser hasn't normalized the host.
    Some(match url::Host::parse(text).ok()? {
        url::Host::Domain(name) => Host::Name(name.trim_end_matches('.').to_owned()),
        url::Host::Ipv4(ip) => Host::Ip(ip.into()),
        url::Host::Ipv6(ip) => Host::Ip(ip.into()),
    })
    .filter(|host| !matches!(host, Host::Name(name) if name.is_empty()))
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Ip(ip) => ip.is_loopback(),
    }
}

fn parse_credentials(
    user: &str,
    password: Option<&str>,
) -> Result<Option<MailCredentials>, MailServerError> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
        (!text.contains(char::is_control)).then_some(text)
    };
    match (user, password.filter(|password| !password.is_empty())) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(MailServerError::MissingUser),
        (_, None) => Err(MailServerError::MissingPassword),
        (user, Some(password)) => match (decode(user), decode(password)) {
            (Some(user), Some(password)) => Ok(Some(MailCredentials { user, password })),
            _ => Err(MailServerError::Credentials),
        },
    }
}

/// The mail server, and the sender of all emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    pub server: MailServer,
    pub sender: MailSender,
}

/// The sender of emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSender {
    pub name: Option<String>,
    pub email: String,
}

impl MailSender {
    /// Parses an email, or a display name and an email: `Miniback <feedback@example.com>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = || {
            "use an email, like feedback@example.com or “Miniback <feedback@example.com>”"
                .to_owned()
        };
        let text = text.trim();
        let (name, email) = match text
            .strip_suffix('>')
            .and_then(|rest| rest.rsplit_once('<'))
        {
            Some((name, email)) => (name.trim().trim_matches('"').trim(), email),
            None => ("", text),
        };
        if name.contains(char::is_control) || name.chars().count() > NAME_MAX_CHARS {
            return Err(format!(
                "the name must have at most {NAME_MAX_CHARS} characters, without control characters"
            ));
        }
        let email = check_email(email).map_err(|_| hint())?;
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            email,
        })
    }

    /// Returns the domain of the sender's email, in ASCII.
    pub fn domain(&self) -> String {
        let domain = self.email.rsplit_once('@').map_or("", |(_, domain)| domain);
        idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MailServer {
        MailServer::parse(text).unwrap()
    }

    #[test]
    fn reads_the_host_port_and_encryption() {
        let cases = [
            (
                "smtps://mail.example.com",
                "mail.example.com:465",
                MailEncryption::Tls,
            ),
            (
                "smtp://mail.example.com",
                "mail.example.com:587",
                MailEncryption::StartTls,
            ),
            (
                "smtp://Mail.Example.COM.:25/",
                "mail.example.com:25",
                MailEncryption::StartTls,
            ),
            (
                "smtp://m\u{fc}ller.de",
                "xn--mller-kva.de:587",
                MailEncryption::StartTls,
            ),
            (
                "smtp://192.0.2.1",
                "192.0.2.1:587",
                MailEncryption::StartTls,
            ),
            ("smtp://localhost:25", "localhost:25", MailEncryption::None),
            ("smtp://127.0.0.2", "127.0.0.2:587", MailEncryption::None),
            ("smtp://[::1]:2525", "[::1]:2525", MailEncryption::None),
            ("smtps://localhost", "localhost:465", MailEncryption::Tls),
            (
                "smtp://localhost.example.com",
                "localhost.example.com:587",
                MailEncryption::StartTls,
            ),
        ];
        for (text, host, encryption) in cases {
            let server = parse(text);
            assert_eq!(
                (server.host_and_port().as_str(), server.encryption),
                (host, encryption)
            );
            assert_eq!(server.credentials, None);
        }
    }

    #[test]
    fn decodes_the_user_and_password() {
        for (text, user, password) in [
            ("smtps://u:p@h.example", "u", "p"),
            (
                "smtps://ada%40example.com:p%3A%2F%23%25@h.example",
                "ada@example.com",
                "p:/#%",
            ),
            (
                "smtps://ada@example.com:p@h.example",
                "ada@example.com",
                "p",
            ),
            ("smtps://u:p:q@h.example", "u", "p:q"),
            ("smtps://u:%C3%BC@h.example", "u", "\u{fc}"),
        ] {
            let credentials = parse(text).credentials.unwrap();
            assert_eq!(
                (credentials.user.as_str(), credentials.password.as_str()),
                (user, password)
            );
        }
    }

    #[test]
    fn errors_never_contain_the_password() {
        use MailServerError as Error;
        for (text, expected) in [
            ("", Error::Invalid),
            ("mail.example.com", Error::Invalid),
            ("smtps://u:s3cret@", Error::Invalid),
            ("smtps://u:s3cret#x@h.example", Error::Invalid),
            ("smtps://u:s3cret@h.example:99999", Error::Invalid),
            ("https://u:s3cret@h.example", Error::Scheme),
            ("smtps://u:s3cret@h.example/x", Error::Suffix),
            ("smtps://u:s3cret@h.example?x", Error::Suffix),
            ("smtps://s3cret@h.example", Error::MissingPassword),
            ("smtps://:s3cret@h.example", Error::MissingUser),
            ("smtps://u:s3cret%0a@h.example", Error::Credentials),
            ("smtps://u:s3cret%ff@h.example", Error::Credentials),
        ] {
            let error = MailServer::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        let server = parse("smtps://u:s3cret@h.example");
        assert!(!format!("{server:?}").contains("s3cret"), "{server:?}");
    }

    #[test]
    fn a_sender_can_have_a_name() {
        let sender = |text: &str| {
            let sender = MailSender::parse(text).unwrap();
            (sender.name.unwrap_or_default(), sender.email)
        };
        let expected = |name: &str, email: &str| (name.to_owned(), email.to_owned());
        assert_eq!(sender(" a@b.example "), expected("", "a@b.example"));
        assert_eq!(sender("<a@b.example>"), expected("", "a@b.example"));
        assert_eq!(sender("Ada <a@b.example>"), expected("Ada", "a@b.example"));
        assert_eq!(
            sender("\"Ada L.\" <a@b.example>"),
            expected("Ada L.", "a@b.example")
        );
        for invalid in [
            "",
            "Ada",
            "Ada <a>",
            "Ada\r\nBcc: x <a@b.example>",
            "a@b.example>",
        ] {
            assert!(MailSender::parse(invalid).is_err(), "{invalid}");
        }
    }
}
