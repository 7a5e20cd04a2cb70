//! Refusals of the service, in words that say what to mend.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What the service refused, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    /// The reason by which programs tell refusals apart; empty for none.
    reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Error for Refusal {}

/// An answer without its envelope, or the refusal in words.
pub(crate) trait Answer<T> {
    fn told(self) -> Result<T, Refusal>;
}

impl<T> Answer<T> for Result<Response<T>, Status> {
    fn told(self) -> Result<T, Refusal> {
        self.map(Response::into_inner).map_err(|status| Refusal::from(&status))
    }
}

/// Whether the service found no host for what was asked.
pub(crate) fn is_no_host(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.reason == "NO_VALID_HOST")
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let mut message = what(status, &details);
        if let Some(hint) = hint(status, &details, &reason) {
            message = format!("{message}\n{hint}");
        }
        Self { message, reason }
    }
}

/// What happened.
fn what(status: &Status, details: &ErrorDetails) -> String {
    if let Some(cause) = status.source() {
        return format!("the connection to the service failed: {}", root_cause(cause));
    }
    if let Some(bad) = details.bad_request().filter(|bad| !bad.field_violations.is_empty()) {
        let fields = bad.field_violations.iter();
        let fields: Vec<_> = fields.map(|one| format!("{}: {}", one.field, one.description)).collect();
        return fields.join("\n");
    }
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    match details.error_info() {
        Some(info) => format!("{message} ({}){}", info.reason, facts(&info.metadata)),
        None => message.to_owned(),
    }
}

#[expect(clippy::disallowed_types, reason = "the type of the details; its entries are put in order")]
fn facts(metadata: &std::collections::HashMap<String, String>) -> String {
    let facts: BTreeMap<_, _> = metadata.iter().collect();
    facts.into_iter().map(|(name, value)| format!("\n  {name}: {value}")).collect()
}

/// What would be valid, or what to look at.
fn hint(status: &Status, details: &ErrorDetails, reason: &str) -> Option<String> {
    let by_reason = match reason {
        "NO_VALID_HOST" => Some("`berth explain`, with the same options, says what would find a host."),
        "QUOTA_EXCEEDED" => Some("`berth quota show` says what the project may have, and has."),
        "AGENT_CONNECTED" => Some("Stop the host's agent first."),
        "LOCKED" => Some("`berth server unlock` unlocks it."),
        _ => None,
    };
    let by_code = || match status.code() {
        Code::NotFound => details.resource_info().and_then(|resource| list_of(&resource.resource_type)),
        Code::PermissionDenied | Code::Unauthenticated => {
            Some("docs/tls.md says which role may do what, and how to get its certificate (--cert, --key).")
        }
        Code::Unimplemented => Some("The service is of another version than this command."),
        Code::DeadlineExceeded | Code::Cancelled => {
            Some("The service did not answer in time; it may be done yet.")
        }
        Code::Aborted => Some("Somebody else changed it meanwhile: look at it, and try again."),
        _ => None,
    };
    by_reason.or_else(by_code).map(ToOwned::to_owned)
}

/// The command that says what there is.
fn list_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "host" => "`berth host list` says which there are.",
        "aggregate" => "`berth aggregate list` says which there are.",
        "flavor" => "`berth flavor list` says which there are.",
        "server group" => {
            "`berth server-group list --all-projects` says which there are, and of which project."
        }
        "instance" => "`berth server list --all-projects` says which there are, and of which project.",
        _ => return None,
    })
}

/// The last of a chain of causes, which says most.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
