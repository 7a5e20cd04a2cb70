//! Where a request would fit.

use berth_api::v1;
use berth_placement::candidates::{Candidates, Query, Stop};
use prost::Message;
use tonic::{Code, Status};

use crate::amounts;
use crate::grpc::call::{Call, DECODED};
use crate::grpc::status::{bad_field, refused_with};
use crate::microversion::Microversion;
use crate::query::Query as Parameters;
use crate::request::candidates;

pub(super) fn find(
    call: &Call<'_>,
    wanted: &v1::FindCandidatesRequest,
    stop: &Stop,
) -> Result<v1::FindCandidatesResponse, Status> {
    let query = read(call, &wanted.query)?;
    search(call, &query, stop)
}

fn read(call: &Call<'_>, text: &str) -> Result<Query, Status> {
    let limits = &call.service.options.limits;
    let query = Parameters::parse(text, limits)
        .and_then(|parameters| candidates::read(&parameters, Microversion::MAX, limits.request_groups));
    query.map_err(|failure| bad_field("query", failure.detail))
}

fn search(call: &Call<'_>, query: &Query, stop: &Stop) -> Result<v1::FindCandidatesResponse, Status> {
    let options = candidates::options(&call.service.options, stop.clone());
    let found = call.index.candidates(query, &options);
    let found = found.map_err(|unknown| bad_field("query", candidates::unknown_name(&unknown).detail))?;
    // They take more memory here than as JSON.
    let candidates = collect(found, call.service.options.limits.candidate_bytes / DECODED);
    if candidates.is_err() && stop.is_set() {
        let time = call.service.options.limits.candidate_time.as_secs().to_string();
        return Err(too_much("CANDIDATE_TIME", candidates::out_of_time(&call.service.options.limits), time));
    }
    let candidates = candidates?;
    Ok(v1::FindCandidatesResponse { candidates })
}

/// All of them, in about `most` bytes.
fn collect(mut found: Candidates<'_>, most: usize) -> Result<Vec<v1::Candidate>, Status> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(candidate) = found.next() {
        let candidate = candidate
            .map_err(|error| too_much("CANDIDATE_WORK", error.to_string(), error.limit.to_string()))?;
        let allocations = amounts::allocations(found.topology(), candidate.allocations.to_vec());
        let message = v1::Candidate { allocations };
        bytes += message.encoded_len();
        if bytes > most {
            let error = candidates::ResponseTooLong(most).to_string();
            return Err(too_much("CANDIDATE_BYTES", error, most.to_string()));
        }
        messages.push(message);
    }
    Ok(messages)
}

fn too_much(reason: &str, message: String, limit: String) -> Status {
    refused_with(Code::ResourceExhausted, reason, message, [("limit", limit)])
}
