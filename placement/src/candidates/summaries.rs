//! Summaries of the providers in the trees that candidates take from.

use smallvec::SmallVec;

use crate::ids::{ClassId, Row};
use crate::topology::Provider;

use super::anchors::Anchors;
use super::candidate::Candidate;
use super::expansion::Expansion;
use super::query::WorkExceeded;
use super::rows::Rows;
use super::search::Candidates;
use super::work::Work;

/// A provider in a tree that a candidate takes from.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderSummary<'a> {
    /// Its row.
    pub row: Row,
    /// Its identity, place in the tree and traits.
    pub provider: &'a Provider,
    /// Its capacity and use, in order of class.
    pub resources: SmallVec<[ClassSummary; 3]>,
}

/// A provider's capacity and use of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassSummary {
    /// The class.
    pub class: ClassId,
    /// The amount that consumers may hold in total.
    pub capacity: i64,
    /// The amount that they hold.
    pub used: i64,
}

impl Candidates<'_> {
    /// Summarises the providers of all trees that the returned candidates take from, in row order,
    /// with current amounts.
    ///
    /// For a client without support for trees ([`Query::nested`](super::Query::nested) is false),
    /// the summaries contain only providers that some candidate takes from, whether it was returned
    /// or not.
    ///
    /// # Errors
    /// The search for candidates of a provider exceeds
    /// [`SearchOptions::work`](super::SearchOptions::work).
    pub fn summaries(&self) -> Result<impl Iterator<Item = ProviderSummary<'_>>, WorkExceeded> {
        let mut roots = Rows::default();
        roots.extend(self.used.iter().filter_map(|row| Some(self.topology.provider(row)?.root)));
        let mut rows = Rows::default();
        rows.extend(roots.iter().flat_map(|root| self.topology.tree(root)).copied());
        let visible = if self.plan.flat { Some(self.taken_from(&roots, &rows)?) } else { None };
        let is_visible = move |row: &Row| visible.as_ref().is_none_or(|taken| taken.contains(*row));
        Ok(rows.into_iter().filter(is_visible).filter_map(|row| self.summary(row)))
    }

    /// The rows that candidates take from, among the rows of the trees below `roots`.
    fn taken_from(&self, roots: &Rows, rows: &Rows) -> Result<Rows, WorkExceeded> {
        let mut taken = self.used.clone();
        let (mut work, mut candidate) = (Work::new(&self.options), Candidate::default());
        let is_decided = |taken: &Rows| self.complete || rows.is_subset(taken);
        // Only sharing providers can serve candidates of another tree.
        let untaken_share = self
            .topology
            .sharing()
            .is_some_and(|sharing| rows.iter().any(|row| sharing.contains(row.0) && !taken.contains(row)));
        let anchors = Anchors::new(&self.topology, &self.plan, None);
        let anchors: Box<dyn Iterator<Item = Row> + '_> = if untaken_share {
            Box::new(anchors)
        } else {
            Box::new(roots.iter().filter(move |&root| anchors.admit(root)))
        };
        for root in anchors {
            if is_decided(&taken) {
                break;
            }
            work.spend()?;
            let opened = Expansion::open(self.index, &self.topology, &self.plan, root, None);
            let Some(mut expansion) = opened else { continue };
            while !is_decided(&taken) && expansion.next(&self.plan, &mut work, &mut candidate)?.is_some() {
                taken.extend(candidate.allocations.iter().map(|allocation| allocation.row));
            }
        }
        Ok(taken)
    }

    fn summary(&self, row: Row) -> Option<ProviderSummary<'_>> {
        let provider = self.topology.provider(row)?;
        let asked_for = |class: &ClassId| self.all_resources || self.plan.asks_for(*class);
        let of_class = |&class: &ClassId| {
            let (capacity, used) = self.index.ledger.capacity_and_used(row, class)?;
            Some(ClassSummary { class, capacity, used })
        };
        let resources =
            provider.classes.iter().filter(|class| asked_for(class)).filter_map(of_class).collect();
        Some(ProviderSummary { row, provider, resources })
    }
}
