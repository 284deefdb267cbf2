//! The program under test: the real executable with its own data directory, and a client for it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;

use crate::Error;
use crate::process::{ChildGuard, command_tied_to_parent};
use crate::receiver::Receiver;
use crate::system::Usage;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_miniback");
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// The number of log lines to store for error messages.
const LOG_LINES: usize = 50;
/// Time limit for one response.
const TIMEOUT: Duration = Duration::from_secs(120);

type Log = Arc<Mutex<VecDeque<String>>>;

pub struct Program {
    process: ChildGuard,
    pub address: SocketAddr,
    pub token: String,
    /// Time from its start to the `listening` line in the log.
    pub startup_time: Duration,
    dir: PathBuf,
    agent: Agent,
    cookie: Option<String>,
    log: Log,
}

/// A page with its response time.
pub struct Response {
    pub status: u16,
    pub text: String,
    pub elapsed: Duration,
}

/// Returns the size of the executable in bytes.
pub fn executable_size() -> Result<u64, Error> {
    Ok(std::fs::metadata(EXECUTABLE)?.len())
}

impl Program {
    /// Starts the program on `dir`, with additional options.
    pub fn start(dir: &Path, options: &[&str]) -> Result<Self, Error> {
        let started = Instant::now();
        let mut child = command_tied_to_parent(EXECUTABLE.as_ref())?
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .args(options)
            .env("MINIBACK_ADMIN_EMAIL", EMAIL)
            .env("MINIBACK_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("the program has no log")?;
        let process = ChildGuard(child);
        let (address, log) = wait_until_listening(stderr)?;
        let startup_time = started.elapsed();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            // The program closes connections that are idle for 5 s.
            .max_idle_age(Duration::from_secs(3))
            .build();
        let mut program = Self {
            process,
            address,
            token: String::new(),
            startup_time,
            dir: dir.to_owned(),
            agent: config.into(),
            cookie: None,
            log,
        };
        program.token = program.new_token()?;
        Ok(program)
    }

    fn new_token(&self) -> Result<String, Error> {
        let output = command_tied_to_parent(EXECUTABLE.as_ref())?
            .args(["token", "create", "--user", EMAIL, "bench", "--data-dir"])
            .arg(&self.dir)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn usage(&self) -> Result<Usage, Error> {
        self.process.usage()
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join("miniback.db")
    }

    pub fn stop(self) -> Result<(), Error> {
        self.process.stop(Duration::from_secs(60))
    }

    /// Returns the last lines of the log.
    pub fn log(&self) -> String {
        lines_of(&self.log)
    }

    /// Calls the API. Unsuccessful responses are errors.
    pub fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let url = format!("http://{}/api/v1{path}", self.address);
        let bearer = format!("Bearer {}", self.token);
        let mut response = match body {
            Some(body) => self
                .agent
                .post(url)
                .header("Authorization", bearer)
                .send_json(body)?,
            None => self.agent.get(url).header("Authorization", bearer).call()?,
        };
        if !response.status().is_success() {
            let text = response.body_mut().read_to_string()?;
            return Err(format!("{path}: {} {text}", response.status()).into());
        }
        Ok(response.body_mut().read_json()?)
    }

    /// Creates a project and returns its id.
    pub fn new_project(&self, name: &str) -> Result<String, Error> {
        text(&self.call("/projects", Some(&json!({ "name": name })))?["id"])
    }

    /// Creates a webhook to an endpoint of the receiver, gives the receiver the secret, and returns
    /// the webhook's id.
    pub fn new_webhook(&self, receiver: &mut Receiver, endpoint: usize) -> Result<String, Error> {
        let webhook = self.call("/webhooks", Some(&json!({ "url": receiver.url(endpoint) })))?;
        receiver.set_secret(endpoint, &text(&webhook["secret"])?)?;
        text(&webhook["id"])
    }

    /// Waits until no delivery of the webhooks is pending. Outcomes are stored shortly after the
    /// endpoint responds.
    pub fn wait_until_recorded(&self, webhooks: &[String], timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        for webhook in webhooks {
            let path = format!("/webhooks/{webhook}/deliveries?state=pending&limit=1");
            while self.call(&path, None)?["data"] != json!([]) {
                if Instant::now() > deadline {
                    return Err(format!("after {timeout:?} deliveries are still pending").into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Signs in, so that pages can be fetched.
    pub fn sign_in(&mut self) -> Result<(), Error> {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", "")];
        let url = format!("http://{}/login", self.address);
        let response = self.agent.post(url).send_form(form)?;
        let cookie = response.headers().get("set-cookie");
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        self.cookie = Some(cookie.ok_or("signing in set no cookie")?.to_owned());
        Ok(())
    }

    /// Fetches a page with its complete body.
    pub fn page(&self, path: &str) -> Result<Response, Error> {
        let url = format!("http://{}{path}", self.address);
        let started = Instant::now();
        let mut request = self.agent.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let mut response = request.call()?;
        let text = response.body_mut().read_to_string()?;
        Ok(Response {
            status: response.status().as_u16(),
            elapsed: started.elapsed(),
            text,
        })
    }

    /// Downloads a file without storing it. Returns its size in bytes.
    pub fn download(&self, path: &str) -> Result<u64, Error> {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.agent.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let response = request.call()?;
        if !response.status().is_success() {
            return Err(format!("{path}: {}", response.status()).into());
        }
        let mut body = response.into_body().into_reader();
        Ok(std::io::copy(&mut body, &mut std::io::sink())?)
    }
}

pub fn text(value: &Value) -> Result<String, Error> {
    let text = value
        .as_str()
        .ok_or("a string member is missing in a response")?;
    Ok(text.to_owned())
}

/// Waits for the socket address in the log. A thread continues to read the log, so that the program
/// never blocks on it.
fn wait_until_listening(stderr: ChildStderr) -> Result<(SocketAddr, Log), Error> {
    let log = Log::default();
    let lines = Arc::clone(&log);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = parse_listening_line(&line) {
                // Fails if the waiting function has timed out.
                let _ = sender.send(address);
            }
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LOG_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
    match receiver.recv_timeout(TIMEOUT) {
        Ok(address) => Ok((address, log)),
        Err(error) => {
            let lines = lines_of(&log);
            Err(format!("the program didn't start listening ({error}):\n{lines}").into())
        }
    }
}

/// Returns the socket address in the `listening` line of the log.
fn parse_listening_line(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let url = line["url"]
        .as_str()
        .filter(|_| line["message"] == "listening")?;
    url.strip_prefix("http://")?.parse().ok()
}

fn lines_of(log: &Log) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter().cloned().collect::<Vec<_>>().join("\n")
}
