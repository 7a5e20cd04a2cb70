//! Claims: the allocations that consumers request.

use std::slice;

use berth_api::v1;
use berth_api::v1::claim_result::Outcome;
use berth_placement::{ConsumerWrite, ExpectedGeneration, Refusal, Topology, TransferError};
use tonic::Status;

use super::{MOST_CONSUMERS, at_length, wanted};
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::request::message;
use crate::request::transfer;

/// Executes the claims one after the other, or all of them as one; one wait makes all durable.
pub(super) fn claim(call: &Call<'_>, request: &v1::ClaimRequest) -> Result<v1::ClaimResponse, Status> {
    let v1::ClaimRequest { claims, all_or_nothing } = request;
    field::at_most("claims", claims.len(), MOST_CONSUMERS)?;
    let topology = call.index.topology();
    let read =
        |claim| wanted::read(call.index, &topology, claim).map_err(|why| result(Outcome::Invalid, why));
    let results = at_length(claims.len(), || {
        if *all_or_nothing {
            return together(call, &topology, claims.iter().map(read).collect());
        }
        let one = |claim| read(claim).and_then(|write| alone(call, &topology, &write));
        claims.iter().map(|claim| one(claim).unwrap_or_else(|refusal| refusal)).collect()
    });
    Ok(v1::ClaimResponse { results })
}

fn alone(
    call: &Call<'_>,
    topology: &Topology,
    write: &ConsumerWrite,
) -> Result<v1::ClaimResult, v1::ClaimResult> {
    match transfer(call.index, slice::from_ref(write), call.now) {
        Ok(()) => Ok(granted()),
        Err(error) => Err(refused(&error, topology)),
    }
}

fn together(
    call: &Call<'_>,
    topology: &Topology,
    claims: Vec<Result<ConsumerWrite, v1::ClaimResult>>,
) -> Vec<v1::ClaimResult> {
    if claims.iter().any(Result::is_err) {
        return claims.into_iter().map(|claim| claim.err().unwrap_or_else(not_tried)).collect();
    }
    let writes: Vec<ConsumerWrite> = claims.into_iter().flatten().collect();
    match transfer(call.index, &writes, call.now) {
        Ok(()) => writes.iter().map(|_| granted()).collect(),
        Err(error) => {
            let refusal = refused(&error, topology);
            let verdict = |write| if concerns(&error, write) { refusal.clone() } else { not_tried() };
            writes.iter().map(verdict).collect()
        }
    }
}

/// Whether the claim has part in what was refused.
fn concerns(error: &TransferError, write: &ConsumerWrite) -> bool {
    match *error {
        TransferError::ConsumerGeneration { consumer, .. } | TransferError::WrittenTwice(consumer) => {
            write.consumer == consumer
        }
        TransferError::Refused(
            Refusal::NoInventory { row, class }
            | Refusal::Units { row, class, .. }
            | Refusal::Capacity { row, class, .. },
        ) => write.allocations.iter().any(|wanted| (wanted.row, wanted.class) == (row, class)),
        TransferError::Group(_) => true,
    }
}

fn refused(error: &TransferError, topology: &Topology) -> v1::ClaimResult {
    let outcome = match error {
        // Another client has written it since it was read.
        TransferError::ConsumerGeneration { .. } => Outcome::Conflict,
        // The request itself is contradictory.
        TransferError::WrittenTwice(_) | TransferError::Refused(Refusal::NoInventory { .. }) => {
            Outcome::Invalid
        }
        // The group, capacity or the rules for units do not allow it now.
        TransferError::Group(_) | TransferError::Refused(_) => Outcome::Refused,
    };
    let reason = match error {
        TransferError::Refused(refusal) => message::allocation(refusal, topology),
        TransferError::ConsumerGeneration { expected, found, .. } => conflict(*expected, *found),
        other => other.to_string(),
    };
    result(outcome, reason)
}

fn conflict(expected: ExpectedGeneration, found: Option<u64>) -> String {
    let expected = match expected {
        ExpectedGeneration::Exactly(generation) => generation,
        ExpectedGeneration::Any | ExpectedGeneration::New => 0,
    };
    format!("the consumer has generation {}, not {expected}", found.unwrap_or_default())
}

fn granted() -> v1::ClaimResult {
    result(Outcome::Granted, String::new())
}

fn not_tried() -> v1::ClaimResult {
    result(Outcome::NotTried, "another claim of the request failed".to_owned())
}

fn result(outcome: Outcome, reason: String) -> v1::ClaimResult {
    v1::ClaimResult { outcome: outcome.into(), reason }
}
