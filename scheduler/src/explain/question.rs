//! A question, and the passes that answer it.

use std::fmt;

use super::constraint::Constraint;
use super::explanation::{Blocked, HostVerdict, Removed};
use super::placement::{Demands, PlacementAnswer, PlacementFacts};
use crate::filters::{Reason, RequestState, Scene, Survivors, steps};
use crate::hosts::HostRow;
use crate::placement_query::QueryError;
use crate::weighers::Weighed;

/// A request before a fleet.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The request, the fleet, the configuration and the time.
    pub scene: Scene<'a>,
    /// Which instance of the request is asked about, from 0: later instances skip filters that run
    /// once.
    pub index: usize,
    /// The allocation candidates of hosts, all of which count as left. Where filters drop some and
    /// `placement` knows all hosts, the index is asked for them instead.
    pub state: &'a RequestState,
    /// The facts of Placement, if its part is to be explained, too.
    pub placement: Option<&'a PlacementFacts>,
    /// The answers of another Placement service, if that was asked instead.
    pub answers: &'a [PlacementAnswer],
}

/// The way of all hosts through the constraints.
pub(super) struct Passage {
    /// The effect of each constraint, up to the one that could not judge.
    pub(super) removed: Vec<Removed>,
    /// The hosts that the pipeline leaves, in order: those that are weighed.
    pub(super) left: Vec<HostRow>,
    /// The hosts among them that can also be claimed.
    claimable: Survivors,
    /// The constraint that could not judge.
    pub(super) blocked: Option<Blocked>,
    /// The other conditions of the query to Placement.
    pub(super) not_judged: Vec<String>,
}

impl Passage {
    /// No host comes through.
    fn blocked(by: Blocked, removed: Vec<Removed>, not_judged: Vec<String>) -> Self {
        let claimable = Survivors::ordered(Vec::new());
        Self { removed, left: Vec::new(), claimable, blocked: Some(by), not_judged }
    }

    /// Whether the host passed everything.
    pub(super) fn claimable(&self, row: HostRow) -> bool {
        self.claimable.contains(row)
    }
}

impl Question<'_> {
    /// The query to Placement; none if its part is not to be explained.
    fn demands(&self) -> Result<Demands, QueryError> {
        self.placement.map_or_else(|| Ok(Demands::default()), |facts| Demands::of(&self.scene, facts))
    }

    /// The constraints on hosts, in the order in which they apply.
    fn constraints(&self, demands: &Demands) -> Vec<Constraint> {
        let answered = self.answers.iter().map(|answer| &answer.constraint);
        let placement = demands.constraints.iter().chain(answered).cloned().map(Constraint::Placement);
        let pipeline = steps(&self.scene, self.index).into_iter().map(Constraint::Step);
        placement.chain(pipeline).chain([Constraint::Claim]).collect()
    }

    /// Sends all hosts through all constraints.
    pub(super) fn pass(&self) -> Passage {
        self.pass_with(Survivors::all(self.scene.hosts), &mut self.fresh_state())
    }

    /// Sends these hosts through all constraints, with candidates that are all left.
    pub(super) fn pass_with(&self, mut hosts: Survivors, state: &mut RequestState) -> Passage {
        let (mut removed, mut left) = (Vec::new(), Vec::new());
        let demands = match self.demands() {
            Ok(demands) => demands,
            Err(error) => return Passage::blocked(Blocked::query(&error), removed, Vec::new()),
        };
        for (at, constraint) in self.constraints(&demands).into_iter().enumerate() {
            if at == demands.constraints.len() {
                self.offer(&demands, &hosts.rows(), state);
            }
            if constraint == Constraint::Claim {
                left = hosts.rows();
            }
            let entered = hosts.len();
            let filter = constraint.prepare(self, &demands);
            let narrowed = hosts.narrow(&*filter, self.scene.hosts, state);
            drop(filter);
            if let Err(error) = narrowed {
                return Passage::blocked(Blocked::filter(&constraint, &error), removed, demands.not_judged);
            }
            removed.push(Removed { constraint, entered, removed: entered - hosts.len() });
        }
        Passage { removed, left, claimable: hosts, blocked: None, not_judged: demands.not_judged }
    }

    /// The constraint that refuses one host.
    pub(super) fn verdict(&self, row: HostRow, weighed: &[Weighed]) -> HostVerdict {
        let mut verdict = HostVerdict {
            host: self.name(row),
            constraint: None,
            reason: None,
            text: "passes".to_owned(),
            rank: weighed.iter().position(|host| host.row == row).map(|at| at + 1),
        };
        if let Some((constraint, text, reason)) = self.objection(row) {
            verdict = HostVerdict { constraint: Some(constraint), reason, text, ..verdict };
        }
        verdict
    }

    /// The first constraint that the host does not pass, and why.
    fn objection(&self, row: HostRow) -> Option<(Constraint, String, Option<Reason>)> {
        let unjudged = |error: &dyn fmt::Display| format!("cannot be judged: {error}");
        let demands = match self.demands() {
            Ok(demands) => demands,
            Err(error) => return Some((Constraint::Query, unjudged(&error), None)),
        };
        let mut state = self.fresh_state();
        self.offer(&demands, &[row], &mut state);
        self.constraints(&demands).into_iter().find_map(|constraint| {
            let answer = constraint.prepare(self, &demands).judge(row, &mut state);
            match answer {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some((constraint, reason.to_string(), Some(reason))),
                Err(error) => Some((constraint, unjudged(&error), None)),
            }
        })
    }

    /// Gives hosts that meet Placement's constraints the candidates that filters look at.
    fn offer(&self, demands: &Demands, rows: &[HostRow], state: &mut RequestState) {
        if let Some(facts) = self.placement {
            demands.offer(&self.scene, facts, rows, state);
        }
    }

    /// Host and node, or the host alone where the node bears its name.
    #[must_use]
    pub fn name(&self, row: HostRow) -> String {
        let (host, node) = (self.scene.hosts.host(row), self.scene.hosts.node(row));
        if host == node { host.to_owned() } else { format!("{host}/{node}") }
    }

    fn fresh_state(&self) -> RequestState {
        let mut state = self.state.clone();
        state.restore();
        state
    }
}
