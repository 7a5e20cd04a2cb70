//! The query of allocation candidates, which both APIs accept, and how its search is bounded.

mod groups;
mod schema;

use berth_placement::candidates::{self, Query, Stop, UnknownName};
use uuid::Uuid;

use super::message;
use crate::error::Failure;
use crate::limits::Limits;
use crate::microversion::Microversion;
use crate::query::Query as Parameters;
use crate::service::{CandidateOptions, ServiceOptions};

/// Reads the parameters of a query, of at most `most_groups` groups.
pub(crate) fn read(
    parameters: &Parameters,
    version: Microversion,
    most_groups: usize,
) -> Result<Query, Failure> {
    parameters.check(schema::QUERY.at(version))?;
    groups::read(parameters, version, most_groups)
}

/// The options of a search.
pub(crate) fn options(options: &ServiceOptions, stop: Stop) -> candidates::SearchOptions {
    let CandidateOptions { strategy, max, randomize } = options.candidates;
    #[expect(clippy::disallowed_methods, reason = "the option asks for responses in a random order")]
    let seed = randomize.then(|| Uuid::new_v4().as_u64_pair().0);
    candidates::SearchOptions {
        strategy,
        max_candidates: max,
        work: options.limits.candidate_work,
        seed,
        stop: Some(stop),
    }
}

/// The response to a search would have more bytes than permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response would have more than {0} bytes; set a smaller `limit` in the query")]
pub(crate) struct ResponseTooLong(pub(crate) usize);

/// The message of a search that took too long.
pub(crate) fn out_of_time(limits: &Limits) -> String {
    let seconds = limits.candidate_time.as_secs_f64();
    format!(
        "more than {seconds} seconds are needed to find the allocation candidates; set a smaller `limit` in the \
         query, or request fewer groups"
    )
}

/// The refusal of a query that names an unknown class or trait.
pub(crate) fn unknown_name(unknown: &UnknownName) -> Failure {
    Failure::bad_request(match unknown {
        UnknownName::Class(name) => {
            format!("Invalid resource class in resources parameter: {}", message::no_such_class(name))
        }
        UnknownName::Trait(name) => message::no_such_trait(name),
    })
}
