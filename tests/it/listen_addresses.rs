//! The addresses of `--listen`: their forms, mistakes, and the URLs in the log.

use std::net::{Ipv6Addr, TcpListener};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{CommandOutput, miniback, run};
use crate::support::http;
use crate::support::raw_http::RawConnection;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Returns the URLs of the lines with the message `listening`.
fn listening_urls(app: &App) -> Vec<String> {
    let lines = app.log.lines();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == "listening")
        .map(|line| line["url"].as_str().expect("find the URL").to_owned())
        .collect()
}

fn port(url: &str) -> u16 {
    let url = url::Url::parse(url).expect("parse the URL from the log");
    url.port().expect("get the URL's port")
}

fn get_status(url: &str) -> u16 {
    http::send("GET", url, &[], None).status
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[track_caller]
fn serve(addresses: &[&str]) -> CommandOutput {
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--data-dir"]);
    command.arg(dir.path().join("data"));
    for address in addresses {
        command.args(["--listen", address]);
    }
    run(command, "")
}

/// Returns the warnings about passwords over plain HTTP.
fn plain_http_warnings(app: &App) -> usize {
    let lines = app.log.lines();
    let lines = lines.iter().filter(|line| line.contains("\"WARN\""));
    lines
        .filter(|line| line.contains("over plain HTTP"))
        .count()
}

#[test]
fn listens_on_every_address_and_logs_each_url() {
    let app = App::builder()
        .listen("127.0.0.1:0, localhost:0")
        .option("--listen", "127.0.0.2:0")
        .start();
    let urls = listening_urls(&app);
    for (url, prefix) in urls.iter().zip([
        "http://127.0.0.1:",
        "http://127.0.0.1:",
        "http://127.0.0.2:",
    ]) {
        assert!(url.starts_with(prefix), "{url}");
        assert_eq!(get_status(&format!("{url}/healthz")), 200);
    }
    assert_eq!(urls.len(), 3);
}

#[test]
fn the_variable_contains_several_addresses() {
    let dir = TempDir::new().unwrap();
    let mut command = miniback(["serve", "--data-dir"]);
    command.arg(dir.path().join("data"));
    command.env("MINIBACK_LISTEN", "127.0.0.1:0,8080");
    let line = run(command, "").error_line(2);
    assert!(
        line.contains("'8080'") && line.contains("--listen"),
        "{line}"
    );
}

#[test]
fn a_bare_port_listens_on_all_interfaces() {
    let app = App::builder().listen(":0").start();
    let [url] = &listening_urls(&app)[..] else {
        panic!("expected one URL: {}", app.log)
    };
    let port = port(url);
    let response = RawConnection::open_to_port(port).exchange("GET", HEALTH);
    assert_eq!(response.status(), 200);
    if has_ipv6() {
        assert_eq!(*url, format!("http://[::]:{port}"));
        assert_eq!(get_status(&format!("http://[::1]:{port}/healthz")), 200);
    }
}

#[test]
fn webhooks_cannot_reach_any_of_the_sockets() {
    let app = App::builder().listen("127.0.0.1:0,127.0.0.1:0,:0").start();
    let urls = listening_urls(&app);
    assert_eq!(urls.len(), 3);
    for url in urls {
        let url = format!("http://localhost:{}/", port(&url));
        let response = app.api().post("/api/v1/webhooks", json!({"url": url}));
        let body = response.expect(422).text;
        assert!(body.contains("points to Miniback itself"), "{url}: {body}");
    }
}

#[test]
fn each_mistake_is_one_line_with_the_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    // A free port of another loopback address is unlikely to be in use.
    let free = TcpListener::bind("127.0.0.3:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let any = format!("0.0.0.0:{}", free.port());
    let (taken, free) = (taken.to_string(), free.to_string());
    let overlap = format!("{free} overlaps with {any}");
    for (addresses, code, part) in [
        (&["8080"][..], 2, ":8080 for all network interfaces"),
        (&["localhost"], 2, "localhost:8080"),
        (&["http://localhost:8080"], 2, "remove http://"),
        (&["::1:8080"], 2, "brackets"),
        (&["127.0.0.1:0,"], 2, "HOST:PORT"),
        (&["/tmp/miniback.sock"], 2, "unix:/tmp/miniback.sock"),
        (&["unix:"], 2, "add a path"),
        (&[&taken], 1, "the port is already in use"),
        (
            &["192.0.2.1:8080"],
            1,
            "this machine doesn’t have this IP address",
        ),
        (
            &["unknown.invalid:8080"],
            1,
            "can’t find the IP address of unknown.invalid",
        ),
        (&[&free, &free], 2, "overlaps"),
        (&[&any, &free], 2, &overlap),
        (
            &["unix:/no/such/dir/a.sock"],
            1,
            "its directory doesn’t exist",
        ),
    ] {
        let line = serve(addresses).error_line(code);
        assert!(line.contains("--listen") && line.contains(part), "{line}");
    }
}

#[test]
fn the_setup_url_can_be_opened_when_listening_on_all_interfaces() {
    for listen in ["0.0.0.0:0", ":0"] {
        let app = App::builder().without_admin().listen(listen).start();
        let line = app.log.wait_for_message("no users yet");
        let url = line["url"].as_str().expect("find the URL");
        let host = url::Url::parse(url).unwrap().host_str().map(str::to_owned);
        assert!(
            !matches!(host.as_deref(), Some("0.0.0.0" | "[::]") | None),
            "{url}"
        );
        assert_eq!(get_status(url), 200, "{url}");
    }
}

#[test]
fn warns_about_passwords_over_plain_http() {
    let app = App::builder().listen("127.0.0.1:0,0.0.0.0:0").start();
    assert_eq!(plain_http_warnings(&app), 1, "{}", app.log);
    let app = App::builder()
        .listen("0.0.0.0:0")
        .option("--base-url", "https://feedback.example")
        .start();
    assert_eq!(plain_http_warnings(&app), 0, "{}", app.log);
    let app = App::builder().listen("localhost:0,127.0.0.2:0").start();
    assert_eq!(plain_http_warnings(&app), 0, "{}", app.log);
}
