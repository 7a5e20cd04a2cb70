//! The candidates of one tree, one at a time.

use crate::consumers::{Allocation, Allocations};
use crate::ids::Row;
use crate::index::Index;
use crate::topology::Topology;

use super::assignment::{Assignment, Providers};
use super::candidate::{Candidate, Mappings};
use super::plan::Plan;
use super::query::WorkExceeded;
use super::restrictions::{Condition, Domains, Restrictions};
use super::scope::Scope;
use super::work::Work;

/// A tree that has been opened.
#[derive(Debug)]
pub(super) struct Expansion {
    providers: Providers,
    restrictions: Restrictions,
    assignment: Option<Assignment>,
    /// How many candidates there can be at most is one.
    single: bool,
    /// All candidates have been found.
    done: bool,
}

/// A candidate, and whether other trees may have the same.
pub(super) type Found = (Candidate, bool);

impl Expansion {
    /// `None` when a variable finds no provider in the tree, nor one that shares with it.
    pub(super) fn open(
        index: &Index,
        topology: &Topology,
        plan: &Plan,
        root: Row,
        seed: Option<u64>,
    ) -> Option<Self> {
        let scope = Scope::new(index, topology, plan, root, seed)?;
        let domains = scope.domains()?;
        let conditions = conditions(plan, &scope);
        let single = domains.iter().all(|domain| domain.len() == 1);
        Some(Self {
            providers: scope.providers(),
            restrictions: Restrictions::new(domains, conditions),
            assignment: None,
            single,
            done: false,
        })
    }

    /// The next candidate.
    pub(super) fn next(&mut self, plan: &Plan, work: &mut Work) -> Result<Option<Found>, WorkExceeded> {
        loop {
            if let Some(assignment) = &mut self.assignment {
                if assignment.next(plan, &self.providers, work)? {
                    self.done = self.single;
                    return Ok(Some(self.found(plan)));
                }
                self.assignment = None;
            }
            let Some(domains) = self.restrictions.next(work)? else {
                self.done = true;
                return Ok(None);
            };
            self.assignment = self.assign(plan, domains, work)?;
        }
    }

    /// Whether it is known to have no more candidates.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    fn assign(
        &self,
        plan: &Plan,
        domains: Domains,
        work: &mut Work,
    ) -> Result<Option<Assignment>, WorkExceeded> {
        Assignment::new(plan, &self.providers, domains, work)
    }

    fn found(&self, plan: &Plan) -> Found {
        let assignment = self.assignment.as_ref().expect("it has just found choices");
        let repeats = assignment.choices().all(|(_, place)| self.providers.sharing.contains(place));
        (candidate(plan, assignment.choices().map(|(v, place)| (v, self.providers.rows[place]))), repeats)
    }
}

fn conditions(plan: &Plan, scope: &Scope<'_>) -> Vec<Condition> {
    let covers = scope.covers();
    let covers = covers.map(|providers| Condition::Cover { variables: plan.loose().collect(), providers });
    let subtrees = plan.subtrees.iter().map(|variables| {
        let (variables, below) = (variables.clone(), scope.subtrees());
        Condition::Subtree { variables, below }
    });
    covers.chain(subtrees).collect()
}

/// The candidate in which each variable has its row.
pub(super) fn candidate(plan: &Plan, choices: impl Iterator<Item = (usize, Row)>) -> Candidate {
    let mut allocations = Allocations::with_capacity(choices.size_hint().0);
    let mut mappings = Mappings::with_capacity(choices.size_hint().0);
    for (variable, row) in choices {
        let variable = &plan.variables[variable];
        allocations.extend(variable.takes.iter().map(|&(class, amount)| Allocation { row, class, amount }));
        mappings.push((u32::try_from(variable.group).expect("fewer than 2^32 groups"), row));
    }
    mappings.sort_unstable();
    mappings.dedup();
    allocations.sort_unstable();
    allocations.dedup_by(|later, kept| {
        let same = (later.row, later.class) == (kept.row, kept.class);
        if same {
            kept.amount += later.amount; // both within the inventory's max_unit
        }
        same
    });
    Candidate { allocations, mappings }
}
