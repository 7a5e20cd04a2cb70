//! `/allocation_candidates`: where a request would fit.

use super::call::Call;
use super::schemas;
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::policy::rules;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(10)?;
    call.takes_json()?;
    call.may(rules::CANDIDATES_LIST)?;
    call.query.check(&schemas::candidate_query(call.version))?;
    Err(Failure::no_such_resource())
}
