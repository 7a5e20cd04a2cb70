//! Why another Placement service has no candidate: after the reply, it is asked for a part of the
//! request at a time.

use std::sync::Arc;

use berth_nova_database::NovaHosts;
use berth_scheduler::HostTable;
use berth_scheduler::explain::{Case, PlacementAnswer, ReducedQuery, reduced_queries};
use berth_scheduler::filters::RequestState;
use berth_scheduler::placement_query::PlacementQuery;

use super::candidates::RemoteCandidates;
use super::client::{PlacementClient, RemoteError};
use super::{RemoteDecisions, now};
use crate::decisions::Asked;
use crate::explanations::MakeCase;

/// Queries of one explanation at most. A request with more constraints is not explained.
const MOST: usize = 32;

impl RemoteDecisions {
    /// The request before the hosts of the last decision, as a copy that Placement is asked about
    /// later. None if the request cannot be asked.
    pub(crate) fn case(&self, hosts: &NovaHosts, asked: &Asked<'_>) -> Option<MakeCase> {
        let (_, query) = self.query(hosts, asked).ok()?;
        let (client, options) = (Arc::clone(&self.client), self.options.clone());
        let (request, now) = (asked.spec.clone(), now(asked));
        let (table, aggregates) = {
            let mut state = self.lock();
            let current = state.current(hosts, &self.options, now).ok()?;
            (current.hosts.clone(), current.aggregates.clone())
        };
        Some(Box::new(move || {
            let answered = query.map_or_else(
                || Ok((Vec::new(), RemoteCandidates::default().state(&table))),
                |query| {
                    let zone = request.availability_zone.as_ref();
                    let queries = reduced_queries(&query.request, zone, &aggregates);
                    ask(&client, &table, &query, queries)
                },
            );
            match answered {
                Ok(answered) => Some(Case::answered(table, options, request, answered, now)),
                Err(error) => {
                    tracing::warn!(%error, "a refused request is not explained");
                    None
                }
            }
        }))
    }
}

/// Asks the queries until no host is left; returns the answers, and the candidates of the whole
/// request.
fn ask(
    client: &PlacementClient,
    table: &HostTable,
    query: &PlacementQuery,
    queries: Vec<ReducedQuery>,
) -> Result<(Vec<PlacementAnswer>, RequestState), NotAsked> {
    if queries.len() > MOST {
        return Err(NotAsked::TooMany);
    }
    // A host that serves the fallback meets all constraints.
    let fallback = query.fallback.as_ref().map(|fallback| client.candidates(&fallback.to_query_string()));
    let fallback = fallback.transpose()?.unwrap_or_default();
    let mut answers: Vec<PlacementAnswer> = Vec::with_capacity(queries.len());
    let mut last = RemoteCandidates::default();
    for ReducedQuery { constraint, request } in queries {
        let is_over = answers.last().is_some_and(|answer| answer.hosts.is_empty());
        last = if is_over {
            RemoteCandidates::default()
        } else {
            client.candidates(&request.to_query_string())?
        };
        last.extend(fallback.clone());
        answers.push(PlacementAnswer { constraint, hosts: last.hosts(table) });
    }
    Ok((answers, last.state(table)))
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    /// The request has too many constraints.
    #[error("it has more than {MOST} constraints for Placement")]
    TooMany,
    /// Placement did not answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
