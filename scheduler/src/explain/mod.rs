//! Why a request found its host, or none.
//!
//! [`explain`] reports, for a request before a fleet, how many hosts each constraint removed, in
//! the order of the pipeline; what stood against a named host, and by how much; the weights of the
//! best hosts; and, if there is none, the smallest changes that would find one ([`Relaxation`]).
//!
//! Nothing here knows how a decision is searched. Everything is computed again from the
//! [`Scene`](super::filters::Scene) by the very filters and weighers that decide: counts by passes
//! over all hosts, a named host by a pass over that host, a relaxation by a pass under the changed
//! request. So an explanation cannot drift from decisions, however those are sped up.

mod case;
mod change;
mod constraint;
mod explanation;
mod placement;
mod question;
mod relax;
mod shape;
mod sizes;
mod standing;
mod tenant;

pub use case::{Case, CaseRecord, InvalidCase};
pub use change::Change;
pub use constraint::Constraint;
pub use explanation::{Blocked, Ending, Explanation, HostVerdict, Relaxation, Relaxations, Removed};
pub use placement::{
    InvalidProvider, PlacementAnswer, PlacementConstraint, PlacementFacts, ReducedQuery, reduced_queries,
};
pub use question::Question;
pub use shape::HostModel;
pub use standing::{Score, Standing};
pub use tenant::{TenantExplanation, TenantRelaxation, TenantRemoved, TenantResult};

use crate::hosts::HostRow;
use crate::weighers::weigh_in_detail;

/// The contents of an explanation beside the counts.
#[derive(Debug, Clone)]
pub struct ExplanationScope {
    /// Hosts to explain one by one.
    pub hosts: Vec<HostRow>,
    /// How many of the best hosts to show with their weights.
    pub standings: usize,
}

/// Explains the question.
#[must_use]
pub fn explain(question: &Question<'_>, wanted: &ExplanationScope) -> Explanation {
    let passage = question.pass();
    let mut columns = Vec::new();
    let weighed = weigh_in_detail(&question.scene, &passage.left, |column| columns.push(column));
    let failure = weighed.as_ref().err().map(Blocked::weigher);
    let weighed = weighed.unwrap_or_default();
    let best = weighed.iter().find(|host| passage.claimable(host.row));
    let ending = match (passage.blocked.clone().or(failure), best) {
        (Some(blocked), _) => Ending::Blocked(blocked),
        (None, Some(best)) => Ending::Found { host: question.name(best.row) },
        (None, None) => Ending::NoHost,
    };
    let relaxations = (!matches!(ending, Ending::Found { .. })).then(|| relax::relaxations(question));
    let best = &weighed[..weighed.len().min(wanted.standings)];
    let standings = standing::standings(question, &passage.left, best, &columns);
    Explanation {
        hosts: question.scene.hosts.len(),
        ending,
        removed: passage.removed,
        not_judged: passage.not_judged,
        verdicts: wanted.hosts.iter().map(|&row| question.verdict(row, &weighed)).collect(),
        standings,
        relaxations,
    }
}
