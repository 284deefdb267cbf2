//! Tests the demo's servers over real sockets on loopback, with a fake API that records calls.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::http::header::HeaderMap;
use serde_json::{Value, json};

use super::{ApiClient, DemoServer};

mod channel;
mod receiver;
mod samples;
mod site;

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBkZW1vJ3MgdGVzdHMuLi4=";

fn http_client() -> awc::Client {
    awc::Client::builder()
        .disable_redirects()
        .timeout(Duration::from_secs(10))
        .finish()
}

/// The status, headers, and body of a response.
struct Response {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Response {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

async fn get(url: String) -> Response {
    let mut response = http_client().get(url).send().await.unwrap();
    let body = response.body().await.unwrap();
    Response {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn bind_listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

type RecordedCalls = Arc<Mutex<Vec<RecordedCall>>>;

/// A call to the fake API.
#[derive(Clone)]
struct RecordedCall {
    /// Method and path.
    name: String,
    authorization: String,
    body: Value,
}

/// Starts a fake API that responds with `status` to every call. Returns its client and the recorded
/// calls.
fn start_fake_api(status: u16) -> (ApiClient, RecordedCalls) {
    let calls = RecordedCalls::default();
    let (listener, recorded) = (bind_listener(), calls.clone());
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let recorded = recorded.clone();
        App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
            let header = |name: &str| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let mut recorded = recorded.lock().unwrap();
            recorded.push(RecordedCall {
                name: format!("{} {}", request.method(), request.path()),
                authorization: header("Authorization").unwrap_or_default(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            });
            let body = if status < 300 {
                json!({"id": format!("id_{}", recorded.len()), "slug": "a", "data": []})
            } else {
                json!({"title": "Rejected", "detail": "Check the fields."})
            };
            let mut response = HttpResponse::build(status.try_into().unwrap());
            async move { response.json(body) }
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
    (ApiClient::new(base, "mb_token"), calls)
}
