//! Errors of a decision as the exceptions that Nova's conductor expects.

use berth_nova_rpc::RpcFailure;
use berth_scheduler::decider::{DecideError, NoHost};
use berth_scheduler::placement_query::QueryError;
use berth_scheduler::select::SelectError;
use uuid::Uuid;

use crate::decisions::{Asked, Refused};

/// Nova's text for users. How many hosts each constraint removed is for operators.
const NOT_ENOUGH: &str = "There are not enough hosts available.";

/// The exception for the caller. `instance` is the first instance of the request.
fn failure(error: &DecideError, instance: &str) -> RpcFailure {
    match error {
        DecideError::Hosts(error) => RpcFailure::exception("RuntimeError", &error.to_string()),
        DecideError::Query(QueryError::RequestFilterFailed(reason)) => RpcFailure::no_valid_host(reason),
        DecideError::Query(error) => RpcFailure::exception(error.nova_class(), &error.to_string()),
        DecideError::NoHost(none) => no_host(none, instance),
        // Requests of Nova name no group of the index, and are decided by Nova's rules.
        DecideError::Group(_) | DecideError::Place(_) | DecideError::Unexplained => {
            RpcFailure::exception("RuntimeError", &error.to_string())
        }
    }
}

fn no_host(none: &NoHost, instance: &str) -> RpcFailure {
    match &none.error {
        SelectError::NoValidHost { placed, .. } => {
            // Without any candidate of Placement, Nova gives no reason.
            let had_candidates = *placed > 0 || none.removed.iter().any(|(_, count)| *count > 0);
            RpcFailure::no_valid_host(if had_candidates { NOT_ENOUGH } else { "" })
        }
        SelectError::Outrun { .. } => RpcFailure::no_valid_host(NOT_ENOUGH),
        SelectError::Refused(error) => RpcFailure::allocation_update_failed(instance, &error.to_string()),
        other => match other.nova_exception() {
            Some(exception) => {
                let message = exception.message.unwrap_or_else(|| other.to_string());
                RpcFailure::exception(exception.class, &message)
            }
            None => RpcFailure::exception("RuntimeError", &other.to_string()),
        },
    }
}

/// The exception for the caller, and the explanation for operators.
pub(crate) fn refused(error: &DecideError, asked: &Asked<'_>) -> Refused {
    let instance = asked.instances.first().map(Uuid::to_string).unwrap_or_default();
    let (removed, hosts) = removed(error);
    let is_explicable = matches!(error, DecideError::NoHost(_) | DecideError::Query(_));
    Refused { failure: failure(error, &instance), removed, hosts, placed: placed(error), is_explicable }
}

/// How many instances of the request had found a host before one found none.
fn placed(error: &DecideError) -> usize {
    match error {
        DecideError::NoHost(none) => match none.error {
            SelectError::NoValidHost { placed, .. } => placed,
            _ => 0,
        },
        _ => 0,
    }
}

/// How many hosts each constraint removed, and how many there were.
fn removed(error: &DecideError) -> (Vec<(String, usize)>, usize) {
    match error {
        DecideError::NoHost(none) => (none.counts(), none.hosts),
        _ => (Vec::new(), 0),
    }
}
