//! A query against one tree at a time, for callers that choose the order of trees.

use std::sync::Arc;

use crate::ids::Row;
use crate::index::Index;
use crate::topology::{Provider, Topology};

use super::anchors::Anchors;
use super::candidate::Candidate;
use super::expansion::Expansion;
use super::need::Amounts;
use super::plan::{Plan, Resolved, resolve};
use super::query::{Query, SearchOptions, UnknownName, WorkExceeded};
use super::work::Work;

/// A query compiled for one snapshot of the topology. It reads current amounts.
pub struct TreeQuery {
    topology: Arc<Topology>,
    options: SearchOptions,
    /// `None` if no candidate can exist.
    search: Option<(Plan, Anchors)>,
    on_root: Amounts,
    is_all_on_root: bool,
}

impl Index {
    /// Compiles a query for single trees. [`Query::limit`] does not apply to them.
    ///
    /// # Errors
    /// An unknown class or trait: no candidate exists.
    pub fn tree_query(&self, query: &Query, options: &SearchOptions) -> Result<TreeQuery, UnknownName> {
        let topology = self.topology();
        let plan = match resolve(self, &topology, query) {
            Resolved::Plan(plan) => Some(plan),
            Resolved::Nothing => None,
            Resolved::Unknown(unknown, _) => return Err(unknown),
        };
        let on_root = plan.as_ref().map(|plan| on_root(&topology, plan)).unwrap_or_default();
        let is_all_on_root = plan.as_ref().is_some_and(|plan| is_all_on_root(plan, &on_root));
        let search = plan.map(|plan| {
            let anchors = Anchors::new(&topology, &plan, None);
            (plan, anchors)
        });
        Ok(TreeQuery { topology, options: options.clone(), search, on_root, is_all_on_root })
    }
}

impl TreeQuery {
    /// The snapshot for which the query was compiled.
    #[must_use]
    pub const fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The amounts that every candidate takes from the root of its tree. They are known in advance
    /// for classes that only roots have and no root shares.
    #[must_use]
    pub fn on_root(&self) -> &Amounts {
        &self.on_root
    }

    /// Whether [`Self::on_root`] covers the whole request. A tree that [`Self::admits`] accepts
    /// then has exactly one candidate whenever its root has these amounts free.
    #[must_use]
    pub const fn is_all_on_root(&self) -> bool {
        self.is_all_on_root
    }

    /// Whether the tree can hold a candidate, regardless of claims.
    #[must_use]
    pub fn admits(&self, index: &Index, root: Row) -> bool {
        let Some((plan, anchors)) = &self.search else { return false };
        let Some(provider) = self.topology.provider(root) else { return false };
        anchors.admit(root) && (!self.is_all_on_root || self.suits(index, plan, (root, provider)))
    }

    /// Whether the root satisfies the request, regardless of free amounts.
    fn suits(&self, index: &Index, plan: &Plan, (row, root): (Row, &Provider)) -> bool {
        let allows = |&(class, amount): &(_, u32)| {
            index.inventory(row, class).is_some_and(|inventory| inventory.units.allow(amount))
        };
        let has = |any: &Vec<_>| any.iter().any(|one| root.traits.binary_search(one).is_ok());
        let suits = |need: &super::need::Need| need.suits(root, root) && need.required.iter().all(has);
        self.on_root.iter().all(allows) && plan.needs.iter().all(suits)
    }

    /// The candidates of this root's tree. Candidates that take only from sharing providers may
    /// belong to another tree.
    pub fn candidates<'a>(&'a self, index: &Index, root: Row) -> TreeCandidates<'a> {
        let opened = self.search.as_ref().filter(|(_, anchors)| anchors.admit(root)).and_then(|(plan, _)| {
            let expansion = Expansion::open(index, &self.topology, plan, root, self.options.seed)?;
            Some((plan, expansion))
        });
        TreeCandidates { opened, work: Work::new(&self.options) }
    }
}

/// An iterator over the candidates of one tree, computed on demand. Ends after the first error.
pub struct TreeCandidates<'a> {
    opened: Option<(&'a Plan, Box<Expansion>)>,
    work: Work,
}

impl Iterator for TreeCandidates<'_> {
    type Item = Result<Candidate, WorkExceeded>;

    fn next(&mut self) -> Option<Self::Item> {
        let (plan, expansion) = self.opened.as_mut()?;
        let mut candidate = Candidate::default();
        let found = expansion.next(plan, &mut self.work, &mut candidate);
        if !matches!(found, Ok(Some(_))) {
            self.opened = None;
        }
        found.map(|found| found.map(|_| candidate)).transpose()
    }
}

/// The total of each class that only roots have and none of them shares.
fn on_root(topology: &Topology, plan: &Plan) -> Amounts {
    let is_on_roots = |class| {
        let rows = topology.with_class(class).map(|members| members.rows());
        rows.is_none_or(|rows| {
            rows.is_subset(topology.roots())
                && topology.sharing().is_none_or(|sharing| sharing.is_disjoint(rows))
        })
    };
    let mut totals = Amounts::new();
    for &(class, amount) in plan.needs.iter().flat_map(|need| &need.resources) {
        match totals.iter_mut().find(|(known, _)| *known == class) {
            Some((_, total)) => *total = total.saturating_add(amount),
            None if is_on_roots(class) => totals.push((class, amount)),
            None => {}
        }
    }
    totals
}

/// Whether the request is one group without suffix, with every class on the root.
fn is_all_on_root(plan: &Plan, on_root: &Amounts) -> bool {
    matches!(&plan.needs[..], [need] if !need.granular && need.resources.len() == on_root.len())
}
