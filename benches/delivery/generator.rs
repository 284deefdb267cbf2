//! The load generator: sends feedback over keep-alive connections, from one thread of a separate
//! process.
//!
//! Without a rate, each connection sends its next request when the previous request is
//! acknowledged. With a rate, each request has a planned time, which doesn't depend on earlier
//! responses. If every connection is still waiting for a response, the next request is sent late.

use std::cell::{Cell, RefCell};
use std::io::{BufReader, stdin, stdout};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{self, Instant, sleep_until};

use crate::http::{Buffer, bytes_after_prefix, write_all};
use crate::metrics::Durations;
use crate::process::{self, Helper};
use crate::protocol::{self, AcceptedFeedback};
use crate::receiver::ulid_number;
use crate::system::{self, Usage};
use crate::{Error, sample};

pub const ROLE: &str = "__generator";

/// The requests to send, with their target and rate.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoadPlan {
    pub address: SocketAddr,
    pub token: String,
    pub project: String,
    pub connections: usize,
    pub count: usize,
    /// Requests per second. If `None`, each connection sends its next request as soon as the
    /// previous request is acknowledged.
    pub rate: Option<f64>,
    /// Time limit for the whole plan.
    pub timeout: Duration,
}

/// The acknowledged feedback and the generator's own performance.
pub struct LoadResult {
    pub accepted: Vec<AcceptedFeedback>,
    /// CPU seconds of the generator.
    pub cpu: f64,
    /// The time from the planned to the actual sending of a request: 99th percentile, in
    /// milliseconds.
    pub sending_delay: f64,
}

/// Sends the requests of `plan` from a generator process. Fails unless all requests were
/// acknowledged.
pub fn generate(plan: &LoadPlan) -> Result<LoadResult, Error> {
    let mut helper = Helper::start(ROLE, plan)?;
    let (line, accepted) = helper.read_records::<AcceptedFeedback>()?;
    if accepted.len() != plan.count {
        let (accepted, sent, error) = (accepted.len(), plan.count, &line["error"]);
        return Err(format!("{accepted} of {sent} requests were acknowledged: {error}").into());
    }
    let number = |name: &str| line[name].as_f64().unwrap_or(0.0);
    Ok(LoadResult {
        accepted,
        cpu: number("cpu"),
        sending_delay: number("sendingDelay"),
    })
}

struct Generator {
    plan: LoadPlan,
    next: Cell<usize>,
    started: Instant,
    accepted: RefCell<Vec<AcceptedFeedback>>,
    sending_delays: RefCell<Vec<u64>>,
    error: RefCell<Option<String>>,
}

pub fn run() -> Result<(), Error> {
    process::die_with_parent();
    let plan: LoadPlan = protocol::read_line(&mut BufReader::new(stdin()))?;
    let before = Usage::of(std::process::id())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let generator = runtime.block_on(send_all(plan));
    let cpu = Usage::of(std::process::id())?.since(&before).cpu();
    let sending_delay = Durations::new(generator.sending_delays.take()).millis(0.99);
    let line =
        json!({ "cpu": cpu, "sendingDelay": sending_delay, "error": generator.error.take() });
    protocol::write_records(&mut stdout().lock(), line, &generator.accepted.take())
}

async fn send_all(plan: LoadPlan) -> Rc<Generator> {
    let timeout = plan.timeout;
    let connections = plan.connections;
    let generator = Rc::new(Generator {
        accepted: RefCell::new(Vec::with_capacity(plan.count)),
        plan,
        next: Cell::new(0),
        started: Instant::now(),
        sending_delays: RefCell::default(),
        error: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for _ in 0..connections {
        let generator = Rc::clone(&generator);
        tasks.spawn_local(async move {
            if let Err(error) = generator.send_over_connection().await {
                let _ = generator
                    .error
                    .borrow_mut()
                    .get_or_insert(error.to_string());
            }
        });
    }
    if time::timeout(timeout, tasks).await.is_err() {
        let error = format!("the generator stopped after {timeout:?}");
        let _ = generator.error.borrow_mut().get_or_insert(error);
    }
    generator
}

impl Generator {
    /// Sends requests over one connection until all requests of the plan are sent.
    async fn send_over_connection(&self) -> Result<(), Error> {
        let mut stream = TcpStream::connect(self.plan.address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = Buffer::new();
        let mut request = Vec::new();
        loop {
            let index = self.next.get();
            if index >= self.plan.count {
                return Ok(());
            }
            self.next.set(index + 1);
            self.write_request(&mut request, index)?;
            if let Some(rate) = self.plan.rate {
                let due = self.started + Duration::from_secs_f64(index as f64 / rate);
                sleep_until(due).await;
                let delay = u64::try_from(due.elapsed().as_nanos())?;
                self.sending_delays.borrow_mut().push(delay);
            }
            let sent = system::now();
            write_all(&stream, &request).await?;
            let feedback = read_acknowledgment(&mut stream, &mut buffer).await?;
            self.accepted.borrow_mut().push(AcceptedFeedback {
                feedback,
                sent,
                acknowledged: system::now(),
            });
        }
    }

    fn write_request(&self, request: &mut Vec<u8>, index: usize) -> Result<(), Error> {
        use std::io::Write;
        let LoadPlan {
            address,
            token,
            project,
            ..
        } = &self.plan;
        // Sample messages need no escaping in JSON.
        let message = sample::message(index);
        let body_len = project.len() + message.len() + r#"{"project":"","message":""}"#.len();
        request.clear();
        write!(
            request,
            "POST /api/v1/feedback HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {body_len}\r\n\r\n\
             {{\"project\":\"{project}\",\"message\":\"{message}\"}}"
        )?;
        Ok(())
    }
}

/// Reads a 201 response and returns the ULID of the created feedback as a number. Other responses
/// are errors.
async fn read_acknowledgment(stream: &mut TcpStream, buffer: &mut Buffer) -> Result<u128, Error> {
    loop {
        if let Some(message) = buffer.message() {
            let is_created = message.head.starts_with(b"HTTP/1.1 201 ");
            let id = bytes_after_prefix(message.body, b"\"id\":\"fb_", ulid::ULID_LEN)
                .and_then(ulid_number);
            let len = message.len;
            let (Some(id), true) = (id, is_created) else {
                let response = [message.head, message.body].concat();
                return Err(String::from_utf8_lossy(&response).into_owned().into());
            };
            buffer.consume(len);
            return Ok(id);
        }
        if !buffer.read(stream).await? {
            return Err("the program closed a connection".into());
        }
    }
}
