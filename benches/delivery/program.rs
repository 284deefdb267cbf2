//! The program under test: the real executable on a directory of its own, with its defaults, and what is asked of it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;

use crate::Fault;
use crate::child::{Owned, other};
use crate::machine::Usage;
use crate::receiver::Receiver;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_miniback");
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// How many of the log's last lines are kept.
const LOG: usize = 50;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

type Log = Arc<Mutex<VecDeque<String>>>;

pub struct Program {
    process: Owned,
    pub address: SocketAddr,
    pub token: String,
    /// From its start to the line that says it listens.
    pub started_in: Duration,
    dir: PathBuf,
    agent: Agent,
    cookie: Option<String>,
    log: Log,
}

/// A page or a file as it came.
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub took: Duration,
}

/// The size of the executable in bytes.
pub fn executable_size() -> Result<u64, Fault> {
    Ok(std::fs::metadata(EXECUTABLE)?.len())
}

impl Program {
    /// Starts it on `dir`, with options beside its defaults only where a workload says so.
    pub fn start(dir: &Path, options: &[&str]) -> Result<Self, Fault> {
        let begun = Instant::now();
        let mut child = other(EXECUTABLE.as_ref())?
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
        let process = Owned(child);
        let (address, log) = listening(stderr)?;
        let started_in = begun.elapsed();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            // The program closes what is idle for 5 s.
            .max_idle_age(Duration::from_secs(3))
            .build();
        let mut program = Self {
            process,
            address,
            token: String::new(),
            started_in,
            dir: dir.to_owned(),
            agent: config.into(),
            cookie: None,
            log,
        };
        program.token = program.new_token()?;
        Ok(program)
    }

    fn new_token(&self) -> Result<String, Fault> {
        let output = other(EXECUTABLE.as_ref())?
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

    pub fn usage(&self) -> Result<Usage, Fault> {
        self.process.usage()
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join("miniback.db")
    }

    pub fn stop(self) -> Result<(), Fault> {
        self.process.stop(Duration::from_secs(60))
    }

    /// What it logged last, for the message of a run that failed.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// A call of the API that has to succeed.
    pub fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let url = format!("http://{}/api/v1{path}", self.address);
        let bearer = format!("Bearer {}", self.token);
        let mut answer = match body {
            Some(body) => self
                .agent
                .post(url)
                .header("Authorization", bearer)
                .send_json(body)?,
            None => self.agent.get(url).header("Authorization", bearer).call()?,
        };
        if !answer.status().is_success() {
            let text = answer.body_mut().read_to_string()?;
            return Err(format!("{path}: {} {text}", answer.status()).into());
        }
        Ok(answer.body_mut().read_json()?)
    }

    /// Makes a project and returns its id.
    pub fn new_project(&self, name: &str) -> Result<String, Fault> {
        text(&self.call("/projects", Some(&json!({ "name": name })))?["id"])
    }

    /// Makes a webhook to an endpoint of the receiver, which learns the secret; returns its id.
    pub fn new_webhook(&self, receiver: &mut Receiver, endpoint: usize) -> Result<String, Fault> {
        let webhook = self.call("/webhooks", Some(&json!({ "url": receiver.url(endpoint) })))?;
        receiver.secret(endpoint, &text(&webhook["secret"])?)?;
        text(&webhook["id"])
    }

    /// Waits until no delivery of the webhooks is pending: the last outcomes are stored a little after they came.
    pub fn wait_until_recorded(&self, webhooks: &[String], at_most: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + at_most;
        for webhook in webhooks {
            let path = format!("/webhooks/{webhook}/deliveries?state=pending&limit=1");
            while self.call(&path, None)?["data"] != json!([]) {
                if Instant::now() > deadline {
                    return Err(format!("after {at_most:?} deliveries are still pending").into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Signs in, for the pages.
    pub fn sign_in(&mut self) -> Result<(), Fault> {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", "")];
        let url = format!("http://{}/login", self.address);
        let answer = self.agent.post(url).send_form(form)?;
        let cookie = answer.headers().get("set-cookie");
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        self.cookie = Some(cookie.ok_or("signing in gave no cookie")?.to_owned());
        Ok(())
    }

    /// Fetches a page and reads it to its end.
    pub fn page(&self, path: &str) -> Result<Answer, Fault> {
        let url = format!("http://{}{path}", self.address);
        let begun = Instant::now();
        let mut request = self.agent.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let mut answer = request.call()?;
        let text = answer.body_mut().read_to_string()?;
        Ok(Answer {
            status: answer.status().as_u16(),
            took: begun.elapsed(),
            text,
        })
    }

    /// Fetches a file, which is thrown away as it comes; returns its length.
    pub fn download(&self, path: &str) -> Result<u64, Fault> {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.agent.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let answer = request.call()?;
        if !answer.status().is_success() {
            return Err(format!("{path}: {}", answer.status()).into());
        }
        let mut body = answer.into_body().into_reader();
        Ok(std::io::copy(&mut body, &mut std::io::sink())?)
    }
}

pub fn text(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or("an answer lacks a member")?;
    Ok(text.to_owned())
}

/// Reads the log until it tells the address; goes on reading, so that the program never waits for us.
fn listening(stderr: ChildStderr) -> Result<(SocketAddr, Log), Fault> {
    let log = Log::default();
    let mut lines = BufReader::new(stderr).lines();
    let keep = |log: &Log, line: String| {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(line);
    };
    let mut all = String::new();
    for line in lines.by_ref() {
        let line = line?;
        let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
        if parsed["message"] == "listening" {
            let address = text(&parsed["url"])?;
            let address = address.trim_start_matches("http://").parse()?;
            let kept = Arc::clone(&log);
            std::thread::spawn(move || {
                lines
                    .map_while(Result::ok)
                    .for_each(|line| keep(&kept, line));
            });
            return Ok((address, log));
        }
        all.push_str(&line);
        all.push('\n');
    }
    Err(format!("the program ended before it listened:\n{all}").into())
}
