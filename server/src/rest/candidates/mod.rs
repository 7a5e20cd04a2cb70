//! `/allocation_candidates`: the providers that can serve a request.
//!
//! The path of a search, in the order of the calls:
//!
//! 1. `pipeline.rs` authenticates the caller. The request waits for its turn (`turns.rs`) and moves
//!    to a search thread (`searches.rs`).
//! 2. [`list`] parses the query into request groups (`request/candidates/`).
//! 3. `Index::candidates` compiles names to numbers and finds the trees that may match. It searches
//!    one tree at a time, when the next candidate is requested.
//! 4. [`Document`] writes each candidate to bytes as it is found, then the summaries of the
//!    providers.

use berth_placement::candidates::{Query, WorkExceeded};
use bytes::Bytes;

use self::document::Document;
use super::call::Call;
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::policy::rules;
use crate::request::candidates::{ResponseTooLong, options, out_of_time, read, unknown_name};

mod document;
mod request;
mod text;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(10)?;
    call.takes_json()?;
    call.may(rules::CANDIDATES_LIST)?;
    let query = read(&call.query, call.version, call.service.options.limits.request_groups)?;
    let body = answer(call, &query)?;
    Ok(Reply { body: Bytes::from(body), ..Reply::status(axum::http::StatusCode::OK) }.modified(call.now))
}

fn answer(call: &Call<'_>, query: &Query) -> Result<Vec<u8>, Failure> {
    let options = options(&call.service.options, call.stop.clone());
    let mut candidates = call.index.candidates(query, &options).map_err(|unknown| unknown_name(&unknown))?;
    let most = call.service.options.limits.candidate_bytes;
    let answer = Document::of(&mut candidates, query, call.version, most);
    answer.map_err(|too_much| match call.stop.is_set() {
        true => Failure::bad_request(out_of_time(&call.service.options.limits)),
        false => Failure::bad_request(too_much.to_string()),
    })
}

/// The reason why a response is incomplete: the request must be narrower.
#[derive(Debug, thiserror::Error)]
enum TooMuch {
    #[error(transparent)]
    Work(#[from] WorkExceeded),
    #[error(transparent)]
    Bytes(#[from] ResponseTooLong),
}
