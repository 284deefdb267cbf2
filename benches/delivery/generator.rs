//! The load generator: sends feedback over keep-alive connections, from one thread of a separate
//! process.
//!
//! Without a rate, each connection sends its next request when the previous request is
//! acknowledged. With a rate, each request has a planned time, which doesn't depend on earlier
//! responses. A request uses an idle connection or opens a new connection. If the maximum number of
//! connections is waiting for responses, the request is sent late. Its acceptance time begins at
//! the planned time, so it includes this delay.

use std::cell::{Cell, RefCell};
use std::io::{BufReader, stdin, stdout};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio::time;

use crate::http::{Buffer, bytes_after_prefix, header_value, write_all};
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
    /// The number of connections, or with a rate the maximum number.
    pub connections: usize,
    pub count: usize,
    /// Requests per second. If `None`, each connection sends its next request as soon as the
    /// previous request is acknowledged.
    pub rate: Option<f64>,
    /// Whether the program may reject requests with 503 and `Retry-After`. Otherwise, such a
    /// response is an error.
    pub can_reject: bool,
    /// Time limit for the whole plan.
    pub timeout: Duration,
}

/// The acknowledged feedback and the generator's own performance.
pub struct LoadResult {
    pub accepted: Vec<AcceptedFeedback>,
    /// The number of requests rejected with 503.
    pub rejected: usize,
    /// The number of opened connections.
    pub connections: usize,
    /// CPU seconds of the generator.
    pub cpu: f64,
    /// The time from the planned to the actual sending of a request: 99th percentile, in
    /// milliseconds.
    pub sending_delay: f64,
}

/// The generator's last line of output.
#[derive(Serialize, Deserialize)]
struct Summary {
    rejected: usize,
    connections: usize,
    cpu: f64,
    sending_delay: f64,
    error: Option<String>,
}

/// Sends the requests of `plan` from a generator process. Fails unless all requests were
/// acknowledged, or rejected if the plan allows this.
pub fn generate(plan: &LoadPlan) -> Result<LoadResult, Error> {
    let mut helper = Helper::start(ROLE, plan)?;
    let (line, accepted) = helper.read_records::<AcceptedFeedback>()?;
    let summary: Summary = serde_json::from_value(line)?;
    if let Some(error) = summary.error {
        let (accepted, count) = (accepted.len(), plan.count);
        return Err(format!("{accepted} of {count} requests were acknowledged: {error}").into());
    }
    Ok(LoadResult {
        accepted,
        rejected: summary.rejected,
        connections: summary.connections,
        cpu: summary.cpu,
        sending_delay: summary.sending_delay,
    })
}

struct Generator {
    plan: LoadPlan,
    next: Cell<usize>,
    /// Open connections without a request. Only used with a rate.
    idle: RefCell<Vec<Connection>>,
    opened: Cell<usize>,
    accepted: RefCell<Vec<AcceptedFeedback>>,
    rejected: Cell<usize>,
    sending_delays: RefCell<Vec<u64>>,
    error: RefCell<Option<String>>,
}

pub fn run() -> Result<(), Error> {
    process::die_with_parent();
    let plan: LoadPlan = protocol::read_line(&mut BufReader::new(stdin()))?;
    raise_open_file_limit()?;
    let before = Usage::of(std::process::id())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let generator = runtime.block_on(send_all(plan));
    let summary = json!(Summary {
        rejected: generator.rejected.get(),
        connections: generator.opened.get(),
        cpu: Usage::of(std::process::id())?.since(&before).cpu(),
        sending_delay: Durations::new(generator.sending_delays.take()).millis(0.99),
        error: generator.error.take(),
    });
    protocol::write_records(&mut stdout().lock(), summary, &generator.accepted.take())
}

/// Raises the soft limit to the hard limit. Each connection is an open file.
fn raise_open_file_limit() -> Result<(), Error> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

async fn send_all(plan: LoadPlan) -> Rc<Generator> {
    let timeout = plan.timeout;
    let generator = Rc::new(Generator {
        accepted: RefCell::new(Vec::with_capacity(plan.count)),
        plan,
        next: Cell::new(0),
        idle: RefCell::default(),
        opened: Cell::new(0),
        rejected: Cell::new(0),
        sending_delays: RefCell::default(),
        error: RefCell::default(),
    });
    let tasks = LocalSet::new();
    if let Some(rate) = generator.plan.rate {
        let sender = Rc::clone(&generator);
        tasks.spawn_local(async move { sender.send_at_rate(rate).await });
    } else {
        for _ in 0..generator.plan.connections {
            let sender = Rc::clone(&generator);
            tasks.spawn_local(async move { sender.store_error(sender.send_repeatedly().await) });
        }
    }
    if time::timeout(timeout, tasks).await.is_err() {
        generator.store_error(Err(
            format!("the generator stopped after {timeout:?}").into()
        ));
    }
    generator
}

