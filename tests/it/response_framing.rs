//! Every response uses the HTTP version and the framing that its request allows. The last response
//! on a connection contains `Connection: close`, which is implicit in HTTP/1.0.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::app::App;
use crate::support::raw_http::{RawConnection, RawResponse};

/// Starts Miniback with feedback to export. Returns the program and the `Cookie` header of a
/// signed-in admin.
fn app_with_feedback() -> (App, String) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..3 {
        api.create_feedback("shop", &format!("number {number}"));
    }
    let session = app
        .signed_in()
        .session_cookie()
        .expect("find the session cookie");
    (app, format!("miniback_session={session}"))
}

/// Returns the method and path of a missing page and of all routes, except routes that end the
/// session.
fn requests() -> Vec<(String, String)> {
    let tables = [
        miniback::intake::routes(),
        miniback::api::routes(),
        miniback::pages::routes(),
    ];
    let routes = tables.iter().flat_map(|table| table.list());
    let mut requests = vec![("GET".to_owned(), "/no-such-page".to_owned())];
    for route in routes {
        let path = route.path.replace("{project}", "shop");
        let path = path.replace("{name}", "style.css").replace("{id}", "x");
        let path = path.replace("/live", "/live?of=feedback");
        if path == "/logout" || path.ends_with("/sign-out-everywhere") {
            continue;
        }
        if route.method == "GET" {
            requests.push(("HEAD".to_owned(), path.clone()));
        }
        requests.push((route.method.to_string(), path));
    }
    requests
}

fn request(app: &App, cookie: &str, method: &str, path: &str, version: &str) -> String {
    format!(
        "{method} {path} HTTP/{version}\r\nHost: 127.0.0.1:{}\r\nCookie: {cookie}\r\n\
        Content-Length: 0\r\n\r\n",
        app.port()
    )
}

fn is_endless(method: &str, path: &str) -> bool {
    method == "GET" && path.starts_with("/live")
}

#[test]
fn http_1_0_clients_receive_no_chunks_from_any_route() {
    let (app, cookie) = app_with_feedback();
    let requests = requests();
    assert!(requests.len() > 100, "{} requests", requests.len());
    for (method, path) in requests {
        let mut connection = RawConnection::open(&app);
        connection.send(request(&app, &cookie, &method, &path, "1.0"));
        let response = if is_endless(&method, &path) {
            connection.read_head()
        } else {
            connection.read_response(&method)
        };
        assert!(response.head[0].starts_with("http/1.0 "), "{response:?}");
        assert_eq!(
            response.header("transfer-encoding"),
            None,
            "{method} {path}"
        );
        assert!(response.announces_close(), "{method} {path}: {response:?}");
        if !is_endless(&method, &path) {
            connection.wait_for_end();
        }
    }
}

#[test]
fn http_1_0_and_1_1_clients_receive_the_same_exports() {
    let (app, cookie) = app_with_feedback();
    let export_form = "query=&contentType=json";
    let post = |version: &str| {
        format!(
            "POST /settings/privacy/export HTTP/{version}\r\nHost: 127.0.0.1:{}\r\n\
            Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\
            Content-Type: application/x-www-form-urlencoded\r\n\r\n{export_form}",
            app.port(),
            export_form.len()
        )
    };
    let get = |path: &str, version: &str| request(&app, &cookie, "GET", path, version);
    for path in ["/feedback/export.csv", "/feedback/export.json", "privacy"] {
        let [old, new] = ["1.0", "1.1"].map(|version| {
            let request = match path {
                "privacy" => post(version),
                path => get(path, version),
            };
            RawConnection::open(&app).exchange("GET", &request)
        });
        assert_eq!(old.body, new.body, "{path}");
        assert!(!old.body.is_empty(), "{path}");
        assert!(!new.announces_close(), "{path}: {new:?}");
    }
}

#[test]
fn http_1_1_connections_stay_open_after_every_route() {
    let (app, cookie) = app_with_feedback();
    let mut connection = RawConnection::open(&app);
    for (method, path) in requests() {
        if !is_endless(&method, &path) {
            let response =
                connection.exchange(&method, &request(&app, &cookie, &method, &path, "1.1"));
            assert!(response.head[0].starts_with("http/1.1 "), "{response:?}");
            assert!(!response.announces_close(), "{method} {path}: {response:?}");
        }
    }
}

