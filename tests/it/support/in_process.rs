//! The program in the test's own process, with a clock that the test moves forward. The database
//! file, the port, and the receivers are real.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use miniback::app;
use miniback::clock::{Clock, ManualClock, Timestamp};
use miniback::config::{self, Command, FirstUser};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::api::Api;
use super::app::{ADMIN, PASSWORD};
use super::command;
use super::pages::Visitor;

pub struct InProcess {
    pub clock: ManualClock,
    pub url: String,
    data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The clock's first time: 2026-01-01T00:00:00.000Z, in milliseconds since the Unix epoch.
pub const START: i64 = 1_767_225_600_000;

impl InProcess {
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        let data = TempDir::new().expect("create a temporary directory");
        let clock = ManualClock::at(Timestamp::from_millis(START));
        let (started, url) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut arguments = vec!["miniback", "serve", "--listen", "127.0.0.1:0", "--data-dir"];
        let directory = data.path().to_string_lossy().into_owned();
        arguments.push(&directory);
        arguments.extend(options);
        let Ok(config::Cli {
            command: Command::Serve(options),
        }) = config::parse(arguments, &app::route_prefixes())
        else {
            panic!("invalid options of `serve`: {options:?}")
        };
        let manual = Clock::Manual(clock.clone());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let user = FirstUser {
                    email: ADMIN.into(),
                    password: PASSWORD.into(),
                };
                let running = app::start(&options, None, Some(user), manual)
                    .await
                    .expect("start the program");
                started
                    .send(running.url.clone())
                    .expect("report the URL to the test");
                let _ = stopped.await;
                running.stop().await;
            });
        });
        let url = url
            .recv_timeout(Duration::from_secs(60))
            .expect("receive the program's URL");
        Self {
            clock,
            url,
            data,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns a client with a new full-scope token of the first admin.
    pub fn api(&self) -> Api {
        let created = command::run_on(
            self.data.path(),
            &["token", "create", "--user", ADMIN, "test"],
            "",
        )
        .success();
        Api::new(&self.url, Some(created.stdout.trim()))
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.url)
    }

    pub fn database(&self) -> PathBuf {
        super::app::database(self.data.path())
    }

    /// Moves the clock forward. Everything that becomes due starts.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
