//! `/allocation_candidates`: where a request would fit.

use berth_placement::candidates::{Options, Query, Stop, UnknownName, WorkExceeded};
use bytes::Bytes;
use uuid::Uuid;

use self::document::Document;
use super::call::Call;
use super::{groups, refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::microversion::Microversion;
use crate::policy::rules;
use crate::query::Query as Parameters;
use crate::service::{CandidateOptions, Service};

mod document;
mod request;
mod text;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(10)?;
    call.takes_json()?;
    call.may(rules::CANDIDATES_LIST)?;
    let query = read(&call.query, call.version, call.service.options.limits.request_groups)?;
    // Others go on meanwhile.
    let body = tokio::task::block_in_place(|| answer(call, &query))?;
    Ok(Reply { body: Bytes::from(body), ..Reply::status(axum::http::StatusCode::OK) }.modified(call.now))
}

/// What the parameters of a query ask for, in at most so many groups.
pub(crate) fn read(
    parameters: &Parameters,
    version: Microversion,
    most_groups: usize,
) -> Result<Query, Failure> {
    parameters.check(&schemas::candidate_query(version))?;
    groups::read(parameters, version, most_groups)
}

fn answer(call: &Call<'_>, query: &Query) -> Result<Vec<u8>, Failure> {
    let options = options(call.service, call.stop.clone());
    let mut candidates =
        call.index().candidates(query, &options).map_err(|unknown| unknown_name(&unknown))?;
    let most = call.service.options.limits.candidate_bytes;
    let answer = Document::of(&mut candidates, query, call.version, most);
    answer.map_err(|too_much| match call.stop.is_set() {
        true => Failure::bad_request(out_of_time(call.service)),
        false => Failure::bad_request(too_much.to_string()),
    })
}

/// How candidates are searched for.
pub(crate) fn options(service: &Service, stop: Stop) -> Options {
    let CandidateOptions { strategy, max, randomize } = service.options.candidates;
    #[expect(clippy::disallowed_methods, reason = "answers in a random order are what was asked for")]
    let seed = randomize.then(|| Uuid::new_v4().as_u64_pair().0);
    Options { strategy, max_candidates: max, work: service.options.limits.candidate_work, seed, stop }
}

/// What is said of a search that was ended by its time.
pub(crate) fn out_of_time(service: &Service) -> String {
    let seconds = service.options.limits.candidate_time.as_secs_f64();
    format!(
        "more than {seconds} seconds are needed to find the allocation candidates; a smaller limit or fewer request \
         groups need less"
    )
}

/// Why an answer is not finished: the request has to be narrower.
#[derive(Debug, thiserror::Error)]
enum TooMuch {
    #[error(transparent)]
    Work(#[from] WorkExceeded),
    #[error("the answer would have more than {0} bytes; a smaller limit needs fewer")]
    Bytes(usize),
}

pub(crate) fn unknown_name(unknown: &UnknownName) -> Failure {
    Failure::bad_request(match unknown {
        UnknownName::Class(name) => {
            format!("Invalid resource class in resources parameter: {}", refusals::no_such_class(name))
        }
        UnknownName::Trait(name) => refusals::no_such_trait(name),
    })
}
