//! The program in the test's own process, with a clock that the test moves forward. The database
//! file, the port, and the receivers are real.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use miniback::app;
use miniback::clock::{Clock, ManualClock, Timestamp};
use miniback::config::{self, Command, FirstUser};
use miniback::server::tokens;
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
    options: Vec<String>,
    server: Option<ServerThread>,
}

struct ServerThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// The initial time of the clock: 2026-01-01T00:00:00.000Z, in milliseconds since the Unix epoch.
pub const START: i64 = 1_767_225_600_000;

/// The token of the demo's sign-in link, `/sign-in?token=…`.
pub const DEMO_TOKEN: &str = "demo-token";

impl InProcess {
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        let data = TempDir::new().expect("create a temporary directory");
        let clock = ManualClock::starting_at(Timestamp::from_millis(START));
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let (url, server) = start_server(data.path(), &options, &clock);
        Self {
            clock,
            url,
            data,
            options,
            server: Some(server),
        }
    }

    /// Stops the program, calls `meanwhile`, and starts the program again. The URL changes.
    pub fn restart(&mut self, meanwhile: impl FnOnce(&ManualClock)) {
        self.stop();
        meanwhile(&self.clock);
        let (url, server) = start_server(self.data.path(), &self.options, &self.clock);
        (self.url, self.server) = (url, Some(server));
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = server.stop.send(());
            let _ = server.thread.join();
        }
    }

    /// Returns a client with a new full-scope token of the first admin.
    pub fn api(&self) -> Api {
        let created = command::run_on_data_dir(
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

    /// Moves the clock forward. The program then starts all work that has become due.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets the wall clock, but not the monotonic clock.
    pub fn set_clock(&self, time: Timestamp) {
        self.clock.set_wall_clock(time);
        // The writer adopts the new time before its next write.
        self.wait_for_commit();
    }

    /// Waits until the writer has committed a new transaction.
    pub fn wait_for_commit(&self) {
        Api::new(&self.url, None).get("/healthz").expect(200);
    }
}

fn start_server(data: &Path, options: &[String], clock: &ManualClock) -> (String, ServerThread) {
    let (started, url) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut arguments = vec!["miniback", "serve", "--listen", "127.0.0.1:0", "--data-dir"];
    let directory = data.to_string_lossy().into_owned();
    arguments.push(&directory);
    arguments.extend(options.iter().map(String::as_str));
    let Ok(config::Cli {
        command: Command::Serve(options),
    }) = config::parse(arguments, &app::route_prefixes())
    else {
        panic!("invalid options of `serve`: {options:?}")
    };
    let manual = Clock::manual(clock);
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let user = FirstUser {
                email: ADMIN.into(),
                password: PASSWORD.into(),
                password_variable: "MINIBACK_ADMIN_PASSWORD",
            };
            let opened = app::open_store(&options, &manual).expect("open the database");
            let running = app::start(&options, opened, None, Some(user), manual)
                .await
                .expect("start the program");
            let store = &running.state.store;
            let user = store.user_with_password_hash(ADMIN).await;
            let (user, _) = user.expect("read the user").expect("find the user");
            running.set_demo_sign_in_link(user.id, tokens::sha256(DEMO_TOKEN));
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
    (url, ServerThread { stop, thread })
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.stop();
    }
}
