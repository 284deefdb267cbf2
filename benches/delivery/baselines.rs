//! Measures baselines on the same machine as the workloads: sent requests, inserted rows, and
//! durable commits. Also runs the bare actix-web server of the idle workload.
//!
//! The baseline of sent requests is the bare loop: one thread sends the same signed request to the
//! receiver with awc, as fast as possible and without a database.

use std::cell::Cell;
use std::io::{BufReader, stdin, stdout};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use actix_web::{App, HttpServer};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, empty_database};
use crate::metrics::Durations;
use crate::process::{self, Helper};
use crate::receiver::{BASELINE_ENDPOINT, Receiver};
use crate::system::{self, Usage};
use crate::{Error, database, protocol, sample};

pub const POST_LOOP_ROLE: &str = "__posts";
pub const WEB_SERVER_ROLE: &str = "__web";

/// The number of requests in flight in the bare loop of W1 and W2. Miniback's limit per webhook is
/// the same.
pub const IN_FLIGHT: usize = 16;

/// The result of the bare loop.
pub struct PostBaseline {
    pub per_second: f64,
    /// CPU seconds of the loop's process per 1,000 requests.
    pub cpu: f64,
    pub durations: Durations,
}

/// The settings of the bare loop.
#[derive(Serialize, Deserialize)]
struct PostLoop {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    in_flight: usize,
    time: Duration,
}

#[derive(Serialize, Deserialize)]
struct PostLoopResult {
    seconds: f64,
    cpu: f64,
    nanos: Vec<u64>,
}

/// Measures the bare loop with `in_flight` requests in flight.
pub fn measure_posts(
    bench: &Bench,
    receiver: &mut Receiver,
    in_flight: usize,
) -> Result<PostBaseline, Error> {
    receiver.set_secret(BASELINE_ENDPOINT, sample::SECRET)?;
    let body = sample::event_body();
    let post_loop = PostLoop {
        url: receiver.url(BASELINE_ENDPOINT),
        headers: sample::delivery_headers(&body),
        body,
        in_flight,
        time: bench.baseline_time(),
    };
    let result: PostLoopResult = Helper::start(POST_LOOP_ROLE, &post_loop)?.read_line()?;
    let arrived = receiver.take_arrivals()?.len();
    let sent = result.nanos.len();
    if arrived != sent || arrived == 0 {
        return Err(format!("the bare loop sent {sent} requests, {arrived} arrived").into());
    }
    Ok(PostBaseline {
        per_second: arrived as f64 / result.seconds,
        cpu: result.cpu / arrived as f64 * 1000.0,
        durations: Durations::new(result.nanos),
    })
}

/// The entry point of the bare loop's process.
pub fn run_post_loop() -> Result<(), Error> {
    process::die_with_parent();
    let post_loop: PostLoop = protocol::read_line(&mut BufReader::new(stdin()))?;
    let result = actix_web::rt::System::new().block_on(post_repeatedly(post_loop))?;
    protocol::write_line(&mut stdout(), &result)
}

async fn post_repeatedly(post_loop: PostLoop) -> Result<PostLoopResult, Error> {
    let client = awc::Client::builder().no_default_headers().finish();
    let post_loop = Rc::new(post_loop);
    let body = Bytes::from(post_loop.body.clone());
    let stopped = Rc::new(Cell::new(false));
    let before = Usage::of(std::process::id())?;
    let started = Instant::now();
    let posters: Vec<_> = (0..post_loop.in_flight)
        .map(|_| {
            let (client, post_loop, body) = (client.clone(), post_loop.clone(), body.clone());
            let stopped = stopped.clone();
            actix_web::rt::spawn(async move {
                let mut nanos = Vec::new();
                while !stopped.get() {
                    let from = system::now();
                    let mut request = client.post(&post_loop.url);
                    for (name, value) in &post_loop.headers {
                        request = request.insert_header((name.as_str(), value.as_str()));
                    }
                    let response = request.send_body(body.clone()).await;
                    let status = response.map_err(|error| error.to_string())?.status();
                    if status != 204 {
                        return Err(format!("the receiver responded with {status}"));
                    }
                    nanos.push(system::now() - from);
                }
                Ok(nanos)
            })
        })
        .collect();
    tokio::time::sleep(post_loop.time).await;
    stopped.set(true);
    let mut nanos = Vec::new();
    for poster in posters {
        nanos.extend(poster.await??);
    }
    Ok(PostLoopResult {
        seconds: started.elapsed().as_secs_f64(),
        cpu: Usage::of(std::process::id())?.since(&before).cpu(),
        nanos,
    })
}

/// Measures how many rows per second can be inserted into an empty database of the program, with
/// 100 rows per commit and `synchronous=FULL`.
pub fn measure_rows(bench: &Bench) -> Result<f64, Error> {
    let dir = bench.new_dir()?;
    let path = empty_database(dir.path())?;
    database::measure_rows_per_second(&path, bench.baseline_time())
}

/// Measures how long a durable commit of one row takes.
pub fn measure_commits(bench: &Bench) -> Result<Durations, Error> {
    let dir = bench.new_dir()?;
    let path = empty_database(dir.path())?;
    database::measure_commit_times(&path, bench.baseline_time())
}

/// The entry point of a process that runs a bare actix-web server, with as many workers as the
/// program.
pub fn run_web_server() -> Result<(), Error> {
    process::die_with_parent();
    let _: () = protocol::read_line(&mut BufReader::new(stdin()))?;
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(App::new).bind("127.0.0.1:0")?;
        protocol::write_line(&mut stdout(), &server.addrs()[0].port())?;
        Ok(server.run().await?)
    })
}
