//! HTTP beyond what the framework does: connections, bodies, content negotiation, CORS, responses.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod guard;
pub(crate) mod headers;
pub(crate) mod mount;
pub(crate) mod reply;
pub(crate) mod socket;
pub(crate) mod stall_guard;
