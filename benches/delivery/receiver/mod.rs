//! The receiver: an endpoint for up to 128 webhooks in a process of its own. Here is the side that asks; `server` answers.

mod server;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use server::{hex_signature, number, run};

use crate::Fault;
use crate::child::Role;
use crate::machine::Usage;
use crate::records::Arrival;

pub const ROLE: &str = "__receiver";

/// How many endpoints there are: `/w/0` to `/w/127`.
const ENDPOINTS: usize = 128;
/// The one that the bare loop posts to.
pub const FOR_THE_LIMIT: usize = ENDPOINTS - 1;

#[derive(Serialize, Deserialize)]
enum Order {
    /// By which an endpoint's requests are signed.
    Secret(usize, String),
    /// An endpoint takes requests and never answers.
    Hang(usize),
    /// Connections were refused until now.
    Up,
    /// Answer when so many have come in all, or after so many milliseconds.
    Wait(usize, u64),
    Take,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Those that were answered.
    pub answered: usize,
    /// Those that never are.
    pub hanging: usize,
    /// How many signatures were checked, and how many of them were wrong.
    pub checked: usize,
    pub invalid: usize,
    /// Requests that were no deliveries.
    pub unreadable: usize,
    /// All bodies together.
    pub body_bytes: u64,
}

pub struct Receiver {
    role: Role,
    port: u16,
    /// Answered before what is waited for began.
    taken: usize,
}

impl Receiver {
    /// `up`: it listens at once; else its port refuses connections.
    pub fn start(up: bool) -> Result<Self, Fault> {
        let mut role = Role::start(ROLE, &up)?;
        let port = role.hear()?;
        Ok(Self {
            role,
            port,
            taken: 0,
        })
    }

    pub fn url(&self, endpoint: usize) -> String {
        format!("http://127.0.0.1:{}/w/{endpoint}", self.port)
    }

    pub fn secret(&mut self, endpoint: usize, secret: &str) -> Result<(), Fault> {
        self.role.say(&Order::Secret(endpoint, secret.to_owned()))
    }

    pub fn hang(&mut self, endpoint: usize) -> Result<(), Fault> {
        self.role.say(&Order::Hang(endpoint))
    }

    pub fn up(&mut self) -> Result<(), Fault> {
        self.role.say(&Order::Up)
    }

    /// Waits until so many were answered since the last [`Self::take`], at most so long. Fails for a wrong signature.
    pub fn wait(&mut self, count: usize, at_most: Duration) -> Result<Count, Fault> {
        let millis = u64::try_from(at_most.as_millis())?;
        self.role.say(&Order::Wait(self.taken + count, millis))?;
        let mut come: Count = self.role.hear()?;
        if come.invalid > 0 || come.unreadable > 0 {
            return Err(format!("the receiver got what it should not: {come:?}").into());
        }
        come.answered -= self.taken;
        Ok(come)
    }

    /// Hands over what was noted of those that were answered, and begins anew.
    pub fn take(&mut self) -> Result<Vec<Arrival>, Fault> {
        self.role.say(&Order::Take)?;
        let (_, arrivals) = self.role.hear_records()?;
        self.taken += arrivals.len();
        Ok(arrivals)
    }

    pub fn usage(&self) -> Result<Usage, Fault> {
        self.role.process.usage()
    }
}
