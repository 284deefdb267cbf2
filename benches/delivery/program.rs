//! The program under test: the real executable with its own data directory, and a client for it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use awc::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use awc::{Client, ClientRequest, SendClientRequest};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::Error;
use crate::process::{ChildGuard, command_tied_to_parent};
use crate::receiver::Receiver;
use crate::system::Usage;

/// The executable that Cargo has built for this benchmark.
pub const BUILT_EXECUTABLE: &str = env!("CARGO_BIN_EXE_miniback");
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// The number of log lines to store for error messages.
const LOG_LINES: usize = 50;
/// The time limit for the program's start and for each response.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The maximum size of a page or a JSON response.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

type Log = Arc<Mutex<VecDeque<String>>>;

pub struct Program {
    process: ChildGuard,
    pub address: SocketAddr,
    pub token: String,
    /// The time from the start of the process to the `listening` line in the log.
    pub startup_time: Duration,
    executable: PathBuf,
    dir: PathBuf,
    runtime: actix_rt::Runtime,
    client: Client,
    cookie: Option<String>,
    log: Log,
}

/// The status and body of a response.
pub struct Response {
    status: u16,
    pub text: String,
}

impl Program {
    /// Starts `executable` with the data directory `dir` and additional options, and creates an API
    /// token.
    pub fn start(executable: &Path, dir: &Path, options: &[&str]) -> Result<Self, Error> {
        let started = Instant::now();
        let mut child = command_tied_to_parent(executable)?
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
        let runtime = actix_rt::Runtime::new()?;
        let client = Client::builder()
            .disable_redirects()
            .timeout(TIMEOUT)
            .finish();
        let mut program = Self {
            process,
            address,
            token: String::new(),
            startup_time,
            executable: executable.to_owned(),
            dir: dir.to_owned(),
            runtime,
            client,
            cookie: None,
            log,
        };
        program.token = program.create_token()?;
        Ok(program)
    }

    fn create_token(&self) -> Result<String, Error> {
        let output = command_tied_to_parent(&self.executable)?
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

    /// Appends the last lines of the program's log to an error.
    pub fn with_log(&self, error: Error) -> Error {
        format!(
            "{error}\nthe end of the program's log:\n{}",
            lines_of(&self.log)
        )
        .into()
    }

    /// Calls the API with POST if there is a body, otherwise with GET. Unsuccessful responses are
    /// errors.
    pub fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let url = format!("http://{}/api/v1{path}", self.address);
        let bearer = (AUTHORIZATION, format!("Bearer {}", self.token));
        let response = self.read(|| match body {
            Some(body) => self.client.post(url).insert_header(bearer).send_json(body),
            None => self.client.get(url).insert_header(bearer).send(),
        })?;
        if !(200..300).contains(&response.status) {
            return Err(format!("{path}: {} {}", response.status, response.text).into());
        }
        Ok(serde_json::from_str(&response.text)?)
    }

    /// Creates a project and returns its id.
    pub fn create_project(&self, name: &str) -> Result<String, Error> {
        string_value(&self.call("/projects", Some(&json!({ "name": name })))?["id"])
    }

    /// Creates a webhook for an endpoint of the receiver, passes the secret to the receiver, and
    /// returns the webhook's id.
    pub fn create_webhook(
        &self,
        receiver: &mut Receiver,
        endpoint: usize,
    ) -> Result<String, Error> {
        let webhook = self.call("/webhooks", Some(&json!({ "url": receiver.url(endpoint) })))?;
        receiver.set_secret(endpoint, &string_value(&webhook["secret"])?)?;
        string_value(&webhook["id"])
    }

    /// Waits until no delivery of the webhooks is pending. Outcomes are stored shortly after the
    /// endpoint responds.
    pub fn wait_until_recorded(&self, webhooks: &[String], timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        for webhook in webhooks {
            let path = format!("/webhooks/{webhook}/deliveries?state=pending&limit=1");
            while self.call(&path, None)?["data"] != json!([]) {
                if Instant::now() > deadline {
                    return Err(format!("deliveries are still pending after {timeout:?}").into());
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
        let response = self
            .runtime
            .block_on(async { self.client.post(url).send_form(&form).await });
        let response = response.map_err(|error| error.to_string())?;
        let cookie = response.headers().get(SET_COOKIE);
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        self.cookie = Some(
            cookie
                .ok_or("the response to the sign-in sets no cookie")?
                .to_owned(),
        );
        Ok(())
    }

    /// Fetches a page and reads the whole body.
    pub fn page(&self, path: &str) -> Result<Response, Error> {
        self.read(|| self.get(path).send())
    }

    /// Fetches a page and returns the response time in nanoseconds. Fails unless the status is 200.
    pub fn time_page(&self, path: &str) -> Result<u64, Error> {
        let started = Instant::now();
        let response = self.page(path)?;
        if response.status != 200 {
            return Err(format!("{path} responded with {}", response.status).into());
        }
        Ok(u64::try_from(started.elapsed().as_nanos())?)
    }

    /// Downloads a file without storing it. Returns its size in bytes.
    pub fn download(&self, path: &str) -> Result<u64, Error> {
        self.runtime.block_on(async {
            let mut response = self
                .get(path)
                .send()
                .await
                .map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                return Err(format!("{path}: {}", response.status()).into());
            }
            let mut size = 0;
            while let Some(chunk) = response.next().await {
                size += chunk.map_err(|error| error.to_string())?.len() as u64;
            }
            Ok(size)
        })
    }

    /// Creates a request for a page, with the session cookie if the client is signed in.
    fn get(&self, path: &str) -> ClientRequest {
        let request = self.client.get(format!("http://{}{path}", self.address));
        match &self.cookie {
            Some(cookie) => request.insert_header((COOKIE, cookie.as_str())),
            None => request,
        }
    }

    /// Calls `send` within the runtime, because awc can create requests only there. Reads the whole
    /// response.
    fn read(&self, send: impl FnOnce() -> SendClientRequest) -> Result<Response, Error> {
        self.runtime.block_on(async {
            let mut response = send().await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.body().limit(BODY_MAX_BYTES).await;
            let body = body.map_err(|error| error.to_string())?;
            Ok(Response {
                status,
                text: String::from_utf8(body.to_vec())?,
            })
        })
    }
}

pub fn string_value(value: &Value) -> Result<String, Error> {
    let text = value
        .as_str()
        .ok_or("a string member is missing in a response")?;
    Ok(text.to_owned())
}

/// Waits until the log contains the socket address, and returns the address and the log. A thread
/// continues to read standard error, so that a full pipe never blocks the program.
fn wait_until_listening(stderr: ChildStderr) -> Result<(SocketAddr, Log), Error> {
    let log = Log::default();
    let lines = Arc::clone(&log);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = parse_listening_line(&line) {
                // Sending fails if this function has timed out.
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

/// Returns the socket address in a `listening` line, or `None` if this is another line of the log.
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