/// Starts a thread that sends the index and the planned time of each request at that time. A thread
/// sleeps more precisely than a task: tokio's timer has a resolution of 1 ms.
fn start_schedule(count: usize, rate: f64) -> UnboundedReceiver<(usize, u64)> {
    let (sender, receiver) = unbounded_channel();
    let started = system::now();
    std::thread::spawn(move || {
        for index in 0..count {
            let planned = started + (index as f64 / rate * 1e9) as u64;
            std::thread::sleep(Duration::from_nanos(planned.saturating_sub(system::now())));
            if sender.send((index, planned)).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Generator {
    /// Stores the first error.
    fn store_error(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            let mut first = self.error.borrow_mut();
            let _ = first.get_or_insert(error.to_string());
        }
    }

    /// Sends requests over one connection until all requests of the plan are sent.
    async fn send_repeatedly(&self) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        while self.next.get() < self.plan.count {
            let index = self.next.replace(self.next.get() + 1);
            self.send(&mut connection, index, None).await?;
        }
        Ok(())
    }

    /// Sends each request at its planned time.
    async fn send_at_rate(self: &Rc<Self>, rate: f64) {
        let permits = Rc::new(Semaphore::new(self.plan.connections));
        let mut schedule = start_schedule(self.plan.count, rate);
        while let Some((index, planned)) = schedule.recv().await {
            let (sender, permits) = (Rc::clone(self), Rc::clone(&permits));
            spawn_local(async move {
                let sent = sender.send_over_any(&permits, index, planned).await;
                sender.store_error(sent);
            });
        }
    }

    /// Sends a request over an idle or a new connection, when one of the permits is available.
    async fn send_over_any(
        &self,
        permits: &Semaphore,
        index: usize,
        planned: u64,
    ) -> Result<(), Error> {
        let _permit = permits.acquire().await?;
        let idle = self.idle.borrow_mut().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        self.send(&mut connection, index, Some(planned)).await?;
        self.idle.borrow_mut().push(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(self.plan.address).await?;
        stream.set_nodelay(true)?;
        self.opened.set(self.opened.get() + 1);
        Ok(Connection {
            stream,
            buffer: Buffer::new(),
        })
    }

    /// Sends a request and records the response.
    async fn send(
        &self,
        connection: &mut Connection,
        index: usize,
        planned: Option<u64>,
    ) -> Result<(), Error> {
        let request = self.request(index);
        let sent = system::now();
        let planned = planned.unwrap_or(sent);
        self.sending_delays.borrow_mut().push(sent - planned);
        write_all(&connection.stream, request.as_bytes()).await?;
        match connection.read_response().await? {
            Some(feedback) => self.accepted.borrow_mut().push(AcceptedFeedback {
                feedback,
                planned,
                acknowledged: system::now(),
            }),
            None if self.plan.can_reject => self.rejected.set(self.rejected.get() + 1),
            None => return Err("the program responded with 503".into()),
        }
        Ok(())
    }

    fn request(&self, index: usize) -> String {
        let LoadPlan {
            address,
            token,
            project,
            ..
        } = &self.plan;
        // Sample messages need no escaping in JSON.
        let message = sample::message(index);
        let body = format!(r#"{{"project":"{project}","message":"{message}"}}"#);
        let body_len = body.len();
        format!(
            "POST /api/v1/feedback HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {body_len}\r\n\r\n{body}"
        )
    }
}

/// A keep-alive connection to the program.
struct Connection {
    stream: TcpStream,
    buffer: Buffer,
}

impl Connection {
    /// Reads a response. After 201, returns the ULID of the created feedback as a number. After 503
    /// with `Retry-After`, returns `None`. Other responses are errors.
    async fn read_response(&mut self) -> Result<Option<u128>, Error> {
        loop {
            if let Some(message) = self.buffer.message() {
                let id = bytes_after_prefix(message.body, b"\"id\":\"fb_", ulid::ULID_LEN);
                let id = id.and_then(ulid_number);
                let is_created = message.head.starts_with(b"HTTP/1.1 201 ") && id.is_some();
                let is_rejected = message.head.starts_with(b"HTTP/1.1 503 ")
                    && header_value(message.head, b"retry-after").is_some();
                if !is_created && !is_rejected {
                    let response = [message.head, message.body].concat();
                    return Err(String::from_utf8_lossy(&response).into_owned().into());
                }
                let len = message.len;
                self.buffer.consume(len);
                return Ok(id);
            }
            if !self.buffer.read(&mut self.stream).await? {
                return Err("the program closed a connection".into());
            }
        }
    }
}
