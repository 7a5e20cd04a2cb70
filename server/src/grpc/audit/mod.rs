//! The lines of calls in the audit log.
//!
//! The guard begins the record of a call that may change something,
//! [`call::write`](super::call::write) adds the subject of the request, and the line is written
//! when the response begins, or when the client is gone.
//!
//! Claims and decisions are logged at the level `debug`: there may be ten thousands of them in a
//! second, and the consumer's record names its project and user.

mod subject;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::http::{Extensions, HeaderValue, Response};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::access::Access;
use super::identity::{Caller, CallerKey, peer};
use super::status::code_name;
use crate::audit::TARGET;

pub(super) use self::subject::{Audited, Subject};

/// The header of a response with the id of the line.
const REQUEST_ID: &str = "x-request-id";

/// Calls that are logged at the level `debug`.
const FREQUENT: [&str; 4] = [
    "/berth.v1.Placement/Claim",
    "/berth.v1.Placement/Release",
    "/berth.v1.Scheduler/Schedule",
    "/berth.v1.Scheduler/ScheduleStream",
];

/// A call that may change something.
pub(super) struct AuditRecord {
    request_id: String,
    method: String,
    caller: Option<Caller>,
    certificate: CallerKey,
    address: Option<SocketAddr>,
    subject: OnceLock<Subject>,
    start: Instant,
}

/// Writes the line of a call at its end.
pub(super) struct Auditing {
    record: Arc<AuditRecord>,
    outcome: Option<Status>,
}

impl Auditing {
    /// Begins the record of a call that was admitted or refused. Returns `None` if the call changes
    /// nothing, or is not logged.
    pub(super) fn begin(method: &str, call: &Extensions, start: Instant) -> Option<Self> {
        let access = Access::of(method)?;
        if !matches!(access, Access::Use | Access::Operate) || !is_logged(method) {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "a request id must be unique; no result depends on it")]
        let request_id = format!("req-{}", Uuid::new_v4());
        let record = AuditRecord {
            request_id,
            method: method.to_owned(),
            caller: call.get().cloned().or_else(|| Caller::of(call).ok()),
            certificate: CallerKey::noted(call),
            address: peer(call).and_then(|peer| peer.address),
            subject: OnceLock::new(),
            start,
        };
        Some(Self { record: Arc::new(record), outcome: None })
    }

    /// The record, to which the handler of the call adds its subject.
    pub(super) fn record(&self) -> Arc<AuditRecord> {
        Arc::clone(&self.record)
    }

    /// Ends the record with the outcome of the call, and adds the id to the response.
    pub(super) fn end(mut self, outcome: Status, response: &mut Response<Body>) {
        self.outcome = Some(outcome);
        if let Ok(id) = HeaderValue::from_str(&self.record.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

/// Notes what a request is about.
pub(super) fn note<Q: Audited>(request: &Request<Q>) {
    if let Some(record) = request.extensions().get::<Arc<AuditRecord>>() {
        record.subject.get_or_init(|| request.get_ref().subject());
    }
}

fn is_frequent(method: &str) -> bool {
    FREQUENT.contains(&method)
}

fn is_logged(method: &str) -> bool {
    if is_frequent(method) {
        tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
    } else {
        tracing::enabled!(target: TARGET, tracing::Level::INFO)
    }
}

impl Drop for Auditing {
    fn drop(&mut self) {
        let AuditRecord { request_id, method, caller, certificate, address, subject, start } = &*self.record;
        let error = self.outcome.as_ref().map(Status::message).filter(|message| !message.is_empty());
        macro_rules! line {
            ($level:expr, $message:literal) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    request_id,
                    method = method.trim_start_matches('/'),
                    object = subject.get().map(|subject| &*subject.object),
                    project = subject.get().and_then(|subject| subject.project.as_deref()),
                    change = subject.get().and_then(|subject| subject.change.as_deref()),
                    outcome = self.outcome.as_ref().map(|status| code_name(status.code())),
                    error,
                    role = caller.as_ref().map(Caller::role),
                    host = caller.as_ref().and_then(Caller::host),
                    certificate = certificate.fingerprint(),
                    address = address.map(tracing::field::display),
                    microseconds = u64::try_from(start.elapsed().as_micros()).ok(),
                    $message
                )
            };
        }
        match (self.outcome.is_some(), is_frequent(method)) {
            (true, false) => line!(tracing::Level::INFO, "answered"),
            (true, true) => line!(tracing::Level::DEBUG, "answered"),
            (false, false) => line!(tracing::Level::INFO, "not answered: the client is gone"),
            (false, true) => line!(tracing::Level::DEBUG, "not answered: the client is gone"),
        }
    }
}

/// The outcome of a call whose response begins.
pub(super) fn outcome(response: &Response<Body>) -> Status {
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::new(Code::Ok, ""))
}
