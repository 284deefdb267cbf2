//! `miniback check`: checks the configuration, the data directory, the database, and the hosts of
//! enabled webhooks and of `--alert-url`. Connects to the hosts without sending a request. Sends
//! one request to `--base-url`, to test the reverse proxy.

mod data_safety;
mod reverse_proxy;

use std::path::Path;
use std::time::Duration;

use super::backup::{format_database_summary, format_quantity};
use super::serve::into_command_error;
use super::{CommandError, escape_control_chars, print};
use crate::app::{self, listeners};
use crate::clock::Clock;
use crate::config::{self, FirstUser, ServeOptions};
use crate::delivery::{self, DeliverySettings};
use crate::domain::delivery::{DeliveryState, Outcome};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::webhook::WEBHOOKS_MAX;
use crate::store::{
    self, DatabaseProblem, OpenError, PageRequest, Store, StoreError, UnsuccessfulDeliveries,
};

/// The period in which `check` counts failed deliveries.
const RECENT_FAILURES_PERIOD: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn run(options: &ServeOptions) -> Result<(), CommandError> {
    // Parsing has already validated the options. Check the settings that parsing doesn't read, such
    // as secret files and the log level.
    options
        .alerts
        .read_secret()
        .map_err(CommandError::usage_error)?;
    options
        .log
        .read_log_level_or_default()
        .map_err(CommandError::usage_error)?;
    let first_user = config::read_first_user(|name| std::env::var(name).ok())
        .map_err(CommandError::usage_error)?;
    let own_sockets = listeners::socket_addresses(&options.listener.listen)
        .map_err(|error| into_command_error(error.into()))?;
    let settings = app::delivery_settings(options, own_sockets).map_err(into_command_error)?;
    let mut report = CheckReport::default();
    report.report_ok("configuration");
    if let Some(ignored) =
        config::describe_ignored_variables(true, config::nonempty_variable_names())
    {
        report.report_warning(&ignored);
    }
    for notice in options.notices() {
        if notice.is_warning {
            report.report_warning(&notice.text);
        } else {
            report.report_advice(&notice.text);
        }
    }
    check_running_server(&options.data.data_dir, &mut report);
    store::require_database(&options.data.data_dir).map_err(|error| match error {
        // This isn't a problem of the configuration.
        OpenError::ForeignWal { .. } => CommandError::new(error),
        error => into_command_error(error.into()),
    })?;
    check_file_permissions(&options.data.data_dir, &mut report)?;
    data_safety::check_last_backup(&options.data.data_dir, &mut report);
    if check_database(options, &mut report) {
        let contents = check_first_user_and_hosts(options, first_user, &settings, &mut report);
        actix_web::rt::System::new().block_on(contents)?;
    }
    report.into_result()
}

/// Checks that the running server, if there is one, uses the database in `dir`.
fn check_running_server(dir: &Path, report: &mut CheckReport) {
    let Some(server) = store::lock_holder(dir) else {
        return;
    };
    let name = &server.name;
    match &server.problem {
        Some(problem) => report.report_failure(&format!("running server ({name}): {problem}")),
        None if !server.has_database_open => {
            let file = store::database_path(dir).display().to_string();
            let problem = DatabaseProblem::Replaced { file };
            report.report_failure(&format!("running server ({name}): {problem}"));
        }
        None => report.report_ok(&format!("running server ({name}): uses this database")),
    }
}

/// Checks that only the owner of `dir` can access its files.
fn check_file_permissions(dir: &Path, report: &mut CheckReport) -> Result<(), CommandError> {
    let exposures =
        store::find_file_exposures(dir).map_err(|error| into_command_error(error.into()))?;
    for exposure in &exposures {
        let line = format!("files: {exposure}");
        if exposure.has_data {
            report.report_failure(&line);
        } else {
            report.report_warning(&line);
        }
    }
    if exposures.is_empty() {
        report.report_ok("files: only the owner of the data directory can access them");
    }
    Ok(())
}

/// Checks the database and the delivery totals. Returns `false` only if the database is invalid,
/// not if the totals are wrong.
fn check_database(options: &ServeOptions, report: &mut CheckReport) -> bool {
    let contents = match store::check_database(&options.data.data_dir) {
        Ok(contents) => contents,
        Err(error) => {
            report.report_failure(&format!("database: {error}"));
            return false;
        }
    };
    report.report_ok(&format!("database: {}", format_database_summary(&contents)));
    data_safety::check_free_space(&options.data.data_dir, contents.bytes, report);
    match contents.unexplained {
        0 => report
            .report_ok("delivery totals: every event is delivered, pending, failed, or canceled"),
        count => {
            let events = format_quantity(count, "event is", "events are");
            report.report_failure(&format!(
                "delivery totals: {events} unaccounted for; report this as a bug, with the log"
            ));
        }
    }
    true
}

