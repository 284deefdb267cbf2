//! The program itself: `miniback serve` on a data directory of its own and a port that the system picks.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use super::command::{self, Finished, miniback};
use super::pages::Visitor;
use super::wait::until;

pub const ADMIN: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// How a program is to be started.
pub struct Setup {
    args: Vec<String>,
    env: Vec<(String, String)>,
    admin: bool,
    data: Option<Arc<TempDir>>,
    writes_can_fail: bool,
    log_format: &'static str,
}

impl Setup {
    /// Logs as for a person, and not as JSON.
    pub fn text_log(mut self) -> Self {
        self.log_format = "text";
        self
    }

    /// A file that may grow no further makes writing fail, instead of ending the program (see `App::limit_files`).
    pub fn writes_can_fail(mut self) -> Self {
        self.writes_can_fail = true;
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// An option with its value.
    pub fn option(self, name: &str, value: &str) -> Self {
        self.arg(name).arg(value)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts without the variables that make the first user.
    pub fn without_admin(mut self) -> Self {
        self.admin = false;
        self
    }

    /// Starts on the data directory that another one left.
    pub fn on(mut self, data: Arc<TempDir>) -> Self {
        self.data = Some(data);
        self
    }

    #[track_caller]
    pub fn start(self) -> App {
        let data = self
            .data
            .unwrap_or_else(|| Arc::new(TempDir::new().expect("a temporary directory")));
        // One level below, so that the program makes the directory itself.
        let dir = data.path().join("data");
        let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--log-format", self.log_format]);
        command.arg("--data-dir").arg(&dir).args(&self.args);
        if self.admin {
            command
                .env("MINIBACK_ADMIN_EMAIL", ADMIN)
                .env("MINIBACK_ADMIN_PASSWORD", PASSWORD);
        }
        command.envs(self.env);
        if self.writes_can_fail {
            command = ignoring_the_file_size_signal(&command);
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable starts");
        let log = Log::collect(child.stderr.take().expect("standard error is a pipe"));
        let mut app = App {
            child,
            url: String::new(),
            dir,
            data,
            log,
            token: OnceLock::new(),
        };
        app.url = app.wait_for_address();
        app
    }
}

pub struct App {
    child: Child,
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// The program's data directory.
    pub dir: PathBuf,
    data: Arc<TempDir>,
    pub log: Log,
    token: OnceLock<String>,
}

impl App {
    pub fn setup() -> Setup {
        Setup {
            args: Vec::new(),
            env: Vec::new(),
            admin: true,
            data: None,
            writes_can_fail: false,
            log_format: "json",
        }
    }

    /// With every option at its default.
    #[track_caller]
    pub fn start() -> Self {
        Self::setup().start()
    }

    /// One whose deliveries are tried once: for tests in which a failure should be the end of it.
    #[track_caller]
    pub fn without_retries() -> Self {
        Self::setup().option("--retry-delays", "none").start()
    }

    #[track_caller]
    fn wait_for_address(&mut self) -> String {
        let (child, log) = (&mut self.child, &self.log);
        let address = until_or_log(log, "the log says `listening`", || {
            if let Some(line) = log.find(|line| line["message"] == "listening") {
                return Some(line["url"].as_str().map(str::to_owned));
            }
            let lines = log.lines();
            let mut words = lines
                .iter()
                .filter_map(|line| line.split_once("listening on "));
            if let Some((_, url)) = words.next() {
                return Some(Some(url.trim_end().to_owned()));
            }
            let ended = child.try_wait().expect("the child can be waited for");
            ended.map(|_| None)
        });
        match address {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => panic!("serve ended before it listened; its log:\n{}", self.log),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let url = url::Url::parse(&self.url).expect("the log tells an address");
        url.port().expect("the address has a port")
    }

    /// The API with all rights of the first admin.
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

    /// A new token, as `token create` prints it.
    #[track_caller]
    pub fn token(&self, email: &str, scope: &str) -> String {
        let args = [
            "token", "create", "--user", email, "--scope", scope, "tests",
        ];
        let printed = self.run(&args, "").success().stdout;
        let token = printed.trim_end_matches('\n');
        assert!(
            token.starts_with("mb_") && !token.contains(char::is_whitespace),
            "the token is alone on standard output: {printed:?}"
        );
        token.to_owned()
    }

    /// A new user with the password of all tests.
    #[track_caller]
    pub fn add_user(&self, email: &str, role: &str) {
        self.run(
            &["user", "add", email, "--role", role],
            &format!("{PASSWORD}\n"),
        )
        .success();
    }

    /// Runs another command beside the program, on the same data directory.
    #[track_caller]
    pub fn run(&self, args: &[&str], input: &str) -> Finished {
        command::run_on(&self.dir, args, input)
    }

    /// Somebody with a browser of their own, not signed in.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.url)
    }

    /// The first admin, signed in.
    #[track_caller]
    pub fn signed_in(&self) -> Visitor {
        let mut visitor = self.visitor();
        visitor.sign_in(ADMIN, PASSWORD);
        visitor
    }

    /// Ends the program as a crash does, and returns what it leaves.
    pub fn kill9(mut self) -> Arc<TempDir> {
        self.child.kill().expect("the program can be killed");
        let _ = self.child.wait();
        Arc::clone(&self.data)
    }

    /// Sends SIGTERM, and leaves the program to it.
    pub fn sigterm(&self) {
        command::signal(self.pid(), "TERM");
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        command::wait_for_exit(&mut self.child, "the program ends")
    }

    #[track_caller]
    pub fn sigterm_and_wait(mut self) -> (ExitStatus, Arc<TempDir>) {
        self.sigterm();
        let status = self.wait();
        (status, Arc::clone(&self.data))
    }

    /// No file of the program may grow beyond this many bytes; `None`: as they like.
    #[track_caller]
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let done = Command::new("prlimit")
            .args([
                "--pid",
                &self.pid().to_string(),
                &format!("--fsize={limit}:unlimited"),
            ])
            .status()
            .expect("prlimit is there");
        assert!(done.success());
    }

    /// The file with everything in it.
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

/// The same command, started by a shell that ignores `SIGXFSZ`, which its program then does too.
fn ignoring_the_file_size_signal(command: &Command) -> Command {
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    command::started_by(command, "sh", &["-c", script])
}

pub fn database(dir: &Path) -> PathBuf {
    dir.join("miniback.db")
}

#[track_caller]
fn until_or_log<T>(log: &Log, what: &str, look: impl FnMut() -> Option<T>) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, look))) {
        Ok(found) => found,
        Err(_) => panic!("waited in vain: {what}; the log:\n{log}"),
    }
}

/// What the program wrote to standard error so far.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn collect(from: impl std::io::Read + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let lines = Arc::clone(&log.0);
        thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                let Ok(line) = line else { break };
                lines.lock().expect("the log is whole").push(line);
            }
        });
        log
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("the log is whole").clone()
    }

    /// The first line that is JSON and passes the test.
    pub fn find(&self, test: impl Fn(&Value) -> bool) -> Option<Value> {
        let lines = self.lines();
        let mut parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.find(|line| test(line))
    }

    /// Waits for a line whose message begins like this.
    #[track_caller]
    pub fn wait_for_message(&self, begin: &str) -> Value {
        until_or_log(self, begin, || {
            self.find(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|m| m.starts_with(begin))
            })
        })
    }

    /// The path and query of the one-time setup address, once it is in the log.
    #[track_caller]
    pub fn setup_path(&self) -> String {
        until_or_log(self, "the log holds a setup address", || {
            self.lines().iter().find_map(|line| {
                let path = &line[line.find("/setup?token=")?..];
                let end = path.find(['"', ' ', '\\']).unwrap_or(path.len());
                Some(path[..end].to_owned())
            })
        })
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
