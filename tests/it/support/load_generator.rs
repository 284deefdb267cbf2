//! Clients that send feedback continuously, even while the program is killed and restarted, and
//! record the acknowledged changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::text;
use super::app::{ADMIN, App};
use super::http::{KeepAliveClient, Response};
use super::wait::wait_until;

/// The time that a client waits after a failed request. [`LoadGenerator::switch_to`] ends the wait
/// early.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// An acknowledged change, which must never be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgedChange {
    pub project: &'static str,
    pub feedback: String,
    /// The type of the event that the change creates.
    pub event: &'static str,
}

/// Instructions for the clients.
struct Control {
    url: String,
    stopped: bool,
}

struct Shared {
    token: String,
    control: Mutex<Control>,
    changed: Condvar,
    acknowledged: Mutex<Vec<AcknowledgedChange>>,
    /// Unsuccessful responses by status.
    rejected: Mutex<BTreeMap<u16, Vec<Response>>>,
}

pub struct LoadGenerator {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl LoadGenerator {
    /// Starts `clients` clients, each with a keep-alive connection. Each client numbers its
    /// feedback items from 0 and passes the number to `project`, which returns the project's slug.
    /// Each client sets every tenth item to `REVIEWED`.
    pub fn start(
        app: &App,
        clients: usize,
        project: impl Fn(usize) -> &'static str + Send + Clone + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            token: app.token(ADMIN, "full"),
            control: Mutex::new(Control {
                url: app.url.clone(),
                stopped: false,
            }),
            changed: Condvar::new(),
            acknowledged: Mutex::default(),
            rejected: Mutex::default(),
        });
        let clients = (0..clients)
            .map(|client| {
                let (shared, project) = (Arc::clone(&shared), project.clone());
                std::thread::spawn(move || shared.send_until_stopped(client, &project))
            })
            .collect();
        Self { shared, clients }
    }

    /// Sends all further requests to `app`, for example after a restart.
    pub fn switch_to(&self, app: &App) {
        self.shared.control.lock().unwrap().url.clone_from(&app.url);
        self.shared.changed.notify_all();
    }

    /// Returns the number of acknowledged changes.
    pub fn acknowledged_count(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// Returns the changes that have been acknowledged so far.
    pub fn acknowledged_changes(&self) -> Vec<AcknowledgedChange> {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// Waits until `count` more changes have been acknowledged.
    #[track_caller]
    pub fn wait_for_more_changes(&self, count: usize) {
        let wanted = self.acknowledged_count() + count;
        wait_until("more changes are acknowledged", || {
            (self.acknowledged_count() >= wanted).then_some(())
        });
    }

    /// Waits for `count` unsuccessful responses with this status, and returns the last of these
    /// responses.
    #[track_caller]
    pub fn wait_for_rejections(&self, status: u16, count: usize) -> Response {
        wait_until("enough requests are rejected", || {
            let rejected = self.shared.rejected.lock().unwrap();
            let responses = rejected.get(&status)?;
            (responses.len() >= count).then(|| responses.last().cloned())?
        })
    }

    /// Stops the clients. Returns the acknowledged changes and the unsuccessful responses by
    /// status.
    pub fn stop(mut self) -> (Vec<AcknowledgedChange>, BTreeMap<u16, Vec<Response>>) {
        self.shared.stop();
        for client in std::mem::take(&mut self.clients) {
            client.join().expect("join a client thread");
        }
        let acknowledged = self.shared.acknowledged.lock().unwrap().clone();
        let rejected = std::mem::take(&mut *self.shared.rejected.lock().unwrap());
        (acknowledged, rejected)
    }
}

impl Drop for LoadGenerator {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    /// Makes the clients stop after their current request.
    fn stop(&self) {
        if let Ok(mut control) = self.control.lock() {
            control.stopped = true;
        }
        self.changed.notify_all();
    }

    fn send_until_stopped(&self, client: usize, project: &dyn Fn(usize) -> &'static str) {
        let mut connection = (String::new(), KeepAliveClient::new());
        for number in 0.. {
            let Some(url) = self.url() else { return };
            if connection.0 != url {
                connection = (url, KeepAliveClient::new());
            }
            let project = project(number);
            let message = format!("{client}-{number}");
            let created = self.send(
                &connection,
                "POST",
                "/api/v1/feedback",
                &json!({"project": project, "message": message}),
            );
            let Some(created) = created else { continue };
            let feedback = text(&created.json(), "id").to_owned();
            self.record(project, &feedback, "feedback.created");
            if number.is_multiple_of(10) {
                let path = format!("/api/v1/feedback/{feedback}");
                let reviewed = json!({"status": "REVIEWED"});
                if self.send(&connection, "PATCH", &path, &reviewed).is_some() {
                    self.record(project, &feedback, "feedback.updated");
                }
            }
        }
    }

    /// Returns the program's current URL; `None` if the clients should stop.
    fn url(&self) -> Option<String> {
        let control = self.control.lock().unwrap();
        (!control.stopped).then(|| control.url.clone())
    }

    /// Sends a request and returns the response if it's successful. If there is no response, the
    /// change can be stored anyway.
    fn send(
        &self,
        (url, client): &(String, KeepAliveClient),
        method: &str,
        path: &str,
        body: &Value,
    ) -> Option<Response> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        let body = body.to_string();
        let response = client.try_send(
            method,
            &format!("{url}{path}"),
            &headers,
            Some(body.as_bytes()),
        );
        match response {
            Ok(response) if matches!(response.status, 200 | 201) => return Some(response),
            Ok(response) => {
                let mut rejected = self.rejected.lock().unwrap();
                rejected.entry(response.status).or_default().push(response);
            }
            Err(_) => {}
        }
        let control = self.control.lock().unwrap();
        if control.url == *url && !control.stopped {
            drop(self.changed.wait_timeout(control, RETRY_DELAY));
        }
        None
    }

    fn record(&self, project: &'static str, feedback: &str, event: &'static str) {
        self.acknowledged.lock().unwrap().push(AcknowledgedChange {
            project,
            feedback: feedback.to_owned(),
            event,
        });
    }
}
