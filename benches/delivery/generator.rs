//! The generator: sends feedback over connections that stay open, from one thread of a process of its own.
//!
//! Without a rate each connection sends its next feedback when the one before is acknowledged. With a rate each has a
//! time at which it is to be sent, whatever became of those before: a slow answer does not slow the generator.

use std::cell::{Cell, RefCell};
use std::io::{BufReader, stdin, stdout};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::child::{self, Role};
use crate::figures::Series;
use crate::machine::{self, Usage};
use crate::receiver::number;
use crate::records::{self, Accepted};
use crate::wire::{Buffer, after, write_all};
use crate::{Fault, sample};

pub const ROLE: &str = "__generator";

/// What is to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct Plan {
    pub address: SocketAddr,
    pub token: String,
    pub project: String,
    pub connections: usize,
    pub count: usize,
    /// How many a second; `None` = as fast as they are acknowledged.
    pub rate: Option<f64>,
    /// What was not acknowledged by then is given up.
    pub at_most: Duration,
}

/// What came of it.
pub struct Load {
    pub accepted: Vec<Accepted>,
    /// CPU seconds of the generator.
    pub cpu: f64,
    /// How much later than planned it sent, at p99: the generator's own fault.
    pub late: f64,
}

/// Runs a generator. Fails unless all was acknowledged.
pub fn generate(plan: &Plan) -> Result<Load, Fault> {
    let mut role = Role::start(ROLE, plan)?;
    let (line, accepted) = role.hear_records::<Accepted>()?;
    if accepted.len() != plan.count {
        let (got, asked, first) = (accepted.len(), plan.count, &line["problem"]);
        return Err(format!("{got} of {asked} feedbacks were acknowledged; {first}").into());
    }
    let number = |name: &str| line[name].as_f64().unwrap_or(0.0);
    Ok(Load {
        accepted,
        cpu: number("cpu"),
        late: number("late"),
    })
}

struct Sender {
    plan: Plan,
    next: Cell<usize>,
    started: Instant,
    accepted: RefCell<Vec<Accepted>>,
    late: RefCell<Vec<u64>>,
    problem: RefCell<Option<String>>,
}

pub fn run() -> Result<(), Fault> {
    child::end_with_parent();
    let plan: Plan = records::hear(&mut BufReader::new(stdin()))?;
    let before = Usage::of(std::process::id())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sender = runtime.block_on(send_all(plan));
    let cpu = Usage::of(std::process::id())?.since(&before).cpu();
    let late = Series::new(sender.late.take()).millis(0.99);
    let line = json!({ "cpu": cpu, "late": late, "problem": sender.problem.take() });
    records::say_records(&mut stdout().lock(), line, &sender.accepted.take())
}

async fn send_all(plan: Plan) -> Rc<Sender> {
    let at_most = plan.at_most;
    let connections = plan.connections;
    let sender = Rc::new(Sender {
        accepted: RefCell::new(Vec::with_capacity(plan.count)),
        plan,
        next: Cell::new(0),
        started: Instant::now(),
        late: RefCell::default(),
        problem: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for _ in 0..connections {
        let sender = Rc::clone(&sender);
        tasks.spawn_local(async move {
            if let Err(error) = sender.connection().await {
                let _ = sender.problem.borrow_mut().get_or_insert(error.to_string());
            }
        });
    }
    if timeout(at_most, tasks).await.is_err() {
        let problem = format!("the generator stopped after {at_most:?}");
        let _ = sender.problem.borrow_mut().get_or_insert(problem);
    }
    sender
}

impl Sender {
    /// Sends over one connection until nothing is left to be sent.
    async fn connection(&self) -> Result<(), Fault> {
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
            self.write(&mut request, index)?;
            if let Some(rate) = self.plan.rate {
                let due = self.started + Duration::from_secs_f64(index as f64 / rate);
                sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_nanos())?;
                self.late.borrow_mut().push(late);
            }
            let sent = machine::now();
            write_all(&stream, &request).await?;
            let feedback = acknowledgement(&mut stream, &mut buffer).await?;
            self.accepted.borrow_mut().push(Accepted {
                feedback,
                sent,
                acknowledged: machine::now(),
            });
        }
    }

    fn write(&self, request: &mut Vec<u8>, index: usize) -> Result<(), Fault> {
        use std::io::Write;
        let Plan {
            address,
            token,
            project,
            ..
        } = &self.plan;
        // The words need no escaping in JSON.
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

/// Reads an answer: the id of the feedback that was made, or what is wrong.
async fn acknowledgement(stream: &mut TcpStream, buffer: &mut Buffer) -> Result<u128, Fault> {
    loop {
        if let Some(message) = buffer.message() {
            let made = message.head.starts_with(b"HTTP/1.1 201 ");
            let id = after(message.body, b"\"id\":\"fb_", ulid::ULID_LEN).and_then(number);
            let len = message.len;
            let (Some(id), true) = (id, made) else {
                let answer = [message.head, message.body].concat();
                return Err(String::from_utf8_lossy(&answer).into_owned().into());
            };
            buffer.consume(len);
            return Ok(id);
        }
        if !buffer.read(stream).await? {
            return Err("the program closed a connection".into());
        }
    }
}