#[test]
fn an_http_1_0_client_can_keep_the_connection_open() {
    let app = App::start();
    let request = "GET /healthz HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
    let mut connection = RawConnection::open(&app);
    for _ in 0..2 {
        let response = connection.exchange("GET", request);
        assert_eq!(response.status(), 200);
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
}

#[test]
fn the_connection_ends_after_a_request_for_another_protocol() {
    let (app, cookie) = app_with_feedback();
    for upgrade in ["websocket", "h2c"] {
        for path in ["/healthz", "/feedback/export.csv"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\
                Connection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
            );
            let mut connection = RawConnection::open(&app);
            let response = connection.exchange("GET", &request);
            assert_eq!(response.status(), 200);
            assert!(response.announces_close(), "{upgrade} {path}: {response:?}");
            connection.wait_for_end();
        }
    }
}

/// Sends a `POST` that must be rejected, and returns the response. If the response contains
/// `Connection: close`, checks that the server closes the connection. Otherwise, checks that the
/// connection works for another request.
#[track_caller]
fn rejected_post(app: &App, head: &str, body: &str) -> RawResponse {
    let mut connection = RawConnection::open(app);
    let request = format!("POST {head}\r\nHost: x\r\n{body}");
    let response = connection.exchange("POST", &request);
    assert!(response.status() >= 400, "{response:?}");
    if response.announces_close() {
        connection.wait_for_end();
    } else {
        let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(connection.exchange("GET", health).status(), 200, "{head}");
    }
    response
}

#[test]
fn a_connection_stays_open_after_a_rejected_post_with_a_short_body() {
    let app = App::start();
    for path in [
        "/nope",
        "/api/v1/webhooks",
        "/settings/projects",
        "/api/feedback",
    ] {
        for body in [
            "Content-Length: 2\r\n\r\n{}".to_owned(),
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
            format!("Content-Length: 30000\r\n\r\n{}", "a".repeat(30_000)),
        ] {
            let response = rejected_post(&app, &format!("{path} HTTP/1.1"), &body);
            assert!(!response.announces_close(), "{path}: {response:?}");
        }
    }
}

/// Sends a `POST` whose body follows after a pause of 20 ms, and then another request on the same
/// connection. Returns both responses, or `None` if the body was sent later than 100 ms after the
/// head.
fn post_in_two_writes(app: &App, path: &str, body: &str) -> Option<[RawResponse; 2]> {
    let mut connection = RawConnection::open(app);
    let started = Instant::now();
    connection.send(format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    sleep(Duration::from_millis(20));
    let sent = connection.try_send(body);
    if started.elapsed() > Duration::from_millis(100) {
        return None;
    }
    sent.expect("send the body");
    let rejection = connection.read_response("POST");
    assert!(
        !rejection.announces_close(),
        "{path} {}: {rejection:?}",
        body.len()
    );
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    Some([rejection, connection.exchange("GET", health)])
}

#[test]
fn a_short_body_can_arrive_after_the_head_of_a_rejected_post() {
    let app = App::start();
    for (path, status) in [("/nope", 404), ("/api/v1/feedback", 401)] {
        for body in ["{\"a\":1}".to_owned(), "a".repeat(65_536)] {
            let mut attempts = (0..100).filter_map(|_| post_in_two_writes(&app, path, &body));
            let responses = attempts.next().expect("send a body in time");
            assert_eq!(responses.map(|response| response.status()), [status, 200]);
        }
    }
}

#[test]
fn the_response_to_an_incomplete_body_has_connection_close() {
    let app = App::start();
    for body in [
        "Content-Length: 20\r\n\r\n{}",
        "Content-Length: 20\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let mut connection = RawConnection::open(&app);
        connection.send(format!("POST /nope HTTP/1.1\r\nHost: x\r\n{body}"));
        let mut response = connection.read_response("POST");
        if response.status() == 100 {
            response = connection.read_response("POST");
        }
        assert_eq!(response.status(), 404);
        assert!(response.announces_close(), "{body}: {response:?}");
    }
}

#[test]
fn responses_to_requests_sent_in_one_write_are_in_order() {
    let app = App::start();
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let mut connection = RawConnection::open(&app);
    connection.send([health, post, health, health].concat());
    for (method, status) in [("GET", 200), ("POST", 404), ("GET", 200), ("GET", 200)] {
        assert_eq!(connection.read_response(method).status(), status);
    }
}
