//! Both servers over real sockets on loopback, against an API that only writes down what it is
//! asked.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use ureq::Agent;

use super::{Api, DemoServer};

mod receiver;
mod samples;
mod site;

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBkZW1vJ3MgdGVzdHMuLi4=";

// What is asked of the servers, off the async thread

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)));
    config.build().into()
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Status, headers and text of an answer.
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
}

impl From<ureq::http::Response<ureq::Body>> for Answer {
    fn from(mut answer: ureq::http::Response<ureq::Body>) -> Self {
        Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }
}

async fn get(url: String) -> Answer {
    run_blocking(move || agent().get(url).call().unwrap().into()).await
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

// An API that writes down what it is asked

type Calls = Arc<Mutex<Vec<Call>>>;

#[derive(Clone)]
struct Call {
    what: String,
    authorization: String,
    body: Value,
}

/// Answers each call with `status` and what the API would say; the server's address, and the calls.
fn start_api(status: u16) -> (Api, Calls) {
    let calls = Calls::default();
    let (listener, noted) = (listener(), calls.clone());
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let noted = noted.clone();
        App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
            let header = |name: &str| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let mut noted = noted.lock().unwrap();
            noted.push(Call {
                what: format!("{} {}", request.method(), request.path()),
                authorization: header("Authorization").unwrap_or_default(),
                body: serde_json::from_slice(&body).unwrap(),
            });
            let answer = if status < 300 {
                json!({"id": format!("id_{}", noted.len()), "slug": "a"})
            } else {
                json!({"title": "No", "detail": "Look at the fields."})
            };
            let mut response = HttpResponse::build(status.try_into().unwrap());
            async move { response.json(answer) }
        }))
    });
    tokio::spawn(
        server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run(),
    );
    (Api::new(base, "mb_token"), calls)
}
