//! What pages and API share: the parts that a handler works with, links, who a request comes from, and who may do what.

pub mod access;
pub mod health;
pub mod links;
pub mod origin;
pub mod request_id;
mod store_faults;
pub mod tokens;

use crate::clock::Clock;
use crate::delivery;
use crate::store::Store;
use links::Links;
use origin::TrustedProxies;

/// What every handler may need; one a process, shared by all workers.
pub struct Site {
    pub store: Store,
    pub clock: Clock,
    pub delivery: delivery::Handle,
    pub links: Links,
    pub proxies: TrustedProxies,
}
