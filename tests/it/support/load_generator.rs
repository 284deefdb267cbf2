//! Clients that keep posting feedback, whatever becomes of the program meanwhile, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::text;
use super::app::{ADMIN, App};
use super::http::{Answer, Client};
use super::wait::until;

/// How long a client whose call had no answer waits for the program to be started again, before it tries again.
const BREATH: Duration = Duration::from_millis(20);

/// A change that was answered with success: from then on it may not be lost.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub project: &'static str,
    pub feedback: String,
    /// The event that it makes.
    pub event: &'static str,
}

/// Where the clients post, and whether they go on.
struct Target {
    url: String,
    over: bool,
}

struct Shared {
    token: String,
    target: Mutex<Target>,
    changed: Condvar,
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Answers that were no success, by status.
    refused: Mutex<BTreeMap<u16, Vec<Answer>>>,
}

pub struct Storm {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Storm {
    /// Starts as many clients, each with a connection that is kept alive. `project` says by a post's number which
    /// project it is for; every tenth feedback is also reviewed.
    pub fn start(
        app: &App,
        clients: usize,
        project: impl Fn(usize) -> &'static str + Send + Clone + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            token: app.token(ADMIN, "full"),
            target: Mutex::new(Target {
                url: app.url.clone(),
                over: false,
            }),
            changed: Condvar::new(),
            acknowledged: Mutex::default(),
            refused: Mutex::default(),
        });
        let clients = (0..clients)
            .map(|client| {
                let (shared, project) = (Arc::clone(&shared), project.clone());
                std::thread::spawn(move || shared.post_until_over(client, &project))
            })
            .collect();
        Self { shared, clients }
    }

    /// The program was started again, and listens elsewhere now.
    pub fn follow(&self, app: &App) {
        self.shared.target.lock().unwrap().url.clone_from(&app.url);
        self.shared.changed.notify_all();
    }

    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// Waits until that much more has been acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        until("more is acknowledged", || {
            (self.acknowledged() >= wanted).then_some(())
        });
    }

    /// Waits until as many answers of this status have come, and returns the last one.
    #[track_caller]
    pub fn wait_for_refusals(&self, status: u16, count: usize) -> Answer {
        until("enough is refused", || {
            let refused = self.shared.refused.lock().unwrap();
            let answers = refused.get(&status)?;
            (answers.len() >= count).then(|| answers.last().cloned())?
        })
    }

    /// Ends the clients; returns what was acknowledged and what was refused, by status.
    pub fn end(self) -> (Vec<Acknowledged>, BTreeMap<u16, Vec<Answer>>) {
        self.shared.target.lock().unwrap().over = true;
        self.shared.changed.notify_all();
        for client in self.clients {
            client.join().expect("a client found no fault");
        }
        let acknowledged = self.shared.acknowledged.lock().unwrap().clone();
        let refused = std::mem::take(&mut *self.shared.refused.lock().unwrap());
        (acknowledged, refused)
    }
}

impl Shared {
    fn post_until_over(&self, client: usize, project: &dyn Fn(usize) -> &'static str) {
        let mut connection = (String::new(), Client::new());
        for number in 0.. {
            let Some(url) = self.url() else { return };
            if connection.0 != url {
                connection = (url, Client::new());
            }
            let project = project(number);
            let message = format!("{client}-{number}");
            let created = self.call(
                &connection,
                "POST",
                "/api/v1/feedback",
                &json!({"project": project, "message": message}),
            );
            let Some(created) = created else { continue };
            let feedback = text(&created.json(), "id").to_owned();
            self.note(project, &feedback, "feedback.created");
            if number.is_multiple_of(10) {
                let path = format!("/api/v1/feedback/{feedback}");
                let reviewed = json!({"status": "REVIEWED"});
                if self.call(&connection, "PATCH", &path, &reviewed).is_some() {
                    self.note(project, &feedback, "feedback.updated");
                }
            }
        }
    }

    fn url(&self) -> Option<String> {
        let target = self.target.lock().unwrap();
        (!target.over).then(|| target.url.clone())
    }

    /// The answer, if it is a success. One that never came tells nothing: the change may be stored or not.
    fn call(
        &self,
        (url, client): &(String, Client),
        method: &str,
        path: &str,
        body: &Value,
    ) -> Option<Answer> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        let body = body.to_string();
        let answer = client.try_send(
            method,
            &format!("{url}{path}"),
            &headers,
            Some(body.as_bytes()),
        );
        match answer {
            Ok(answer) if matches!(answer.status, 200 | 201) => return Some(answer),
            Ok(answer) => {
                let mut refused = self.refused.lock().unwrap();
                refused.entry(answer.status).or_default().push(answer);
            }
            Err(_) => {}
        }
        let target = self.target.lock().unwrap();
        if target.url == *url && !target.over {
            drop(self.changed.wait_timeout(target, BREATH));
        }
        None
    }

    fn note(&self, project: &'static str, feedback: &str, event: &'static str) {
        self.acknowledged.lock().unwrap().push(Acknowledged {
            project,
            feedback: feedback.to_owned(),
            event,
        });
    }
}
