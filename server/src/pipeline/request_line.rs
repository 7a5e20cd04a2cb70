//! The line of a request in the log.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{REQUEST_ID, RequestHead, method_name};
use crate::audit;
use crate::microversion::Microversion;
use crate::request::Purpose;

/// Writes the line when the request has been answered, or when its client is gone: what the
/// request changed stays then.
pub(super) struct RequestLine {
    head: Arc<RequestHead>,
    start: Instant,
    answer: Option<(StatusCode, Option<Microversion>)>,
}

impl RequestLine {
    pub(super) const fn new(head: Arc<RequestHead>, start: Instant) -> Self {
        Self { head, start, answer: None }
    }

    pub(super) fn answered(mut self, status: StatusCode, version: Option<Microversion>) {
        self.answer = Some((status, version));
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        let Self { head, start, answer } = self;
        macro_rules! line {
            ($target:expr, $message:literal) => {{
                let identity = head.identity.get();
                let user = identity.map(|identity| &*identity.user_id).filter(|user| !user.is_empty());
                tracing::info!(
                    target: $target,
                    request_id = head.request_id,
                    global_request_id = global_request_id(&head.parts.headers),
                    method = method_name(&head.parts.method),
                    uri = %head.parts.uri,
                    status = answer.map(|(status, _)| status.as_u16()),
                    microversion = answer.and_then(|(_, version)| version).map(tracing::field::display),
                    user,
                    project = identity.and_then(|identity| identity.project_id.as_deref()),
                    address = head.address.get().map(tracing::field::display),
                    // As u128, JSON would have it as text.
                    microseconds = u64::try_from(start.elapsed().as_micros()).ok(),
                    $message
                )
            }};
        }
        match (answer.is_some(), head.purpose() == Purpose::Write) {
            (true, true) => line!(audit::TARGET, "answered"),
            (true, false) => line!("berth_server::pipeline", "answered"),
            (false, true) => line!(audit::TARGET, "not answered: the client is gone"),
            (false, false) => line!("berth_server::pipeline", "not answered: the client is gone"),
        }
    }
}

/// The id that a client such as Nova gives to all requests that serve one of its own.
fn global_request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_valid = |uuid: &str| uuid.len() == Hyphenated::LENGTH;
    id.strip_prefix("req-").filter(|uuid| is_valid(uuid) && Uuid::try_parse(uuid).is_ok()).map(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_global_id_is_an_id() {
        let found = |id: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID.parse().unwrap(), id.parse().unwrap())]);
            global_request_id(&headers).is_some()
        };
        assert!(found("req-01234567-89ab-cdef-0123-456789abcdef"));
        for other in
            ["", "req-", "01234567-89ab-cdef-0123-456789abcdef", "req-0123456789abcdef0123456789abcdef"]
        {
            assert!(!found(other), "{other}");
        }
    }
}
