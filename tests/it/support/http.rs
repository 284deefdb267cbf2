//! A plain HTTP client: it follows no redirects, stores no cookies, and treats no status as an
//! error.

use std::fmt;
use std::time::Duration;

use awc::http::Method;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(90);
const BODY_MAX_BYTES: usize = 256 * 1024 * 1024;

/// A response with its complete body.
#[derive(Clone)]
pub struct Response {
    /// The method and URL of the request, for failure messages.
    pub request: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Response {
    /// Returns the first value of a header. Names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn all_headers(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.text) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self:?}"),
        }
    }

    /// Checks the status and returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected status: {self:?}");
        self
    }

    /// Checks that the response is an RFC 9457 problem document with this status, and returns the
    /// document.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "unexpected status: {self:?}");
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/problem+json"),
            "not a problem: {self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:?}");
        for member in ["type", "title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {member}: {self:?}");
        }
        assert!(self.header("x-request-id").is_some(), "{self:?}");
        problem
    }

    /// Checks that the response is a 422 with an error for `field`, and returns the error's
    /// message.
    #[track_caller]
    pub fn problem_at(&self, field: &str) -> String {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let error = errors.iter().find(|error| error["field"] == field);
        let message = error.and_then(|error| error["message"].as_str());
        match message {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => panic!("no error for field {field:?}: {self:?}"),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.text.chars().take(2_000).collect();
        writeln!(f, "{}\n  -> {}", self.request, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        write!(f, "  {shown}")
    }
}

/// Sends a single request over a new connection. If `body` is `None`, the request has no body, not
/// even an empty body.
#[track_caller]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Response {
    match try_send(method, url, headers, body) {
        Ok(response) => response,
        Err(error) => panic!("no response to {method} {url}: {error}"),
    }
}

/// Sends one request like [`send`], but returns an error if there is no complete response.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Response, String> {
    // awc needs an actix runtime, which can't be started in a thread that already has a runtime.
    std::thread::scope(|scope| {
        let request = scope.spawn(|| KeepAliveClient::new().try_send(method, url, headers, body));
        request.join().expect("join the request's thread")
    })
}

/// A client that keeps its connection open between requests. The client can't be created inside an
/// actix runtime.
pub struct KeepAliveClient {
    client: awc::Client,
    runtime: actix_rt::Runtime,
}

impl KeepAliveClient {
    pub fn new() -> Self {
        let runtime = actix_rt::Runtime::new().expect("create a runtime");
        let client = runtime.block_on(async {
            awc::Client::builder()
                .disable_redirects()
                .no_default_headers()
                .timeout(TIMEOUT)
                .finish()
        });
        Self { client, runtime }
    }

    pub fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response, String> {
        let sent = fetch(&self.client, method, url, headers, body);
        self.runtime.block_on(sent)
    }
}

async fn fetch(
    client: &awc::Client,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Response, String> {
    let method_name = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = client.request(method_name, url);
    for (name, value) in headers {
        request = request.append_header((*name, *value));
    }
    let sent = match body {
        Some(body) => request.send_body(body.to_vec()).await,
        None => request.send().await,
    };
    let mut response = sent.map_err(|error| error.to_string())?;
    let bytes = response.body().limit(BODY_MAX_BYTES).await;
    let headers = response.headers().iter();
    Ok(Response {
        request: format!("{method} {url}"),
        status: response.status().as_u16(),
        headers: headers
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect(),
        text: String::from_utf8_lossy(&bytes.map_err(|error| error.to_string())?).into_owned(),
    })
}
