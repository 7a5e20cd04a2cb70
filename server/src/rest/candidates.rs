//! `/allocation_candidates`: where a request would fit.

use berth_placement::Topology;
use berth_placement::candidates::{
    Candidate, Candidates, Options, ProviderSummary, Query, UnknownName, WorkExceeded,
};
use bytes::Bytes;
use uuid::Uuid;

use super::call::Call;
use super::{groups, refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::json::Writer;
use crate::policy::rules;
use crate::service::CandidateOptions;

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
    let mut writer = Writer::with_capacity(4096);
    let mut outcome = Ok(());
    writer.object(|w| outcome = document(w, call, query, &mut candidates));
    outcome.map(|()| writer.finish()).map_err(|too_much| Failure::bad_request(too_much.to_string()))
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

fn document(
    w: &mut Writer,
    call: &Call<'_>,
    query: &Query,
    candidates: &mut Candidates<'_>,
) -> Result<(), TooMuch> {
    let mut outcome = Ok(());
    w.key("allocation_requests").array(|w| outcome = requests(w, call, query, candidates));
    outcome?;
    let summaries = candidates.summaries()?;
    w.key("provider_summaries").object(|w| {
        for of_provider in summaries {
            w.uuid_key(of_provider.provider.uuid)
                .object(|w| summary(w, call, candidates.topology(), &of_provider));
        }
    });
    Ok(())
}

fn requests(
    w: &mut Writer,
    call: &Call<'_>,
    query: &Query,
    candidates: &mut Candidates<'_>,
) -> Result<(), TooMuch> {
    let most = call.service.options.limits.candidate_bytes;
    while let Some(candidate) = candidates.next().transpose()? {
        w.object(|w| request(w, call, query, candidates.topology(), &candidate));
        if w.len() > most {
            return Err(TooMuch::Bytes(most));
        }
    }
    Ok(())
}

/// What a client can send back to claim the candidate.
fn request(w: &mut Writer, call: &Call<'_>, query: &Query, topology: &Topology, candidate: &Candidate) {
    let by_provider = || candidate.allocations.chunk_by(|a, b| a.row == b.row);
    let resources = |w: &mut Writer, of_provider: &[berth_placement::Allocation]| {
        for allocation in of_provider {
            w.key(refusals::class_name(topology, allocation.class)).integer(allocation.amount);
        }
    };
    let uuid_of =
        |row| topology.provider(row).expect("candidates take from providers of their snapshot").uuid;
    w.key("allocations");
    if call.version.at_least(12) {
        w.object(|w| {
            for of_provider in by_provider() {
                w.uuid_key(uuid_of(of_provider[0].row)).object(|w| {
                    w.key("resources").object(|w| resources(w, of_provider));
                });
            }
        });
    } else {
        w.array(|w| {
            for of_provider in by_provider() {
                w.object(|w| {
                    w.key("resource_provider").object(|w| w.key("uuid").uuid(uuid_of(of_provider[0].row)));
                    w.key("resources").object(|w| resources(w, of_provider));
                });
            }
        });
    }
    if call.version.at_least(34) {
        w.key("mappings").object(|w| {
            for (place, group) in query.groups.iter().enumerate() {
                let providers = candidate.providers(place).map(uuid_of);
                w.key(&group.suffix).array(|w| providers.for_each(|provider| w.uuid(provider)));
            }
        });
    }
}

fn summary(w: &mut Writer, call: &Call<'_>, topology: &Topology, of: &ProviderSummary<'_>) {
    w.key("resources").object(|w| {
        for class in &of.resources {
            w.key(refusals::class_name(topology, class.class)).object(|w| {
                w.key("capacity").integer(class.capacity);
                w.key("used").integer(class.used);
            });
        }
    });
    if call.version.at_least(17) {
        let names = of.provider.traits.iter().filter_map(|id| topology.traits().name(id.0));
        w.key("traits").array(|w| names.for_each(|name| w.string(name)));
    }
    if call.version.at_least(29) {
        let uuid_of = |row| topology.provider(row).map(|provider| provider.uuid);
        w.key("parent_provider_uuid").uuid_or_null(of.provider.parent.and_then(uuid_of));
        w.key("root_provider_uuid").uuid_or_null(uuid_of(of.provider.root));
    }
}
