//! Options for sending emails: the mail server and the sender.

use clap::Args;

use super::option_values::read_secret_file;
use super::options::secret_file_from_variable;
use crate::domain::mail_server::{MailSender, MailServer, MailSettings};

const URL_FLAG: &str = "--smtp-url";
const URL_FILE_VARIABLE: &str = "MINIBACK_SMTP_URL_FILE";

#[derive(Clone, Debug, Args)]
pub struct MailOptions {
    /// The mail server that sends emails: smtps://user:password@host:465 (TLS), or
    /// smtp://user:password@host:587 (STARTTLS, which is required unless the host is localhost); to
    /// read the URL from a file, set MINIBACK_SMTP_URL_FILE
    #[arg(
        long,
        env = "MINIBACK_SMTP_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    smtp_url: Option<String>,
    /// The sender of emails, required with --smtp-url: an email, or a name and an email like
    /// “Miniback <feedback@example.com>”
    #[arg(
        long,
        env = "MINIBACK_MAIL_FROM",
        value_parser = MailSender::parse,
        value_name = "EMAIL"
    )]
    mail_from: Option<MailSender>,
    /// Whether the variables of the environment are ignored.
    #[arg(skip)]
    ignores_environment: bool,
}

impl MailOptions {
    /// Returns options that don't depend on the environment.
    pub fn new(smtp_url: Option<String>, mail_from: Option<MailSender>) -> Self {
        Self {
            smtp_url,
            mail_from,
            ignores_environment: true,
        }
    }

    /// Returns the path in `MINIBACK_SMTP_URL_FILE`, if it is set.
    fn url_file(&self) -> Option<String> {
        secret_file_from_variable(URL_FILE_VARIABLE).filter(|_| !self.ignores_environment)
    }

    /// Reads the mail server from the flag, the variable, or the file, and the sender. Returns
    /// `None` without a mail server. No error contains the URL, because it contains a password.
    pub fn read_settings(&self) -> Result<Option<MailSettings>, String> {
        let (name, url) = match (&self.smtp_url, self.url_file()) {
            (Some(_), Some(_)) => {
                return Err(format!(
                    "{URL_FLAG} and {URL_FILE_VARIABLE} are both set; unset one of them"
                ));
            }
            (Some(url), None) => (URL_FLAG, url.clone()),
            (None, Some(file)) => {
                let url = read_secret_file(URL_FILE_VARIABLE, file.as_ref())?;
                (URL_FILE_VARIABLE, url)
            }
            (None, None) => return Ok(None),
        };
        let server = MailServer::parse(&url).map_err(|error| format!("{name}: {error}"))?;
        let Some(sender) = self.mail_from.clone() else {
            return Err(format!(
                "--mail-from is missing; {name} requires the sender of emails, for example \
                 feedback@example.com"
            ));
        };
        Ok(Some(MailSettings { server, sender }))
    }

    /// Returns whether a sender is set without a mail server.
    pub(super) fn has_unused_sender(&self) -> bool {
        self.mail_from.is_some() && self.smtp_url.is_none() && self.url_file().is_none()
    }
}
