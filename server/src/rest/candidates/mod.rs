//! `/allocation_candidates`: where a request would fit.

use berth_placement::candidates::{Options, Query, UnknownName, WorkExceeded};
use bytes::Bytes;
use uuid::Uuid;

use self::document::Document;
use super::call::Call;
use super::{groups, refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::policy::rules;
use crate::service::CandidateOptions;

mod document;
mod text;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(10)?;
    call.takes_json()?;
    call.may(rules::CANDIDATES_LIST)?;
    call.query.check(&schemas::candidate_query(call.version))?;
    let limits = &call.service.options.limits;
    let query = groups::read(&call.query, call.version, limits.request_groups)?;
    // The search can take as long as `Options::work` allows: other requests go on meanwhile.
    let body = tokio::task::block_in_place(|| answer(call, &query))?;
    Ok(Reply { body: Bytes::from(body), ..Reply::status(axum::http::StatusCode::OK) }.modified(call.now))
}

fn answer(call: &Call<'_>, query: &Query) -> Result<Vec<u8>, Failure> {
    let options = options(call);
    let mut candidates =
        call.index().candidates(query, &options).map_err(|unknown| unknown_name(&unknown))?;
    let most = call.service.options.limits.candidate_bytes;
    let answer = Document::of(&mut candidates, query, call.version, most);
    answer.map_err(|too_much| Failure::bad_request(too_much.to_string()))
}

fn options(call: &Call<'_>) -> Options {
    let CandidateOptions { strategy, max, randomize } = call.service.options.candidates;
    #[expect(clippy::disallowed_methods, reason = "answers in a random order are what was asked for")]
    let seed = randomize.then(|| Uuid::new_v4().as_u64_pair().0);
    Options { strategy, max_candidates: max, work: call.service.options.limits.candidate_work, seed }
}

/// Why an answer is not finished: the request has to be narrower.
#[derive(Debug, thiserror::Error)]
enum TooMuch {
    #[error(transparent)]
    Work(#[from] WorkExceeded),
    #[error("the answer would have more than {0} bytes; a smaller limit needs fewer")]
    Bytes(usize),
}

fn unknown_name(unknown: &UnknownName) -> Failure {
    Failure::bad_request(match unknown {
        UnknownName::Class(name) => {
            format!("Invalid resource class in resources parameter: {}", refusals::no_such_class(name))
        }
        UnknownName::Trait(name) => refusals::no_such_trait(name),
    })
}
