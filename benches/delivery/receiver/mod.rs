//! The receiver: 128 endpoints in a separate process. This module starts and controls the process;
//! the module `server` contains the code of the process.

mod server;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use server::{run, ulid_number};

use crate::Error;
use crate::process::Helper;
use crate::protocol::Arrival;
use crate::system::Usage;

pub const ROLE: &str = "__receiver";

/// The number of endpoints: `/w/0` to `/w/127`.
const ENDPOINTS: usize = 128;
/// The number of the endpoint that the bare loop sends requests to.
pub const BASELINE_ENDPOINT: usize = ENDPOINTS - 1;

#[derive(Serialize, Deserialize)]
enum Command {
    /// Sets the secret that the requests to an endpoint are signed with.
    SetSecret(usize, String),
    /// Makes an endpoint accept requests without ever responding.
    Hang(usize),
    /// Starts listening. Before that, connections are refused.
    Listen,
    /// Responds with [`Counts`] when this many deliveries have arrived in total, or after this many
    /// milliseconds.
    Wait(usize, u64),
    TakeArrivals,
}

/// Counters of the requests received so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Deliveries that received a response.
    pub arrived: usize,
    /// Requests to hanging endpoints.
    pub hanging: usize,
    /// Requests whose signature was checked.
    pub checked: usize,
    /// Requests whose signature was checked and is invalid.
    pub invalid: usize,
    /// Requests that weren't deliveries to one of the endpoints.
    pub malformed: usize,
    /// Total size of the bodies of arrived deliveries.
    pub body_bytes: u64,
}

pub struct Receiver {
    helper: Helper,
    port: u16,
    /// The number of arrivals that [`Self::take_arrivals`] has returned.
    taken: usize,
}

impl Receiver {
    /// Starts the process. Unless `listening` is true, the port refuses connections until
    /// [`Self::listen`] is called.
    pub fn start(listening: bool) -> Result<Self, Error> {
        let mut helper = Helper::start(ROLE, &listening)?;
        let port = helper.read_line()?;
        Ok(Self {
            helper,
            port,
            taken: 0,
        })
    }

    pub fn url(&self, endpoint: usize) -> String {
        format!("http://127.0.0.1:{}/w/{endpoint}", self.port)
    }

    pub fn set_secret(&mut self, endpoint: usize, secret: &str) -> Result<(), Error> {
        self.helper
            .write_line(&Command::SetSecret(endpoint, secret.to_owned()))
    }

    pub fn hang(&mut self, endpoint: usize) -> Result<(), Error> {
        self.helper.write_line(&Command::Hang(endpoint))
    }

    pub fn listen(&mut self) -> Result<(), Error> {
        self.helper.write_line(&Command::Listen)
    }

    /// Waits until `count` deliveries have arrived since the last [`Self::take_arrivals`], or until
    /// the timeout. In the returned counts, `arrived` is counted since that call, and the other
    /// counts since the process started. Fails if a request was malformed or had a wrong signature.
    pub fn wait(&mut self, count: usize, timeout: Duration) -> Result<Counts, Error> {
        let millis = u64::try_from(timeout.as_millis())?;
        self.helper
            .write_line(&Command::Wait(self.taken + count, millis))?;
        let mut counts: Counts = self.helper.read_line()?;
        if counts.invalid > 0 || counts.malformed > 0 {
            return Err(format!("the receiver received invalid requests: {counts:?}").into());
        }
        counts.arrived -= self.taken;
        Ok(counts)
    }

    /// Returns the deliveries that have arrived since the last call of this function.
    pub fn take_arrivals(&mut self) -> Result<Vec<Arrival>, Error> {
        self.helper.write_line(&Command::TakeArrivals)?;
        let (_, arrivals) = self.helper.read_records()?;
        self.taken += arrivals.len();
        Ok(arrivals)
    }

    pub fn usage(&self) -> Result<Usage, Error> {
        self.helper.process.usage()
    }
}
