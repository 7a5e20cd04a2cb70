//! The candidates of one tree, found one at a time.

use crate::consumers::Allocation;
use crate::ids::Row;
use crate::index::Index;
use crate::topology::Topology;

use super::assignment::{Assignment, Providers, Stock};
use super::candidate::Candidate;
use super::plan::Plan;
use super::query::WorkExceeded;
use super::restrictions::{Condition, Restrictions};
use super::scope::Scope;
use super::work::Work;

/// An opened tree.
///
/// A breadth-first search keeps many trees open, so this type is small and holds few allocations.
#[derive(Debug)]
pub(super) struct Expansion {
    providers: Providers,
    stock: Stock,
    /// The cases to distinguish, if conditions require it.
    restrictions: Option<Box<Restrictions>>,
    stage: Stage,
    /// Whether the tree can have at most one candidate.
    single: bool,
}

/// The progress of an expansion.
#[derive(Debug)]
enum Stage {
    /// The search has not started.
    Fresh,
    /// Tries choices from the current domains.
    Choosing(Assignment),
    /// The current domains have no more choices.
    Exhausted,
    /// All candidates have been found.
    Done,
}

impl Expansion {
    /// Returns `None` if some variable has no provider, neither in the tree nor sharing with it.
    pub(super) fn open(
        index: &Index,
        topology: &Topology,
        plan: &Plan,
        root: Row,
        seed: Option<u64>,
    ) -> Option<Box<Self>> {
        let scope = Scope::new(index, topology, plan, root, seed)?;
        let domains = scope.domains()?;
        let restrictions = Restrictions::new(&domains, conditions(plan, &scope));
        Some(Box::new(Self {
            providers: scope.providers(),
            single: domains.iter().all(|domain| domain.len() == 1),
            stage: Stage::Fresh,
            restrictions: restrictions.map(Box::new),
            stock: Stock { domains, free: scope.free(), len: scope.len() },
        }))
    }

    /// Writes the next candidate into `candidate`, if one exists. Returns whether other trees may
    /// produce the same candidate.
    pub(super) fn next(
        &mut self,
        plan: &Plan,
        work: &mut Work,
        candidate: &mut Candidate,
    ) -> Result<Option<bool>, WorkExceeded> {
        while !self.is_done() {
            if let Stage::Choosing(assignment) = &mut self.stage {
                if assignment.next(plan, &self.providers, &mut self.stock, work)? {
                    let repeats =
                        assignment.choices().all(|(_, place)| self.providers.sharing.contains(place));
                    let rows = &self.providers.rows;
                    fill(candidate, plan, assignment.choices().map(|(v, place)| (v, rows[place])));
                    if self.single {
                        self.stage = Stage::Done;
                    }
                    return Ok(Some(repeats));
                }
                self.stage = Stage::Exhausted;
            }
            if self.next_domains(work)? {
                let assignment = Assignment::new(plan, &self.stock, work)?;
                self.stage = assignment.map_or(Stage::Exhausted, Stage::Choosing);
            } else {
                self.stage = Stage::Done;
            }
        }
        Ok(None)
    }

    /// Whether the expansion is known to have no more candidates.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Continues with the next domains, if there are any.
    fn next_domains(&mut self, work: &mut Work) -> Result<bool, WorkExceeded> {
        let Some(restrictions) = &mut self.restrictions else {
            return Ok(matches!(self.stage, Stage::Fresh));
        };
        let next = restrictions.next(work)?;
        Ok(next.map(|domains| self.stock.domains = domains).is_some())
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

/// Writes the candidate in which each variable takes from its row.
fn fill(candidate: &mut Candidate, plan: &Plan, choices: impl Iterator<Item = (usize, Row)>) {
    let Candidate { allocations, mappings } = candidate;
    allocations.clear();
    mappings.clear();
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
}
