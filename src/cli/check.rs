//! `miniback check`: looks at configuration, database and the hosts of enabled webhooks; says what is wrong and how to
//! mend it. It connects to the hosts, and sends nothing.

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
    let mut report = |good: bool, what: &str| {
        failures += u32::from(!good);
        print(&format!(
            "{}  {}\n",
            if good { "ok   " } else { "WRONG" },
            escape_control_chars(what)
        ));
    };
    // Options that cannot be read have ended the program already; what they point to is looked at here.
    options.alerts.secret().map_err(CommandError::usage_error)?;
    let settings = app::delivery_settings(options, options.listen).map_err(start_error)?;
    report(true, "configuration");
    match store::inspect(&options.data.data_dir) {
        Ok(contents) => {
            report(true, &format!("database: {}", summarize(&contents)));
            match contents.unexplained {
                0 => report(
                    true,
                    "accounting: every event is delivered, pending, failed or canceled",
                ),
                n => report(
                    false,
                    &format!(
                        "accounting: {n} events are in no state or have lost their delivery; please report it, with the log"
                    ),
                ),
            }
        }
        Err(BackupError::NoDatabase(path)) => {
            report(
                true,
                &format!(
                    "database: {} is not there yet; serve makes it",
                    path.display()
                ),
            );
            return Ok(());
        }
        Err(error) => {
            report(false, &format!("database: {error}"));
            return Err(CommandError::new("1 thing is wrong"));
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
            let name = format!("webhook {} to {}", webhook.id, webhook.url.host_for_log());
            match delivery::probe(&settings, &webhook.url).await {
                Ok(()) => report(true, &format!("{name}: reached")),
                Err(outcome) => report(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        if let Some(url) = &options.alerts.alert_url {
            let name = format!("--alert-url {}", url.host_for_log());
            match delivery::probe(&settings, url).await {
                Ok(()) => report(true, &format!("{name}: reached")),
                Err(outcome) => report(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        store.close_quietly().await;
        Ok::<_, CommandError>(())
    })?;
    match failures {
        0 => Ok(()),
        1 => Err(CommandError::new("1 thing is wrong")),
        many => Err(CommandError::new(format!("{many} things are wrong"))),
    }
}