/// Checks whether the environment variables for the first user have an effect. Also checks the
/// webhooks, the host of `--alert-url`, and the reverse proxy.
async fn check_first_user_and_hosts(
    options: &ServeOptions,
    first_user: Option<FirstUser>,
    settings: &DeliverySettings,
    report: &mut CheckReport,
) -> Result<(), CommandError> {
    let store = Store::open(&options.data.data_dir, None, Clock::system())
        .map_err(|error| into_command_error(error.into()))?;
    if let Some(user) = first_user
        && store.has_users().await.map_err(CommandError::new)?
    {
        report.report_advice(&user.ignored_variables_notice());
    }
    check_webhooks(&store, settings, report)
        .await
        .map_err(CommandError::new)?;
    check_mail_server(settings, report).await;
    if let Some(url) = &options.alerts.alert_url {
        // The mail server is checked above.
        if let Some(url) = url.endpoint() {
            let name = format!("--alert-url {}", url.host_and_port());
            check_host(&name, url, settings, report).await;
        }
    }
    reverse_proxy::check_reverse_proxy(options, settings, &store, report)
        .await
        .map_err(CommandError::new)?;
    store.close_async().await;
    Ok(())
}

/// Checks the hosts of enabled webhooks. Reports which webhooks are failing or disabled, and how
/// many deliveries have failed.
async fn check_webhooks(
    store: &Store,
    settings: &DeliverySettings,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    let all = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let failures_since = Clock::system().now().minus(RECENT_FAILURES_PERIOD);
    for webhook in store.webhooks(all).await?.items {
        let name = format!("webhook {} to {}", webhook.id, webhook.url.host_for_log());
        match webhook.url.endpoint() {
            _ if !webhook.enabled => report.report_advice(&format!("{name}: disabled")),
            Some(url) => check_host(&name, url, settings, report).await,
            None if settings.mail.is_none() => report.report_failure(&format!(
                "{name}: emails can't be sent; set --smtp-url and --mail-from"
            )),
            None => {}
        }
        let failures =
            store.unsuccessful_deliveries(Some(webhook.id), DeliveryState::Failed, failures_since);
        let failures = failures.await?;
        let failed = match failures.first() {
            Some(failures) => format_failed_deliveries(failures),
            None => "no failed deliveries in the last 7 days".to_owned(),
        };
        if let Some(since) = webhook.failing_since.filter(|_| webhook.enabled) {
            report.report_warning(&format!("{name}: failing since {since}; {failed}"));
        } else if !failures.is_empty() {
            report.report_advice(&format!("{name}: {failed}"));
        }
    }
    Ok(())
}

fn format_failed_deliveries(failures: &UnsuccessfulDeliveries) -> String {
    let count = failures.finished_at.len() as u64;
    let count = format_quantity(count, "failed delivery", "failed deliveries");
    let at_least = if failures.is_capped { "at least " } else { "" };
    format!("{at_least}{count} in the last 7 days; redeliver on Settings → Notifications")
}

/// Connects to the mail server and signs in, if `--smtp-url` is set.
async fn check_mail_server(settings: &DeliverySettings, report: &mut CheckReport) {
    let Some(mail) = &settings.mail else {
        return;
    };
    let name = format!("mail server {}", mail.server.host_and_port());
    match delivery::probe_mail_server(settings).await {
        Ok(()) if mail.server.credentials.is_some() => {
            report.report_ok(&format!("{name}: reachable, and the sign-in works"));
        }
        Ok(()) => report.report_ok(&format!("{name}: reachable")),
        Err(failure) => {
            let outcome = Outcome::Mail(failure);
            report.report_failure(&format!("{name}: {}", outcome.explanation()));
        }
    }
}

async fn check_host(
    name: &str,
    url: &EndpointUrl,
    settings: &DeliverySettings,
    report: &mut CheckReport,
) {
    match delivery::probe(settings, url).await {
        Ok(()) => report.report_ok(&format!("{name}: reachable")),
        Err(outcome) => report.report_failure(&format!("{name}: {}", outcome.explanation())),
    }
}

/// Prints one line for each check and counts the problems.
#[derive(Default)]
struct CheckReport {
    problems: u64,
}

impl CheckReport {
    fn report_ok(&self, text: &str) {
        print(&format!("ok     {}\n", escape_control_chars(text)));
    }

    fn report_advice(&self, text: &str) {
        print(&format!("info   {}\n", escape_control_chars(text)));
    }

    /// Prints a warning, which isn't counted as a problem.
    fn report_warning(&mut self, text: &str) {
        print(&format!("WARN   {}\n", escape_control_chars(text)));
    }

    fn report_failure(&mut self, text: &str) {
        self.problems += 1;
        print(&format!("FAIL   {}\n", escape_control_chars(text)));
    }

    fn into_result(self) -> Result<(), CommandError> {
        match self.problems {
            0 => Ok(()),
            count => Err(CommandError::new(format!(
                "{} found",
                format_quantity(count, "problem", "problems")
            ))),
        }
    }
}
