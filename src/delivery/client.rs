//! The only user of awc.
use crate::domain::delivery::*;
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::endpoint_url::EndpointUrl;
use std::sync::Arc;
use std::time::Duration;
pub struct Sender;
impl Sender {
    pub fn new(
        _tls: Arc<rustls::ClientConfig>,
        _policy: Arc<EgressPolicy>,
        _timeout: Duration,
    ) -> Self {
        Self
    }
    pub fn endpoint(&self, _url: &EndpointUrl) -> Endpoint {
        Endpoint
    }
}
pub struct Endpoint;
impl Endpoint {
    pub async fn attempt(&self, _request: &SignedRequest) -> AttemptResult {
        AttemptResult {
            outcome: Outcome::ConnectionRefused,
            duration: Duration::ZERO,
            timings: Timings::default(),
            answer: None,
        }
    }
}
