//! Hosts that were tried before.

use serde::Deserialize;

/// The history of a request that is tried again. Nova 34 has no filter that reads it; `RetryFilter`
/// of older releases did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// How often scheduling was tried, this time included.
    pub num_attempts: u32,
    /// Service host and node of each attempt.
    pub hosts: Vec<(String, Option<String>)>,
}
