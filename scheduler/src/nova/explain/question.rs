//! What is to be explained, and the passes that answer it.

use berth_placement::Row;

use super::constraint::Constraint;
use super::explanation::{Blocked, HostVerdict, Removed};
use super::placement::{PlacementConstraint, Providers};
use crate::nova::filters::{RequestState, Scene, Survivors, steps};
use crate::nova::weighers::Weighed;

/// A request before a fleet.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The request, the fleet, the configuration and the time.
    pub scene: Scene<'a>,
    /// Which instance of the request is asked about, from 0: later instances skip filters that run once.
    pub index: usize,
    /// The allocation candidates of hosts. What a decision dropped of them counts as there again.
    pub state: &'a RequestState,
    /// Traits and aggregates of the hosts, if Placement's part is to be explained, too.
    pub providers: Option<&'a Providers>,
}

/// The way of all hosts through the constraints.
pub(super) struct Passage {
    /// What each constraint did, all of them up to the one that could not judge.
    pub(super) removed: Vec<Removed>,
    /// The hosts that the pipeline leaves, in order: those that are weighed.
    pub(super) left: Vec<Row>,
    /// Those of them that can be claimed, too.
    claimable: Survivors,
    /// The constraint that could not judge.
    pub(super) blocked: Option<Blocked>,
}

impl Passage {
    /// Whether the host passed everything.
    pub(super) fn claimable(&self, row: Row) -> bool {
        self.claimable.mask().contains(row)
    }
}

impl Question<'_> {
    /// The constraints on hosts, in the order in which they apply.
    #[must_use]
    pub fn constraints(&self) -> Vec<Constraint> {
        let of_placement =
            self.providers.map_or_else(Vec::new, |_| PlacementConstraint::of(self.scene.request));
        let of_pipeline = steps(&self.scene, self.index).into_iter().map(Constraint::Step);
        let placement = of_placement.into_iter().map(Constraint::Placement);
        placement.chain(of_pipeline).chain([Constraint::Claim]).collect()
    }

    /// Sends all hosts through all constraints.
    pub(super) fn pass(&self) -> Passage {
        self.pass_with(Survivors::all(self.scene.hosts), &mut self.fresh_state())
    }

    /// Sends these hosts through all constraints, with candidates that are all left.
    pub(super) fn pass_with(&self, mut hosts: Survivors, state: &mut RequestState) -> Passage {
        let (mut removed, mut left) = (Vec::new(), Vec::new());
        for constraint in self.constraints() {
            if constraint == Constraint::Claim {
                left = hosts.rows();
            }
            let entered = hosts.len();
            let filter = constraint.prepare(&self.scene, self.providers);
            let narrowed = hosts.narrow(&*filter, self.scene.hosts, state);
            drop(filter);
            if let Err(error) = narrowed {
                let blocked = Some(Blocked::filter(&constraint, &error));
                return Passage {
                    removed,
                    left: Vec::new(),
                    claimable: Survivors::ordered(Vec::new()),
                    blocked,
                };
            }
            removed.push(Removed { constraint, entered, removed: entered - hosts.len() });
        }
        Passage { removed, left, claimable: hosts, blocked: None }
    }

    /// What stands against one host.
    pub(super) fn verdict(&self, row: Row, weighed: &[Weighed]) -> HostVerdict {
        let mut verdict = HostVerdict {
            host: self.name(row),
            constraint: None,
            reason: None,
            text: "passes".to_owned(),
            rank: weighed.iter().position(|host| host.row == row).map(|at| at + 1),
        };
        let mut state = self.fresh_state();
        for constraint in self.constraints() {
            let answer = constraint.prepare(&self.scene, self.providers).judge(row, &mut state);
            let (text, reason) = match answer {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => (reason.to_string(), Some(reason)),
                Err(error) => (format!("cannot be judged: {error}"), None),
            };
            verdict = HostVerdict { constraint: Some(constraint), reason, text, ..verdict };
            break;
        }
        verdict
    }

    /// Host and node, or the host alone where the node bears its name.
    pub(super) fn name(&self, row: Row) -> String {
        let (host, node) = (self.scene.hosts.host(row), self.scene.hosts.node(row));
        if host == node { host.to_owned() } else { format!("{host}/{node}") }
    }

    fn fresh_state(&self) -> RequestState {
        let mut state = self.state.clone();
        state.restore();
        state
    }
}
