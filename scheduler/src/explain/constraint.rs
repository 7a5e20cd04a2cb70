//! Everything that can remove a host, as one list.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::placement::{Answered, Demands, PlacementConstraint};
use super::question::Question;
use crate::filters::{Filter, Reason, RequestState, Scope, Step, Verdict};
use crate::hosts::HostRow;

/// A constraint on hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// The pre-filters and the making of the query for Placement, which remove no host but may
    /// refuse the request.
    Query,
    /// One that Placement applies before the scheduler sees any host.
    Placement(PlacementConstraint),
    /// One of the scheduler's pipeline.
    Step(Step),
    /// Something must be left to claim: an allocation candidate that no filter has dropped.
    Claim,
    /// One as an explanation in JSON names it.
    Named(String),
}

impl fmt::Display for Constraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => out.write_str("placement: query"),
            Self::Placement(constraint) => write!(out, "placement: {constraint}"),
            Self::Step(step) => step.fmt(out),
            Self::Claim => out.write_str("claim"),
            Self::Named(name) => out.write_str(name),
        }
    }
}

impl Serialize for Constraint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Constraint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::Named)
    }
}

impl Constraint {
    /// The constraint as a filter for one request.
    pub(super) fn prepare<'a>(
        &'a self,
        question: &'a Question<'a>,
        demands: &'a Demands,
    ) -> Box<dyn Filter + 'a> {
        match self {
            Self::Placement(constraint) => placement(constraint, question, demands),
            Self::Step(step) => step.prepare(&question.scene),
            Self::Query | Self::Named(_) => Box::new(Nothing),
            Self::Claim => Box::new(Claimable { is_rebuild: question.scene.request.is_rebuild() }),
        }
    }
}

/// A constraint of Placement, judged on the index or by what another service answered.
fn placement<'a>(
    constraint: &'a PlacementConstraint,
    question: &'a Question<'a>,
    demands: &'a Demands,
) -> Box<dyn Filter + 'a> {
    let answer = question.answers.iter().find(|answer| answer.constraint == *constraint);
    match (question.placement, answer) {
        (Some(facts), _) => constraint.prepare(&question.scene, facts, demands),
        (None, Some(answer)) => Box::new(Answered(answer)),
        (None, None) => Box::new(Nothing),
    }
}

/// Passes every host.
struct Nothing;

impl Filter for Nothing {
    fn scope(&self) -> Scope {
        Scope::Everything
    }

    fn judge(&self, _: HostRow, _: &mut RequestState) -> Verdict {
        Ok(Ok(()))
    }
}

/// Passes hosts with a candidate to claim. A rebuild claims nothing.
struct Claimable {
    is_rebuild: bool,
}

impl Filter for Claimable {
    fn scope(&self) -> Scope {
        if self.is_rebuild { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, state: &mut RequestState) -> Verdict {
        let claimable = self.is_rebuild || state.first(row).is_some();
        Ok(if claimable { Ok(()) } else { Err(Reason::NothingToClaim) })
    }
}
