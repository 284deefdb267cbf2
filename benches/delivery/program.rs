//! The program under test: the real executable on a directory of its own, with its defaults, and what is asked of it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use awc::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use awc::{Client, ClientRequest, Connector, SendClientRequest};
use futures_util::StreamExt;
use serde_json::{Value, json};

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

/// The maximum size of a page or a JSON response.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

type Log = Arc<Mutex<VecDeque<String>>>;

pub struct Program {
    process: Owned,
    pub address: SocketAddr,
    pub token: String,
    /// From its start to the line that says it listens.
    pub started_in: Duration,
    dir: PathBuf,
    runtime: actix_rt::Runtime,
    client: Client,
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
        let runtime = actix_rt::Runtime::new()?;
        // The program closes idle connections after 5 s.
        let connector = Connector::new().conn_keep_alive(Duration::from_secs(3));
        let client = Client::builder()
            .connector(connector)
            .disable_redirects()
            .timeout(PATIENCE)
            .finish();
        let mut program = Self {
            process,
            address,
            token: String::new(),
            started_in,
            dir: dir.to_owned(),
            runtime,
            client,
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
        lines_of(&self.log)
    }

    /// A call of the API that has to succeed.
    pub fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let url = format!("http://{}/api/v1{path}", self.address);
        let bearer = (AUTHORIZATION, format!("Bearer {}", self.token));
        let answer = self.read(match body {
            Some(body) => self.client.post(url).insert_header(bearer).send_json(body),
            None => self.client.get(url).insert_header(bearer).send(),
        })?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("{path}: {} {}", answer.status, answer.text).into());
        }
        Ok(serde_json::from_str(&answer.text)?)
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
        let sent = self.client.post(url).send_form(&form);
        let response = self.runtime.block_on(sent);
        let response = response.map_err(|error| error.to_string())?;
        let cookie = response.headers().get(SET_COOKIE);
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        self.cookie = Some(cookie.ok_or("signing in gave no cookie")?.to_owned());
        Ok(())
    }

    /// Fetches a page and reads it to its end.
    pub fn page(&self, path: &str) -> Result<Answer, Fault> {
        self.read(self.get(path).send())
    }

    /// Fetches a file and discards it while it arrives. Returns its length.
    pub fn download(&self, path: &str) -> Result<u64, Fault> {
        let sent = self.get(path).send();
        self.runtime.block_on(async {
            let mut response = sent.await.map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                return Err(format!("{path}: {}", response.status()).into());
            }
            let mut length = 0;
            while let Some(chunk) = response.next().await {
                length += chunk.map_err(|error| error.to_string())?.len() as u64;
            }
            Ok(length)
        })
    }

    /// A request for a page, with the session's cookie.
    fn get(&self, path: &str) -> ClientRequest {
        let request = self.client.get(format!("http://{}{path}", self.address));
        match &self.cookie {
            Some(cookie) => request.insert_header((COOKIE, cookie.as_str())),
            None => request,
        }
    }

    fn read(&self, sent: SendClientRequest) -> Result<Answer, Fault> {
        let begun = Instant::now();
        self.runtime.block_on(async {
            let mut response = sent.await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.body().limit(BODY_MAX_BYTES).await;
            let body = body.map_err(|error| error.to_string())?;
            Ok(Answer {
                status,
                took: begun.elapsed(),
                text: String::from_utf8(body.to_vec())?,
            })
        })
    }
}

pub fn text(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or("an answer lacks a member")?;
    Ok(text.to_owned())
}

/// Reads the log to its end, so that the program never waits for us; returns when it has told the address.
fn listening(stderr: ChildStderr) -> Result<(SocketAddr, Log), Fault> {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = address(&line) {
                // Who waited for it may have given up.
                let _ = tell.send(address);
            }
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LOG {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
    match told.recv_timeout(PATIENCE) {
        Ok(address) => Ok((address, log)),
        Err(error) => {
            let lines = lines_of(&log);
            Err(format!("the program did not come to listen ({error}):\n{lines}").into())
        }
    }
}

/// The address in the log's line that says it listens.
fn address(line: &str) -> Option<SocketAddr> {
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
