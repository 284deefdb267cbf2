//! The receiver's process. One thread records requests and responds with 204. Another thread
//! executes commands.

use std::io::{BufReader, stdin, stdout};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use ulid::Ulid;

use super::{Command, Counts, ENDPOINTS};
use crate::http::{Buffer, Message, bytes_after_prefix, header_value, write_all};
use crate::protocol::{self, Arrival};
use crate::{Error, process, sample, system};

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// The signature of one in this many deliveries is checked.
const CHECK_INTERVAL: usize = 100;

struct Endpoint {
    secret: Mutex<Option<String>>,
    hangs: AtomicBool,
}

struct Receiver {
    endpoints: Vec<Endpoint>,
    arrivals: Mutex<Vec<Arrival>>,
    arrived: AtomicUsize,
    hanging: AtomicUsize,
    checked: AtomicUsize,
    invalid: AtomicUsize,
    malformed: AtomicUsize,
    body_bytes: AtomicU64,
    listen: Notify,
}

pub fn run() -> Result<(), Error> {
    process::die_with_parent();
    let mut commands = BufReader::new(stdin());
    let listening: bool = protocol::read_line(&mut commands)?;
    let endpoint = || Endpoint {
        secret: Mutex::default(),
        hangs: AtomicBool::default(),
    };
    let receiver = Arc::new(Receiver {
        endpoints: (0..ENDPOINTS).map(|_| endpoint()).collect(),
        arrivals: Mutex::default(),
        arrived: AtomicUsize::default(),
        hanging: AtomicUsize::default(),
        checked: AtomicUsize::default(),
        invalid: AtomicUsize::default(),
        malformed: AtomicUsize::default(),
        body_bytes: AtomicU64::default(),
        listen: Notify::new(),
    });
    if listening {
        receiver.listen.notify_one();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // A bound socket that doesn't listen reserves its port and refuses connections.
    let socket = {
        let _inside = runtime.enter();
        TcpSocket::new_v4()?
    };
    socket.bind(([127, 0, 0, 1], 0).into())?;
    protocol::write_line(&mut stdout(), &socket.local_addr()?.port())?;
    let controlled = Arc::clone(&receiver);
    std::thread::spawn(move || {
        // This call returns when the parent closes the pipe, at the end of the run.
        let result = controlled.run_commands(commands);
        std::process::exit(i32::from(result.is_err()));
    });
    runtime.block_on(async {
        receiver.listen.notified().await;
        let listener = socket.listen(1024)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let receiver = Arc::clone(&receiver);
            tokio::spawn(async move {
                // Ignore broken connections: the program retries requests without a response.
                let _ = receiver.serve(stream).await;
            });
        }
    })
}

impl Receiver {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Buffer::new();
        while buffer.read(&mut stream).await? {
            let at = system::now();
            while let Some(message) = buffer.message() {
                let len = message.len;
                if self.record(&message, at) {
                    write_all(&stream, RESPONSE).await?;
                }
                buffer.consume(len);
            }
        }
        Ok(())
    }

    /// Records a request. Returns whether to respond.
    fn record(&self, message: &Message<'_>, at: u64) -> bool {
        let Some((webhook, arrival)) = parse_delivery(message, at) else {
            self.malformed.fetch_add(1, Relaxed);
            return true;
        };
        let Some(endpoint) = self.endpoints.get(webhook) else {
            self.malformed.fetch_add(1, Relaxed);
            return true;
        };
        if endpoint.hangs.load(Relaxed) {
            self.hanging.fetch_add(1, Relaxed);
            return false;
        }
        if self.arrived.load(Relaxed).is_multiple_of(CHECK_INTERVAL) {
            self.checked.fetch_add(1, Relaxed);
            if !has_valid_signature(endpoint, message) {
                self.invalid.fetch_add(1, Relaxed);
            }
        }
        self.body_bytes
            .fetch_add(message.body.len() as u64, Relaxed);
        lock(&self.arrivals).push(arrival);
        self.arrived.fetch_add(1, Relaxed);
        true
    }

    fn run_commands(&self, mut commands: BufReader<std::io::Stdin>) -> Result<(), Error> {
        while let Ok(command) = protocol::read_line(&mut commands) {
            match command {
                Command::SetSecret(endpoint, secret) => {
                    *lock(&self.endpoints[endpoint].secret) = Some(secret);
                }
                Command::Hang(endpoint) => self.endpoints[endpoint].hangs.store(true, Relaxed),
                Command::Listen => self.listen.notify_one(),
                Command::Wait(count, millis) => {
                    let deadline = Instant::now() + Duration::from_millis(millis);
                    while self.arrived.load(Relaxed) < count && Instant::now() < deadline {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    protocol::write_line(&mut stdout(), &self.counts())?;
                }
                Command::TakeArrivals => {
                    let arrivals = std::mem::take(&mut *lock(&self.arrivals));
                    protocol::write_records(&mut stdout().lock(), json!({}), &arrivals)?;
                }
            }
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        Counts {
            arrived: self.arrived.load(Relaxed),
            hanging: self.hanging.load(Relaxed),
            checked: self.checked.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
        }
    }
}

/// Parses a delivery. Returns the number of the endpoint, and the arrival.
fn parse_delivery(message: &Message<'_>, at: u64) -> Option<(usize, Arrival)> {
    let path = message.head.strip_prefix(b"POST /w/")?;
    let end = path.iter().position(|byte| *byte == b' ')?;
    let webhook: usize = std::str::from_utf8(&path[..end]).ok()?.parse().ok()?;
    let id = header_value(message.head, b"x-miniback-delivery")?;
    let feedback = bytes_after_prefix(message.body, b"\"feedback\":{\"id\":\"fb_", ulid::ULID_LEN)?;
    let arrival = Arrival {
        feedback: ulid_number(feedback)?,
        delivery: ulid_number(id.strip_prefix(b"dlv_")?)?,
        webhook: webhook as u64,
        at,
    };
    Some((webhook, arrival))
}

/// Parses a ULID as a 128-bit number.
pub fn ulid_number(ulid: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(ulid).ok()?;
    Ulid::from_string(text).ok().map(|ulid| ulid.0)
}

fn has_valid_signature(endpoint: &Endpoint, message: &Message<'_>) -> bool {
    let secret = lock(&endpoint.secret);
    let Some(secret) = secret.as_deref() else {
        return false;
    };
    let signature = header_value(message.head, b"x-miniback-signature").unwrap_or_default();
    sample::hex_signature(secret, message.body).as_bytes() == signature
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
