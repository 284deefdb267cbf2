//! The machine's own limits, measured in the same run: the least that a delivery and its rows can cost here.

use std::cell::Cell;
use std::io::{BufReader, stdin, stdout};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use actix_web::{App, HttpServer};
use serde::{Deserialize, Serialize};

use crate::child::{self, Role};
use crate::figures::Series;
use crate::machine::{self, Usage};
use crate::receiver::{FOR_THE_LIMIT, Receiver, hex_signature};
use crate::workloads::Bench;
use crate::{Fault, file, records};

pub const POSTS_ROLE: &str = "__posts";
pub const WEB_ROLE: &str = "__web";

const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// As many as the program has in flight for a webhook.
const IN_FLIGHT: usize = 16;

/// What the bare loop came to.
pub struct Posts {
    pub per_second: f64,
    /// CPU seconds of its process for 1,000 posts.
    pub cpu: f64,
    pub times: Series,
}

#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    in_flight: usize,
    time: Duration,
}

#[derive(Serialize, Deserialize)]
struct Done {
    seconds: f64,
    cpu: f64,
    nanos: Vec<u64>,
}

/// awc and nothing else, on one thread, posting one signed request over and over to the receiver that the program
/// delivers to.
pub fn posts(bench: &Bench, receiver: &mut Receiver) -> Result<Posts, Fault> {
    posts_with(bench, receiver, IN_FLIGHT)
}

/// The same with one in flight: what a single delivery takes on this machine.
pub fn single_posts(bench: &Bench, receiver: &mut Receiver) -> Result<Posts, Fault> {
    posts_with(bench, receiver, 1)
}

fn posts_with(bench: &Bench, receiver: &mut Receiver, in_flight: usize) -> Result<Posts, Fault> {
    receiver.secret(FOR_THE_LIMIT, SECRET)?;
    let body = file::sample_body();
    let mut headers: Vec<(String, String)> = [
        ("Content-Type", "application/json"),
        ("User-Agent", "Miniback-Webhook/1.0"),
        ("X-Miniback-Event", "feedback.created"),
        ("X-Miniback-Delivery", "dlv_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        ("X-Miniback-Timestamp", "2025-10-31T12:34:56.789Z"),
        ("webhook-id", "dlv_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        ("webhook-timestamp", "1761914096"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let signature = hex_signature(SECRET, body.as_bytes());
    headers.push(("X-Miniback-Signature".into(), signature));
    let order = Order {
        url: receiver.url(FOR_THE_LIMIT),
        headers,
        body,
        in_flight,
        time: bench.limit_time(),
    };
    let done: Done = Role::start(POSTS_ROLE, &order)?.hear()?;
    let arrived = receiver.take()?.len();
    if arrived != done.nanos.len() || arrived == 0 {
        return Err(format!("the bare loop sent {}, {arrived} came", done.nanos.len()).into());
    }
    Ok(Posts {
        per_second: arrived as f64 / done.seconds,
        cpu: done.cpu / arrived as f64 * 1000.0,
        times: Series::new(done.nanos),
    })
}

/// The bare loop's own process.
pub fn run_posts() -> Result<(), Fault> {
    child::end_with_parent();
    let order: Order = records::hear(&mut BufReader::new(stdin()))?;
    let done = actix_web::rt::System::new().block_on(post_over_and_over(order))?;
    records::say(&mut stdout(), &done)
}

async fn post_over_and_over(order: Order) -> Result<Done, Fault> {
    let client = awc::Client::builder().no_default_headers().finish();
    let order = Rc::new(order);
    let body = Bytes::from(order.body.clone());
    let over = Rc::new(Cell::new(false));
    let before = Usage::of(std::process::id())?;
    let begun = Instant::now();
    let senders: Vec<_> = (0..order.in_flight)
        .map(|_| {
            let (client, order, body) = (client.clone(), order.clone(), body.clone());
            let over = over.clone();
            actix_web::rt::spawn(async move {
                let mut nanos = Vec::new();
                while !over.get() {
                    let from = machine::now();
                    let mut request = client.post(&order.url);
                    for (name, value) in &order.headers {
                        request = request.insert_header((name.as_str(), value.as_str()));
                    }
                    let answer = request.send_body(body.clone()).await;
                    let status = answer.map_err(|error| error.to_string())?.status();
                    if status != 204 {
                        return Err(format!("the receiver answered {status}"));
                    }
                    nanos.push(machine::now() - from);
                }
                Ok(nanos)
            })
        })
        .collect();
    tokio::time::sleep(order.time).await;
    over.set(true);
    let mut nanos = Vec::new();
    for sender in senders {
        nanos.extend(sender.await??);
    }
    Ok(Done {
        seconds: begun.elapsed().as_secs_f64(),
        cpu: Usage::of(std::process::id())?.since(&before).cpu(),
        nanos,
    })
}

/// Inserts of the same rows into a file of the program's own schema, 100 rows a commit, `synchronous=FULL`: rows a
/// second.
pub fn rows(bench: &Bench) -> Result<f64, Fault> {
    let dir = bench.new_dir()?;
    let path = bench.empty_database(dir.path())?;
    file::rows_per_second(&path, bench.limit_time())
}

/// One row a commit: the time of one durable commit.
pub fn commits(bench: &Bench) -> Result<Series, Fault> {
    let dir = bench.new_dir()?;
    let path = bench.empty_database(dir.path())?;
    file::commit_times(&path, bench.limit_time())
}

/// A bare actix-web with as many workers as the program has.
pub fn run_web() -> Result<(), Fault> {
    child::end_with_parent();
    let _: () = records::hear(&mut BufReader::new(stdin()))?;
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(App::new).bind("127.0.0.1:0")?;
        records::say(&mut stdout(), &server.addrs()[0].port())?;
        Ok(server.run().await?)
    })
}
