//! The program under test: `miniback serve` with its own data directory, on a port chosen by the
//! system.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;

use tempfile::TempDir;

use super::api::Api;
use super::browser::Browser;
use super::command::{self, CommandOutput, miniback};
pub use super::log::Log;
use super::log::wait_until_or_print_log;
use super::pages::Visitor;

pub const ADMIN: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// Options for starting the program.
pub struct AppBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    admin: bool,
    data: Option<Arc<TempDir>>,
    writes_can_fail: bool,
    open_files: Option<&'static str>,
    log_format: &'static str,
    listen: String,
    umask: Option<&'static str>,
}

impl AppBuilder {
    /// Sets the umask of the program, such as `077`.
    pub fn umask(mut self, umask: &'static str) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Sets the value of `--listen`. By default, the program listens on a free port of 127.0.0.1.
    pub fn listen(mut self, addresses: &str) -> Self {
        self.listen = addresses.to_owned();
        self
    }

    /// Makes the program log text instead of JSON.
    pub fn text_log(mut self) -> Self {
        self.log_format = "text";
        self
    }

    /// Makes the program receive an error for writes beyond [`App::limit_file_size`]. By default,
    /// such a write kills the program.
    pub fn writes_can_fail(mut self) -> Self {
        self.writes_can_fail = true;
        self
    }

    /// Sets the soft and the hard open-file limit, such as `1024:4096`.
    pub fn open_file_limits(mut self, limits: &'static str) -> Self {
        self.open_files = Some(limits);
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Adds an option with its value.
    pub fn option(self, name: &str, value: &str) -> Self {
        self.arg(name).arg(value)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Omits `MINIBACK_ADMIN_EMAIL` and `MINIBACK_ADMIN_PASSWORD`, so there is no user.
    pub fn without_admin(mut self) -> Self {
        self.admin = false;
        self
    }

    /// Uses the data directory of a program that has stopped, instead of a new data directory.
    pub fn with_data_dir(mut self, data: Arc<TempDir>) -> Self {
        self.data = Some(data);
        self
    }

    #[track_caller]
    pub fn start(self) -> App {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the program. Returns an error with the log if the program exits before it listens.
    #[track_caller]
    pub fn try_start(self) -> Result<App, String> {
        let data = self
            .data
            .unwrap_or_else(|| Arc::new(TempDir::new().expect("create a temporary directory")));
        // Use a subdirectory, so that the program has to create it.
        let dir = data.path().join("data");
        let mut command = miniback(["serve", "--listen", &self.listen]);
        command.args(["--log-format", self.log_format]);
        command.arg("--data-dir").arg(&dir).args(&self.args);
        if self.admin {
            command
                .env("MINIBACK_ADMIN_EMAIL", ADMIN)
                .env("MINIBACK_ADMIN_PASSWORD", PASSWORD);
        }
        command.envs(self.env);
        if self.writes_can_fail {
            command = with_sigxfsz_ignored(&command);
        }
        if let Some(umask) = self.umask {
            let script = format!("umask {umask}; exec \"$0\" \"$@\"");
            command = command::wrapped_by(&command, "sh", &["-c", &script]);
        }
        if let Some(limits) = self.open_files {
            command = command::wrapped_by(&command, "prlimit", &[&format!("--nofile={limits}")]);
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the executable");
        let log = Log::collect(child.stderr.take().expect("take the standard error pipe"));
        let mut app = App {
            child,
            url: String::new(),
            dir,
            data,
            log,
            token: OnceLock::new(),
        };
        app.url = app.wait_for_url()?;
        Ok(app)
    }
}

pub struct App {
    child: Child,
    /// The program's URL, without a trailing slash.
    pub url: String,
    /// The program's data directory.
    pub dir: PathBuf,
    data: Arc<TempDir>,
    pub log: Log,
    token: OnceLock<String>,
}

impl App {
    pub fn builder() -> AppBuilder {
        AppBuilder {
            args: Vec::new(),
            env: Vec::new(),
            admin: true,
            data: None,
            writes_can_fail: false,
            open_files: None,
            log_format: "json",
            listen: "127.0.0.1:0".to_owned(),
            umask: None,
        }
    }

    /// Starts the program with default options.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts the program with `--retry-delays none`, so that the first failure is final.
    #[track_caller]
    pub fn without_retries() -> Self {
        Self::builder().option("--retry-delays", "none").start()
    }

    #[track_caller]
    fn wait_for_url(&mut self) -> Result<String, String> {
        let (child, log) = (&mut self.child, &self.log);
        let url = wait_until_or_print_log(log, "the log says `listening`", || {
            if let Some(line) = log.find(|line| line["message"] == "listening") {
                return Some(line["url"].as_str().map(str::to_owned));
            }
            let lines = log.lines();
            let mut urls = lines
                .iter()
                .filter_map(|line| line.split_once("listening on "));
            if let Some((_, url)) = urls.next() {
                return Some(Some(url.trim_end().to_owned()));
            }
            let exited = child.try_wait().expect("poll the child process");
            exited.map(|_| None)
        });
        match url {
            Some(url) => Ok(url.trim_end_matches('/').to_owned()),
            None => Err(format!(
                "serve exited before it started listening; the log:\n{}",
                self.log
            )),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        let url = url::Url::parse(&self.url).expect("parse the URL from the log");
        url.port().expect("get the URL's port")
    }

    /// Returns an API client with a full-scope token of the first admin.
    #[track_caller]
    pub fn api(&self) -> Api {
        let token = self.token.get_or_init(|| self.token(ADMIN, "full"));
        Api::new(&self.url, Some(token))
    }

    pub fn api_with(&self, token: &str) -> Api {
        Api::new(&self.url, Some(token))
    }

    pub fn api_without_token(&self) -> Api {
        Api::new(&self.url, None)
    }

    /// Creates an API token with the `token create` command and returns the token.
    #[track_caller]
    pub fn token(&self, email: &str, scope: &str) -> String {
        let args = [
            "token", "create", "--user", email, "--scope", scope, "tests",
        ];
        let printed = self.run(&args, "").success().stdout;
        let token = printed.trim_end_matches('\n');
        assert!(
            token.starts_with("mb_") && !token.contains(char::is_whitespace),
            "expected nothing but the token on standard output: {printed:?}"
        );
        token.to_owned()
    }

    /// Adds a user with the password [`PASSWORD`].
    #[track_caller]
    pub fn add_user(&self, email: &str, role: &str) {
        self.run(
            &["user", "add", email, "--role", role],
            &format!("{PASSWORD}\n"),
        )
        .success();
    }

    /// Runs another command on the same data directory, while the program runs.
    #[track_caller]
    pub fn run(&self, args: &[&str], input: &str) -> CommandOutput {
        command::run_on_data_dir(&self.dir, args, input)
    }

    /// Returns a visitor who isn't signed in.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.url)
    }

    /// Returns a visitor signed in as the first admin.
    #[track_caller]
    pub fn signed_in(&self) -> Visitor {
        let mut visitor = self.visitor();
        visitor.sign_in(ADMIN, PASSWORD);
        visitor
    }

    /// Signs in as the first admin in a browser.
    #[track_caller]
    pub fn sign_in(&self, browser: &Browser) {
        browser.open(&format!("{}/login", self.url));
        browser.find("textbox", "Email").fill(ADMIN);
        browser.find("textbox", "Password").fill(PASSWORD);
        browser.find("button", "Sign in").press();
        browser.find("button", "Sign out");
    }

    /// Kills the program with `SIGKILL`, like a crash, and returns its data directory.
    pub fn sigkill(mut self) -> Arc<TempDir> {
        self.child.kill().expect("kill the program");
        let _ = self.child.wait();
        Arc::clone(&self.data)
    }

    /// Sends `SIGTERM` without waiting for the program to exit.
    pub fn sigterm(&self) {
        command::signal(self.pid(), "TERM");
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        command::wait_for_exit(&mut self.child, "the program exits")
    }

    #[track_caller]
    pub fn sigterm_and_wait(mut self) -> (ExitStatus, Arc<TempDir>) {
        self.sigterm();
        let status = self.wait();
        (status, Arc::clone(&self.data))
    }

    /// Sets the maximum size of each file that the program writes, in bytes. `None` removes the
    /// limit.
    #[track_caller]
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .args([
                "--pid",
                &self.pid().to_string(),
                &format!("--fsize={limit}:unlimited"),
            ])
            .status()
            .expect("run prlimit");
        assert!(status.success(), "prlimit failed");
    }

    /// Returns the path of the database file.
    pub fn database(&self) -> PathBuf {
        database(&self.dir)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the program's log:\n{}", self.log);
        }
    }
}

/// Returns a command that runs the original command with `SIGXFSZ` ignored.
fn with_sigxfsz_ignored(command: &Command) -> Command {
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    command::wrapped_by(command, "sh", &["-c", script])
}

pub fn database(dir: &Path) -> PathBuf {
    dir.join("miniback.db")
}
