//! The engine that decides and claims: on the index of Placement in this process, or in another
//! Placement service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_nova_database::NovaHosts;
use berth_nova_rpc::RpcFailure;
use berth_placement::{ConsumerId, Index};
use berth_scheduler::explain::{Case, Explanation};
use uuid::Uuid;

use crate::decisions::{Asked, Decided, Decisions, Refused};
use crate::explanations::{Explanations, MakeCase, Unexplained};
use crate::ledger::ClaimLedger;
use crate::remote::{DryDecision, RemoteDecisions};
use crate::shadow::explained;

/// Explanations that are computed at once on the index, and with another Placement service, which
/// answers many queries for each.
const EXPLANATIONS: (usize, usize) = (8, 1);

/// Decides and claims.
pub(crate) enum Engine {
    /// On the index of Placement in this process.
    Index {
        /// The index.
        ledger: Arc<dyn ClaimLedger>,
        /// One decision follows the other.
        decisions: Box<Mutex<Decisions>>,
    },
    /// In another Placement service.
    Remote(Box<RemoteDecisions>),
}

/// A decision without a claim, and what it rests on.
pub(crate) struct DryLook {
    pub(crate) decided: Decided,
    /// The hosts that pass all constraints for one instance, with their weights.
    pub(crate) weights: BTreeMap<String, f64>,
    /// The inputs of an explanation; none with another Placement service.
    pub(crate) explained: Option<(Case, Explanation)>,
    /// The index, and where its journal ended.
    pub(crate) index: Option<(Arc<Index>, u64)>,
    /// Among how many of the best hosts chance decides.
    pub(crate) subset: usize,
}

impl Engine {
    /// Chooses hosts and claims what the instances need there. A request that is refused comes with
    /// what its explanation needs.
    pub(crate) async fn decide(
        &self,
        hosts: &NovaHosts,
        asked: &Asked<'_>,
        explanations: &Explanations,
    ) -> (Decided, Option<Unexplained>) {
        match self {
            Self::Index { ledger, decisions } => {
                // A decision takes microseconds; after a change of the layout, some milliseconds.
                on_index(&**ledger, decisions, hosts, asked, explanations)
            }
            Self::Remote(remote) => {
                let decided = remote.decide(hosts, asked).await;
                let unexplained = if is_explicable(&decided) {
                    explanations.prepare(|| remote.case(hosts, asked))
                } else {
                    None
                };
                (decided, unexplained)
            }
        }
    }

    /// How many requests are explained at once.
    pub(crate) const fn explanations_at_once(&self) -> usize {
        match self {
            Self::Index { .. } => EXPLANATIONS.0,
            Self::Remote(_) => EXPLANATIONS.1,
        }
    }

    /// Decides without a claim. Nothing without an index.
    pub(crate) async fn look(&self, hosts: &NovaHosts, asked: &Asked<'_>) -> Option<DryLook> {
        match self {
            Self::Index { ledger, decisions } => {
                let index = ledger.index().ok()?;
                Some(look_on_index(index, decisions, hosts, asked))
            }
            Self::Remote(remote) => {
                let DryDecision { decided, weights } = remote.look(hosts, asked).await;
                let subset = remote.subset();
                Some(DryLook { decided, weights, explained: None, index: None, subset })
            }
        }
    }

    /// The generations of the instances, which change with every claim; none if they cannot be had.
    pub(crate) async fn generations(&self, instances: &[Uuid]) -> Option<Vec<Option<u64>>> {
        match self {
            Self::Index { ledger, .. } => {
                let index = ledger.index().ok()?;
                let generation = |&uuid: &Uuid| Some(index.consumer(ConsumerId::from(uuid))?.generation);
                Some(instances.iter().map(generation).collect())
            }
            Self::Remote(remote) => remote.generations(instances).await.ok(),
        }
    }

    /// Waits until everything that was claimed by now is durable.
    ///
    /// # Errors
    /// The exception for the caller if it never will be.
    pub(crate) async fn wait_durable(&self) -> Result<(), RpcFailure> {
        match self {
            Self::Index { ledger, .. } => {
                ledger.wait_durable().await.map_err(|problem| not_durable(&problem).failure)
            }
            Self::Remote(_) => Ok(()),
        }
    }
}

fn lock(decisions: &Mutex<Decisions>) -> MutexGuard<'_, Decisions> {
    decisions.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_index(
    ledger: &dyn ClaimLedger,
    decisions: &Mutex<Decisions>,
    hosts: &NovaHosts,
    asked: &Asked<'_>,
    explanations: &Explanations,
) -> (Decided, Option<Unexplained>) {
    let index = match ledger.index() {
        Ok(index) => index,
        Err(problem) => return (Err(not_durable(&problem)), None),
    };
    let mut decisions = lock(decisions);
    let decided = decisions.decide(&index, hosts, asked);
    let copy = || {
        let case = decisions.case(hosts, asked)?;
        Some(Box::new(|| Some(case)) as MakeCase)
    };
    let unexplained = is_explicable(&decided).then(|| explanations.prepare(copy)).flatten();
    (decided, unexplained)
}

/// Whether a request is refused, and hosts can be asked why.
fn is_explicable(decided: &Decided) -> bool {
    decided.as_ref().is_err_and(|refused| refused.is_explicable)
}

fn look_on_index(
    index: Arc<Index>,
    decisions: &Mutex<Decisions>,
    hosts: &NovaHosts,
    asked: &Asked<'_>,
) -> DryLook {
    let mut decisions = lock(decisions);
    let position = index.journal().end();
    let decided = decisions.decide(&index, hosts, asked);
    let (case, subset) = (decisions.case(hosts, asked), decisions.subset());
    drop(decisions);
    // At once: the index moves on.
    let explained = case.map(|case| {
        let explanation = explained(&case);
        (case, explanation)
    });
    let standings = explained.iter().flat_map(|(_, explanation)| &explanation.standings);
    let weights = standings.map(|standing| (standing.host.clone(), standing.weight)).collect();
    DryLook { decided, weights, explained, index: Some((index, position)), subset }
}

fn not_durable(problem: &str) -> Box<Refused> {
    let failure = RpcFailure::exception("RuntimeError", &format!("claims are not durable: {problem}"));
    Box::new(Refused::failed(failure))
}
