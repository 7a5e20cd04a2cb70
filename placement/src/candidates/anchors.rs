//! The trees that can hold a candidate, selected by row sets alone, 64 rows per machine word.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ids::{Row, TraitId};
use crate::members::Members;
use crate::row_set::RowSet;
use crate::topology::Topology;

use super::need::Need;
use super::order::Permutation;
use super::plan::Plan;

/// Roots that are in any of the sets, or in none of them.
struct Sieve {
    sets: SmallVec<[Arc<RowSet>; 1]>,
    negated: bool,
}

impl Sieve {
    fn word(&self, block: usize) -> u64 {
        let word = |set: &Arc<RowSet>| set.words().get(block).copied().unwrap_or(0);
        let any = self.sets.iter().map(word).fold(0, |any, word| any | word);
        if self.negated { !any } else { any }
    }
}

/// Roots in order, each of a tree that may hold candidates. Only row sets are examined, no amounts.
pub(super) struct Anchors {
    sieves: Vec<Sieve>,
    /// The only tree to search, if the query names one.
    only: Option<Row>,
    blocks: usize,
    order: Option<Permutation>,
    /// The next block; with an order, the next position in it.
    cursor: usize,
    /// The current block, and its rows that are still to be returned.
    current: (usize, u64),
}

impl Anchors {
    pub(super) fn new(topology: &Topology, plan: &Plan, seed: Option<u64>) -> Self {
        let mut sieving =
            Sieving { topology, sharing: topology.sharing(), sieves: Vec::new(), only: Vec::new() };
        sieving.roots(plan);
        plan.needs.iter().for_each(|need| sieving.need(need));
        let Sieving { mut sieves, mut only, .. } = sieving;
        // The most selective sieve comes first: most blocks are then rejected after one word.
        sieves.sort_by_key(|sieve| (sieve.negated, sieve.sets.iter().map(|set| set.len()).sum::<u64>()));
        only.dedup();
        let (rows, conflict) = (topology.rows(), only.len() > 1);
        Self {
            sieves,
            only: only.first().copied(),
            blocks: if conflict { 0 } else { rows.div_ceil(64) },
            order: seed.map(|seed| Permutation::new(seed, rows)),
            cursor: 0,
            current: (0, 0),
        }
    }

    /// Whether the root passes all sieves.
    pub(super) fn admit(&self, root: Row) -> bool {
        let (block, lane) = root.block_and_lane();
        block < self.blocks && self.only.is_none_or(|only| only == root) && self.word(block) >> lane & 1 == 1
    }

    fn word(&self, block: usize) -> u64 {
        let mut word = u64::MAX;
        for sieve in &self.sieves {
            word &= sieve.word(block);
            if word == 0 {
                break;
            }
        }
        word
    }

    fn next_permuted(&mut self) -> Option<Row> {
        let order = self.order?;
        while let Some(row) = order.at(self.cursor).filter(|_| self.blocks > 0) {
            self.cursor += 1;
            if self.word(row / 64) >> (row % 64) & 1 == 1 {
                return u32::try_from(row).ok().map(Row);
            }
        }
        None
    }
}

impl Iterator for Anchors {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if let Some(only) = self.only {
            let admitted = self.admit(only);
            self.blocks = 0;
            return admitted.then_some(only);
        }
        if self.order.is_some() {
            return self.next_permuted();
        }
        while self.current.1 == 0 {
            if self.cursor == self.blocks {
                return None;
            }
            self.current = (self.cursor, self.word(self.cursor));
            self.cursor += 1;
        }
        let (block, left) = &mut self.current;
        let lane = left.trailing_zeros() as usize;
        *left &= *left - 1;
        u32::try_from(*block * 64 + lane).ok().map(Row)
    }
}

/// Collects the sieves.
struct Sieving<'a> {
    topology: &'a Topology,
    sharing: Option<&'a RowSet>,
    sieves: Vec<Sieve>,
    only: Vec<Row>,
}

impl Sieving<'_> {
    fn roots(&mut self, plan: &Plan) {
        let topology = self.topology;
        let rows_with = |wanted: &TraitId| topology.with_trait(*wanted).map(Members::shared_rows);
        for wanted in &plan.root_required {
            self.push(rows_with(wanted), false);
        }
        self.push(plan.root_forbidden.iter().filter_map(rows_with), true);
        self.push([topology.shared_roots()], false);
    }

    fn push(&mut self, sets: impl IntoIterator<Item = Arc<RowSet>>, negated: bool) {
        let sets: SmallVec<[Arc<RowSet>; 1]> = sets.into_iter().collect();
        if !(negated && sets.is_empty()) {
            self.sieves.push(Sieve { sets, negated });
        }
    }

    fn need(&mut self, need: &Need) {
        if need.granular { self.granular(need) } else { self.loose(need) }
    }

    /// Requires a provider of the tree that satisfies the whole group, unless a sharing provider
    /// may serve the group.
    fn granular(&mut self, need: &Need) {
        let topology = self.topology;
        let classes = || need.resources.iter().map(|take| topology.with_class(take.0));
        let traits = || need.required.iter().map(|any| any.iter().map(|one| topology.with_trait(*one)));
        let lacking = classes().any(|class| self.is_none_sharing(class))
            || traits().any(|any| any.into_iter().all(|one| self.is_none_sharing(one)));
        if !lacking {
            return;
        }
        classes().for_each(|class| self.push(class.map(Members::shared_trees), false));
        traits().for_each(|any| self.push(any.flatten().map(Members::shared_trees), false));
        self.aggregates(need);
        if !need.resources.is_empty() {
            self.only.extend(need.in_tree);
        }
    }

    /// Requires each class and each trait to come from the tree or from a sharing provider.
    fn loose(&mut self, need: &Need) {
        let topology = self.topology;
        let closed = need.in_tree.is_some(); // to sharing providers
        let mut any_own = closed;
        for (class, _) in &need.resources {
            let members = topology.with_class(*class);
            if closed || self.is_none_sharing(members) {
                any_own = true;
                self.push(members.map(Members::shared_trees), false);
            }
        }
        for any in &need.required {
            let any = || any.iter().map(|one| topology.with_trait(*one));
            if closed || any().all(|one| self.is_none_sharing(one)) {
                self.push(any().flatten().map(Members::shared_trees), false);
            }
        }
        if any_own {
            self.aggregates(need);
        }
        self.only.extend(need.in_tree);
    }

    fn aggregates(&mut self, need: &Need) {
        let topology = self.topology;
        for any in &need.member_of {
            self.push(
                any.iter().filter_map(|id| topology.in_aggregate(*id)).map(Members::shared_trees),
                false,
            );
        }
    }

    fn is_none_sharing(&self, members: Option<&Members>) -> bool {
        match (members, self.sharing) {
            (Some(members), Some(sharing)) => members.rows().is_disjoint(sharing),
            _ => true,
        }
    }
}
