//! The audit log: who has requested a change, which, when, and with what outcome.
//!
//! It is the part of the log whose target is [`TARGET`]: one line for each request to the REST API
//! and each gRPC call that may change something, also if it is refused or its client leaves before
//! the response. So the filter `warn,audit=info` keeps all changes and omits requests that only
//! read.

/// The target of the lines, which filters of the log name.
pub(crate) const TARGET: &str = "audit";
