//! The receiver's own process: one thread that answers 204 at once and notes what came, one that takes orders.

use std::io::{BufReader, stdin, stdout};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use ulid::Ulid;

use super::{Count, ENDPOINTS, Order};
use crate::records::{self, Arrival};
use crate::wire::{Buffer, Message, after, header, write_all};
use crate::{Fault, child, machine};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// One signature in so many is checked.
const CHECKED: usize = 100;

struct Endpoint {
    secret: Mutex<Option<String>>,
    hangs: AtomicBool,
}

struct Receiver {
    endpoints: Vec<Endpoint>,
    arrivals: Mutex<Vec<Arrival>>,
    answered: AtomicUsize,
    hanging: AtomicUsize,
    checked: AtomicUsize,
    invalid: AtomicUsize,
    unreadable: AtomicUsize,
    body_bytes: AtomicU64,
    up: Notify,
}

pub fn run() -> Result<(), Fault> {
    child::end_with_parent();
    let mut orders = BufReader::new(stdin());
    let up: bool = records::hear(&mut orders)?;
    let endpoint = || Endpoint {
        secret: Mutex::default(),
        hangs: AtomicBool::default(),
    };
    let receiver = Arc::new(Receiver {
        endpoints: (0..ENDPOINTS).map(|_| endpoint()).collect(),
        arrivals: Mutex::default(),
        answered: AtomicUsize::default(),
        hanging: AtomicUsize::default(),
        checked: AtomicUsize::default(),
        invalid: AtomicUsize::default(),
        unreadable: AtomicUsize::default(),
        body_bytes: AtomicU64::default(),
        up: Notify::new(),
    });
    if up {
        receiver.up.notify_one();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // A socket that is bound and does not listen keeps its port and refuses connections.
    let socket = {
        let _inside = runtime.enter();
        TcpSocket::new_v4()?
    };
    socket.bind(([127, 0, 0, 1], 0).into())?;
    records::say(&mut stdout(), &socket.local_addr()?.port())?;
    let asked = Arc::clone(&receiver);
    std::thread::spawn(move || {
        // The end of the orders is the end of the run.
        let end = asked.obey(orders);
        std::process::exit(i32::from(end.is_err()));
    });
    runtime.block_on(async {
        receiver.up.notified().await;
        let listener = socket.listen(1024)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let receiver = Arc::clone(&receiver);
            tokio::spawn(async move {
                // A connection that breaks is the sender's affair; what was not answered is sent again.
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
            let at = machine::now();
            while let Some(message) = buffer.message() {
                let len = message.len;
                if self.note(&message, at) {
                    write_all(&stream, ANSWER).await?;
                }
                buffer.consume(len);
            }
        }
        Ok(())
    }

    /// Notes a request; whether it is to be answered.
    fn note(&self, message: &Message<'_>, at: u64) -> bool {
        let Some((webhook, arrival)) = delivery(message, at) else {
            self.unreadable.fetch_add(1, Relaxed);
            return true;
        };
        let Some(endpoint) = self.endpoints.get(webhook) else {
            self.unreadable.fetch_add(1, Relaxed);
            return true;
        };
        if endpoint.hangs.load(Relaxed) {
            self.hanging.fetch_add(1, Relaxed);
            return false;
        }
        if self.answered.load(Relaxed).is_multiple_of(CHECKED) {
            self.checked.fetch_add(1, Relaxed);
            if !is_signed(endpoint, message) {
                self.invalid.fetch_add(1, Relaxed);
            }
        }
        self.body_bytes
            .fetch_add(message.body.len() as u64, Relaxed);
        lock(&self.arrivals).push(arrival);
        self.answered.fetch_add(1, Relaxed);
        true
    }

    fn obey(&self, mut orders: BufReader<std::io::Stdin>) -> Result<(), Fault> {
        while let Ok(order) = records::hear(&mut orders) {
            match order {
                Order::Secret(endpoint, secret) => {
                    *lock(&self.endpoints[endpoint].secret) = Some(secret);
                }
                Order::Hang(endpoint) => self.endpoints[endpoint].hangs.store(true, Relaxed),
                Order::Up => self.up.notify_one(),
                Order::Wait(count, millis) => {
                    let deadline = Instant::now() + Duration::from_millis(millis);
                    while self.answered.load(Relaxed) < count && Instant::now() < deadline {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    records::say(&mut stdout(), &self.count())?;
                }
                Order::Take => {
                    let arrivals = std::mem::take(&mut *lock(&self.arrivals));
                    records::say_records(&mut stdout().lock(), json!({}), &arrivals)?;
                }
            }
        }
        Ok(())
    }

    fn count(&self) -> Count {
        Count {
            answered: self.answered.load(Relaxed),
            hanging: self.hanging.load(Relaxed),
            checked: self.checked.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
        }
    }
}

/// Which webhook's it is, and what is noted of it.
fn delivery(message: &Message<'_>, at: u64) -> Option<(usize, Arrival)> {
    let path = message.head.strip_prefix(b"POST /w/")?;
    let end = path.iter().position(|byte| *byte == b' ')?;
    let webhook: usize = std::str::from_utf8(&path[..end]).ok()?.parse().ok()?;
    let id = header(message.head, b"x-miniback-delivery")?;
    let feedback = after(message.body, b"\"feedback\":{\"id\":\"fb_", ulid::ULID_LEN)?;
    let arrival = Arrival {
        feedback: number(feedback)?,
        delivery: number(id.strip_prefix(b"dlv_")?)?,
        webhook: webhook as u64,
        at,
    };
    Some((webhook, arrival))
}

/// The number that a ULID is.
pub fn number(ulid: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(ulid).ok()?;
    Ulid::from_string(text).ok().map(|ulid| ulid.0)
}

fn is_signed(endpoint: &Endpoint, message: &Message<'_>) -> bool {
    let secret = lock(&endpoint.secret);
    let Some(secret) = secret.as_deref() else {
        return false;
    };
    let given = header(message.head, b"x-miniback-signature").unwrap_or_default();
    hex_signature(secret, message.body).as_bytes() == given
}

/// Worked out with other code than the program's.
pub fn hex_signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
