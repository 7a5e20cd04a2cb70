//! Errors of the service as messages that name what to fix.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use berth_process::printable;
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What the service refused, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    /// The machine-readable reason; empty for none.
    reason: String,
    /// Whether it was the connection that failed.
    is_lost_connection: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Error for Refusal {}

/// Unwraps a response, or turns the status into a message.
pub(crate) trait Answer<T> {
    fn answer(self) -> Result<T, Refusal>;
}

impl<T> Answer<T> for Result<Response<T>, Status> {
    fn answer(self) -> Result<T, Refusal> {
        self.map(Response::into_inner).map_err(|status| Refusal::from(&status))
    }
}

/// Whether the service found no host for the request.
pub(crate) fn is_no_host(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.reason == "NO_VALID_HOST")
}

/// Whether the connection to the service failed, rather than the service refused something.
pub(super) fn is_lost_connection(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.is_lost_connection)
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let mut message = what(status, &details);
        if let Some(hint) = hint(status, &details, &reason) {
            message = format!("{message}\n{hint}");
        }
        Self { message, reason, is_lost_connection: status.source().is_some() }
    }
}

/// What happened.
fn what(status: &Status, details: &ErrorDetails) -> String {
    if let Some(cause) = status.source() {
        return format!("the connection to the service failed: {}", root_cause(cause));
    }
    // A message of another machine stays on one line.
    let line = |text: &str| printable::line(text).into_owned();
    if let Some(bad) = details.bad_request().filter(|bad| !bad.field_violations.is_empty()) {
        let fields = bad.field_violations.iter();
        let fields: Vec<_> =
            fields.map(|one| format!("{}: {}", line(&one.field), line(&one.description))).collect();
        return fields.join("\n");
    }
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    match details.error_info() {
        Some(info) => format!("{} ({}){}", line(message), line(&info.reason), facts(&info.metadata)),
        None => line(message),
    }
}

#[expect(clippy::disallowed_types, reason = "the type of the details; its entries are put in order")]
fn facts(metadata: &std::collections::HashMap<String, String>) -> String {
    let facts: BTreeMap<_, _> = metadata.iter().collect();
    facts
        .into_iter()
        .map(|(name, value)| format!("\n  {}: {}", printable::line(name), printable::line(value)))
        .collect()
}

/// The command or page that helps.
fn hint(status: &Status, details: &ErrorDetails, reason: &str) -> Option<String> {
    let by_reason = match reason {
        "NO_VALID_HOST" => {
            Some("`berth explain`, with the same options, shows which changes would find a host.")
        }
        "QUOTA_EXCEEDED" => Some("`berth quota show` shows the quota and the usage of the project."),
        "AGENT_CONNECTED" => Some("Stop the host's agent first."),
        "LOCKED" => Some("`berth server unlock` unlocks it."),
        _ => None,
    };
    let by_code = || match status.code() {
        Code::NotFound => details.resource_info().and_then(|resource| list_of(&resource.resource_type)),
        Code::PermissionDenied | Code::Unauthenticated => Some(
            "docs/tls.md lists the roles and their rights, and how to get a certificate (--cert, --key).",
        ),
        Code::Unimplemented => {
            Some("The service does not know this call: it is another version than this command.")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            Some("The service did not answer in time; the operation may still complete.")
        }
        Code::Aborted => Some("Another request changed it in the meantime: read it again, and retry."),
        _ => None,
    };
    by_reason.or_else(by_code).map(ToOwned::to_owned)
}

/// The command that lists what exists.
fn list_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "host" => "`berth host list` lists the hosts.",
        "aggregate" => "`berth aggregate list` lists the aggregates.",
        "flavor" => "`berth flavor list` lists the flavors.",
        "server group" => {
            "`berth server-group list --all-projects` lists the server groups and their projects."
        }
        "instance" => "`berth server list --all-projects` lists the servers and their projects.",
        _ => return None,
    })
}

/// The last of a chain of causes, which is the most specific one.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
