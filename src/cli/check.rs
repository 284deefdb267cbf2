//! `miniback check`: checks the configuration, the database, and the hosts of enabled webhooks.
//! Connects to the hosts without sending a request.

use super::backup::summarize;
use super::serve::start_error;
use super::{CommandError, escape_control_chars, print};
use crate::app;
use crate::clock::Clock;
use crate::config::ServeOptions;
use crate::delivery;
use crate::store::{self, BackupError, PageRequest, Store};

pub(super) fn run(options: &ServeOptions) -> Result<(), CommandError> {
    let mut failures = 0;
    let mut report = |is_ok: bool, text: &str| {
        failures += u32::from(!is_ok);
        print(&format!(
            "{}  {}\n",
            if is_ok { "ok   " } else { "FAIL " },
            escape_control_chars(text)
        ));
    };
    // Invalid options have already ended the program. Check what they refer to.
    options.alerts.secret().map_err(CommandError::usage_error)?;
    let settings = app::delivery_settings(options, options.listen).map_err(start_error)?;
    report(true, "configuration");
    match store::inspect(&options.data.data_dir) {
        Ok(contents) => {
            report(true, &format!("database: {}", summarize(&contents)));
            match contents.unexplained {
                0 => report(
                    true,
                    "delivery totals: every event is delivered, pending, failed, or canceled",
                ),
                n => report(
                    false,
                    &format!(
                        "delivery totals: {n} events are unaccounted for; report this as a bug, with the log"
                    ),
                ),
            }
        }
        Err(BackupError::NoDatabase(path)) => {
            report(
                true,
                &format!(
                    "database: {} doesn’t exist yet; miniback serve creates it",
                    path.display()
                ),
            );
            return Ok(());
        }
        Err(error) => {
            report(false, &format!("database: {error}"));
            return Err(CommandError::new("1 problem found"));
        }
    }
    actix_web::rt::System::new().block_on(async {
        let store = Store::open(&options.data.data_dir, None, Clock::System)
            .map_err(|error| start_error(error.into()))?;
        let all = PageRequest {
            limit: 1000,
            before: None,
        };
        let webhooks = store.webhooks(all).await.map_err(CommandError::new)?.items;
        for webhook in webhooks.iter().filter(|webhook| webhook.enabled) {
            let name = format!("webhook {} to {}", webhook.id, webhook.url.host_and_port());
            match delivery::probe(&settings, &webhook.url).await {
                Ok(()) => report(true, &format!("{name}: reachable")),
                Err(outcome) => report(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        if let Some(url) = &options.alerts.alert_url {
            let name = format!("--alert-url {}", url.host_and_port());
            match delivery::probe(&settings, url).await {
                Ok(()) => report(true, &format!("{name}: reachable")),
                Err(outcome) => report(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        store.close_quietly().await;
        Ok::<_, CommandError>(())
    })?;
    match failures {
        0 => Ok(()),
        1 => Err(CommandError::new("1 problem found")),
        many => Err(CommandError::new(format!("{many} problems found"))),
    }
}
