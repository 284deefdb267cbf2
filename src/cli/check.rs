//! `miniback check`: looks at configuration, database and the hosts of enabled webhooks; says what is wrong and how to
//! mend it. It connects to the hosts, and sends nothing.

use super::backup::describe;
use super::serve::start_failure;
use super::{Failure, print, safe};
use crate::app;
use crate::clock::Clock;
use crate::config::ServeOptions;
use crate::delivery;
use crate::store::{self, BackupError, PageRequest, Store};

pub(super) fn run(options: &ServeOptions) -> Result<(), Failure> {
    let mut wrong = 0;
    let mut say = |good: bool, what: &str| {
        wrong += u32::from(!good);
        print(&format!(
            "{}  {}\n",
            if good { "ok   " } else { "WRONG" },
            safe(what)
        ));
    };
    // Options that cannot be read have ended the program already; what they point to is looked at here.
    options.alerts.secret().map_err(Failure::wrong)?;
    let settings = app::delivery_settings(options, options.listen).map_err(start_failure)?;
    say(true, "configuration");
    match store::inspect(&options.data.data_dir) {
        Ok(contents) => {
            say(true, &format!("database: {}", describe(&contents)));
            match contents.unexplained {
                0 => say(
                    true,
                    "accounting: every event is delivered, pending, failed or canceled",
                ),
                n => say(
                    false,
                    &format!(
                        "accounting: {n} events are in no state or have lost their delivery; please report it, with the log"
                    ),
                ),
            }
        }
        Err(BackupError::NoDatabase(path)) => {
            say(
                true,
                &format!(
                    "database: {} is not there yet; serve makes it",
                    path.display()
                ),
            );
            return Ok(());
        }
        Err(error) => {
            say(false, &format!("database: {error}"));
            return Err(Failure::new("1 thing is wrong"));
        }
    }
    actix_web::rt::System::new().block_on(async {
        let store = Store::open(&options.data.data_dir, None, Clock::System)
            .map_err(|error| start_failure(error.into()))?;
        let all = PageRequest {
            limit: 1000,
            before: None,
        };
        let webhooks = store.webhooks(all).await.map_err(Failure::new)?.items;
        for webhook in webhooks.iter().filter(|webhook| webhook.enabled) {
            let name = format!("webhook {} to {}", webhook.id, webhook.url.host_and_port());
            match delivery::probe(&settings, &webhook.url).await {
                Ok(()) => say(true, &format!("{name}: reached")),
                Err(outcome) => say(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        if let Some(url) = &options.alerts.alert_url {
            let name = format!("--alert-url {}", url.host_and_port());
            match delivery::probe(&settings, url).await {
                Ok(()) => say(true, &format!("{name}: reached")),
                Err(outcome) => say(false, &format!("{name}: {}", outcome.explanation())),
            }
        }
        store.close_quietly().await;
        Ok::<_, Failure>(())
    })?;
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::new("1 thing is wrong")),
        many => Err(Failure::new(format!("{many} things are wrong"))),
    }
}
