//! Rate limits in responses: the remaining quota, the error, and the `RateLimit` headers.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::rate_limit::RateLimit;

/// The scope of a rate limit: an IP address or a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    IpAddress,
    Project,
}

/// The remaining quota of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingQuota {
    pub scope: LimitScope,
    pub limit: RateLimit,
    /// Number of requests that are allowed now.
    pub count: u32,
    /// The time until one more request is allowed.
    pub wait: Duration,
}

/// The error for a request that exceeds a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} Try again in {} s.", self.reason(), self.wait_seconds())]
pub struct RateLimitExceeded(pub RemainingQuota);

impl RateLimitExceeded {
    fn reason(&self) -> &'static str {
        match self.0.scope {
            LimitScope::IpAddress => "Too much feedback from your IP address.",
            LimitScope::Project => "Too much feedback for this project.",
        }
    }

    /// Returns the time to wait in seconds, rounded up to at least 1.
    pub fn wait_seconds(&self) -> u64 {
        round_up_to_seconds(self.0.wait)
    }
}

/// Rounds a duration up to whole seconds, at least 1, so that a client that waits this long is
/// accepted.
fn round_up_to_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), and the three
/// older headers that most clients still read. `RateLimit` and the older headers describe the limit
/// with the smallest remaining quota.
pub fn add_rate_limit_headers(headers: &mut HeaderMap, quotas: &[RemainingQuota]) {
    let Some(tightest) = quotas
        .iter()
        .min_by_key(|quota| (quota.count, quota.limit.period))
    else {
        return;
    };
    let policy = |quota: &RemainingQuota| {
        let (count, seconds) = (quota.limit.count, quota.limit.period.as_secs());
        format!("{};q={count};w={seconds}", policy_name(quota))
    };
    let policies: Vec<String> = quotas.iter().map(policy).collect();
    let (count, wait) = (tightest.count, round_up_to_seconds(tightest.wait));
    let tightest_name = policy_name(tightest);
    for (header, value) in [
        ("ratelimit-policy", policies.join(", ")),
        ("ratelimit", format!("{tightest_name};r={count};t={wait}")),
        ("ratelimit-limit", tightest.limit.count.to_string()),
        ("ratelimit-remaining", count.to_string()),
        ("ratelimit-reset", wait.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
}

fn policy_name(quota: &RemainingQuota) -> String {
    let limit = quota.limit;
    match quota.scope {
        LimitScope::IpAddress => format!("\"address {limit}\""),
        LimitScope::Project => format!("\"project {limit}\""),
    }
}
