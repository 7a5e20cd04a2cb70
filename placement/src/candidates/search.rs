//! Trees in turn, each opened when its first candidate is wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::index::Index;
use crate::topology::Topology;

use super::anchors::Anchors;
use super::candidate::Candidate;
use super::expansion::Expansion;
use super::plan::{Plan, Resolved, resolve};
use super::query::{Options, Query, Strategy, UnknownName, WorkExceeded};
use super::rows::Rows;
use super::work::Work;

/// Allocation candidates, each worked out when it is asked for. Ends after the first error.
pub struct Candidates<'index> {
    pub(super) index: &'index Index,
    pub(super) topology: Arc<Topology>,
    pub(super) plan: Plan,
    pub(super) options: Options,
    anchors: Option<Anchors>,
    /// Trees that may have more candidates; the next one comes from the first.
    opened: VecDeque<Box<Expansion>>,
    work: Work,
    /// How many candidates may still be given out.
    left: usize,
    /// Given out already, and may be met again in another tree.
    repeating: FxHashSet<Candidate>,
    /// The rows that candidates took from.
    pub(super) used: Rows,
    /// Whether all candidates there are have been given out.
    pub(super) complete: bool,
    pub(super) all_resources: bool,
}

impl Index {
    /// The ways in which the query's request groups fit the fleet now, found one by one: those of Placement's
    /// `GET /allocation_candidates`.
    ///
    /// Topology is of this moment, amounts of the moment when a tree is opened.
    ///
    /// # Errors
    /// A class or trait that is not known.
    pub fn candidates(&self, query: &Query, options: &Options) -> Result<Candidates<'_>, UnknownName> {
        let topology = self.topology();
        let plan = match resolve(self, &topology, query) {
            Resolved::Plan(plan) => Some(plan),
            Resolved::Nothing => None,
            Resolved::Unknown(unknown, before) => {
                let has_any =
                    |plan| Candidates::new(self, Arc::clone(&topology), Some(plan), options).next().is_some();
                if before.into_iter().all(has_any) {
                    return Err(unknown);
                }
                None
            }
        };
        let mut candidates = Candidates::new(self, topology, plan, options);
        candidates.left = query.limit.unwrap_or(usize::MAX).min(candidates.left);
        candidates.all_resources = query.all_resources;
        Ok(candidates)
    }
}

impl<'index> Candidates<'index> {
    fn new(index: &'index Index, topology: Arc<Topology>, plan: Option<Plan>, options: &Options) -> Self {
        let anchors = plan.as_ref().map(|plan| Anchors::new(&topology, plan, options.seed));
        Self {
            index,
            topology,
            plan: plan.unwrap_or_default(),
            options: *options,
            anchors,
            opened: VecDeque::new(),
            work: Work::new(options.work),
            left: options.max_candidates.unwrap_or(usize::MAX),
            repeating: FxHashSet::default(),
            used: Rows::default(),
            complete: false,
            all_resources: true,
        }
    }

    /// The names and providers that the candidates' numbers stand for.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether no tree is left that has not been opened: with [`Strategy::BreadthFirst`], each tree has given its first
    /// candidate, and the latest is a further one of its tree.
    #[must_use]
    pub const fn has_opened_all(&self) -> bool {
        self.anchors.is_none()
    }

    /// Puts the next candidate into the place of the one given, whose memory serves again; whether there was one.
    ///
    /// # Errors
    /// Like the iterator's; after the first there are no more.
    pub fn next_into(&mut self, candidate: &mut Candidate) -> Result<bool, WorkExceeded> {
        while self.left > 0 {
            match self.find(candidate) {
                Ok(Some(repeats)) if !repeats || self.repeating.insert(candidate.clone()) => {
                    self.left -= 1;
                    self.used.extend(candidate.allocations.iter().map(|allocation| allocation.row));
                    return Ok(true);
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.complete = true;
                    self.end();
                }
                Err(exceeded) => {
                    self.end();
                    return Err(exceeded);
                }
            }
        }
        Ok(false)
    }

    /// The next candidate, and whether it may be one that another tree had before.
    fn find(&mut self, candidate: &mut Candidate) -> Result<Option<bool>, WorkExceeded> {
        loop {
            let fresh = match self.options.strategy {
                Strategy::BreadthFirst => true,
                Strategy::DepthFirst => self.opened.is_empty(),
            };
            let opened = if fresh { self.open()? } else { None };
            let Some(mut expansion) = opened.or_else(|| self.opened.pop_front()) else { return Ok(None) };
            if let Some(repeats) = expansion.next(&self.plan, &mut self.work, candidate)? {
                match self.options.strategy {
                    _ if expansion.is_done() => {}
                    Strategy::BreadthFirst => self.opened.push_back(expansion),
                    Strategy::DepthFirst => self.opened.push_front(expansion),
                }
                return Ok(Some(repeats));
            }
        }
    }

    /// Opens the next tree in which every variable finds a provider.
    fn open(&mut self) -> Result<Option<Box<Expansion>>, WorkExceeded> {
        let Some(anchors) = &mut self.anchors else { return Ok(None) };
        let lone = !self.topology.has_children() && self.topology.sharing.is_empty();
        for root in anchors.by_ref() {
            self.work.spend()?;
            if lone && !self.plan.has_room(self.index, root) {
                continue; // seen without opening it
            }
            let opened = Expansion::open(self.index, &self.topology, &self.plan, root, self.options.seed);
            if opened.is_some() {
                return Ok(opened);
            }
        }
        self.anchors = None;
        Ok(None)
    }

    fn end(&mut self) {
        self.left = 0;
        self.anchors = None;
        self.opened.clear();
    }
}

impl Iterator for Candidates<'_> {
    type Item = Result<Candidate, WorkExceeded>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut candidate = Candidate::default();
        self.next_into(&mut candidate).map(|found| found.then_some(candidate)).transpose()
    }
}
