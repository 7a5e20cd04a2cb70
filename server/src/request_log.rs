//! Recent requests of Nova's conductors, for operators.

use std::sync::Arc;

/// Knows the recent requests.
pub trait RequestLog: Send + Sync {
    /// Those that are kept, oldest first.
    fn recent(&self) -> Vec<ServedRequest>;
}

/// A request, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedRequest {
    /// When it arrived, microseconds since 1970.
    pub arrived_us: u64,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// The id of the request to Nova's API.
    pub request_id: String,
    /// The instances.
    pub instances: Vec<String>,
    /// The project.
    pub project: String,
    /// The flavor.
    pub flavor: String,
    /// The chosen host of each instance; none if it was refused.
    pub chosen: Vec<String>,
    /// The refusal that the caller received; empty if hosts were chosen.
    pub refusal: String,
    /// How many hosts each constraint removed, in order.
    pub removed: Vec<(String, u32)>,
    /// How many hosts there were.
    pub hosts: u32,
    /// How many instances had found a host before one found none.
    pub placed: u32,
    /// Why no host serves an instance of the request, as `berth explain --json` prints it, if it
    /// was explained.
    pub explanation: Option<Arc<str>>,
}
